package bench

import (
	"context"
	"fmt"
	"strconv"
)

// conditional has each client write one file over and over, each time over the
// version that its last write made. A version that another write made in between
// would be refused; nobody else writes, so a refusal is a broken word.
func conditional(ctx context.Context, s *stage) error {
	return s.perClients(ctx, func(o Options) (Case, error) {
		v := newValues(o.Size)
		type file struct {
			tried, acked int
			etag         string
			buf          []byte
			_            [8]uint64
		}
		files := make([]file, o.Clients)
		var w witness
		stem := unique("cas")
		name := func(c int) string { return stem + "-" + strconv.Itoa(c) }
		op := func(ctx context.Context, c, _ int) error {
			f, one := &files[c], s.sessions()[c]
			f.tried++
			f.buf = v.write(f.buf, c, f.tried)
			cond := []string{"If-Match", f.etag}
			if f.etag == "" {
				cond = nil // the first, or the first after a failure: whatever is there
			}
			_, err := one.do(ctx, "PUT", "/files?"+s.file(name(c)), f.buf, cond...)
			if r, is := err.(*refusal); is && r.status == 412 {
				return w.saw(fmt.Errorf("client %d wrote over its own version and was refused: %w", c, err))
			}
			if f.etag = ""; err == nil {
				f.etag, f.acked = one.header("Etag"), f.tried
			}
			return err
		}
		after := func(ctx context.Context) error {
			err := each(ctx, o.Clients, 64, func(ctx context.Context, _, c int) error {
				if files[c].acked == 0 {
					return nil
				}
				body, err := s.sessions()[c].do(ctx, "GET", "/files?"+s.file(name(c)), nil)
				if err != nil {
					return fmt.Errorf("%w: %w", ErrLost, err)
				}
				n, err := v.read(body, c)
				if err == nil && (n < files[c].acked || n > files[c].tried) {
					err = fmt.Errorf("it has write %d, and write %d was acknowledged of %d", n, files[c].acked, files[c].tried)
				}
				if err != nil {
					return fmt.Errorf("%w: %s: %w", ErrLost, name(c), err)
				}
				// A version that is gone must be refused, or the load measured no condition.
				if _, err := s.sessions()[c].do(ctx, "PUT", "/files?"+s.file(name(c)), body, "If-Match", `"1"`); err == nil {
					return fmt.Errorf("%w: a write over a version that is gone was taken", ErrLost)
				}
				return nil
			})
			if err != nil {
				return err
			}
			return w.verdict(ctx)
		}
		return Case{Spec: o.Spec("cas", int64(v.size), op), After: after}, nil
	})
}
