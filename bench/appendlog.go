package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// appendLog adds lines to a file of each client's own. At the end every line
// that was acknowledged is there once, in its order.
func appendLog(ctx context.Context, s *stage) error {
	return s.perClients(ctx, func(o Options) (Case, error) {
		v := newValues(o.Size - 1) // and a line end
		type log struct {
			acked []bool
			buf   []byte
			_     [8]uint64
		}
		logs := make([]log, o.Clients)
		stem := unique("log")
		name := func(c int) string { return stem + "-" + strconv.Itoa(c) }
		before := func(ctx context.Context) error {
			return each(ctx, o.Clients, 64, func(ctx context.Context, _, c int) error {
				_, err := s.sessions()[c].do(ctx, "POST", "/files?"+s.file(name(c)), nil)
				return err
			})
		}
		op := func(ctx context.Context, c, _ int) error {
			l := &logs[c]
			l.buf = append(v.write(l.buf, c, len(l.acked)), '\n')
			_, err := s.sessions()[c].do(ctx, "PUT", "/files?flags=append&"+s.file(name(c)), l.buf)
			l.acked = append(l.acked, err == nil)
			return err
		}
		after := func(ctx context.Context) error {
			return each(ctx, o.Clients, 64, func(ctx context.Context, _, c int) error {
				body, err := s.sessions()[c].do(ctx, "GET", "/files?"+s.file(name(c)), nil)
				if err != nil {
					return fmt.Errorf("%w: %w", ErrLost, err)
				}
				return readLog(v, c, logs[c].acked, body)
			})
		}
		return Case{Spec: o.Spec("append", int64(v.size+1), op), Before: before, After: after}, nil
	})
}

// readLog compares a log with what was acknowledged. A line that was not may be
// there or not; none may be there twice or behind one that came later.
func readLog(v values, client int, acked []bool, body []byte) error {
	next := 0
	for line := range bytes.Lines(body) {
		n, err := v.read(bytes.TrimSuffix(line, []byte("\n")), client)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		if n < next || n >= len(acked) {
			return fmt.Errorf("%w: line %d of client %d stands where line %d should", ErrLost, n, client, next)
		}
		for ; next < n; next++ {
			if acked[next] {
				return fmt.Errorf("%w: line %d of client %d was acknowledged and is not there", ErrLost, next, client)
			}
		}
		next = n + 1
	}
	for ; next < len(acked); next++ {
		if acked[next] {
			return fmt.Errorf("%w: line %d of client %d was acknowledged and is not there", ErrLost, next, client)
		}
	}
	return nil
}
