package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
)

// contended has all clients add one to the number in one file: each reads it, and
// writes over the version that it read, until it is the first to do so. In the
// end the number is that of the writes that were acknowledged.
func contended(ctx context.Context, s *stage) error {
	return s.perClients(ctx, func(o Options) (Case, error) {
		file := "/files?" + s.file(unique("contended"))
		var acked, unknown atomic.Int64
		number := func(b []byte) (int64, error) { return strconv.ParseInt(string(bytes.TrimLeft(b, " ")), 10, 64) }
		op := func(ctx context.Context, c, _ int) error {
			for one := s.sessions()[c]; ; {
				body, err := one.do(ctx, "GET", file+"&consistency=linearizable", nil)
				if err != nil {
					return err
				}
				n, err := number(body)
				if err != nil {
					return err
				}
				_, err = one.do(ctx, "PUT", file, fmt.Appendf(nil, "%*d", o.Size, n+1), "If-Match", one.header("Etag"))
				r, refused := err.(*refusal)
				switch {
				case err == nil:
					acked.Add(1)
					return nil
				case !refused || r.status != 412:
					unknown.Add(1)
					return err
				}
			}
		}
		before := func(ctx context.Context) error {
			_, err := s.sessions()[0].do(ctx, "PUT", file, fmt.Appendf(nil, "%*d", o.Size, 0))
			return err
		}
		after := func(ctx context.Context) error {
			body, err := s.sessions()[0].do(ctx, "GET", file+"&consistency=linearizable", nil)
			if err != nil {
				return err
			}
			n, err := number(body)
			if a := acked.Load(); err != nil || n < a || n > a+unknown.Load() {
				return fmt.Errorf("%w: the number is %.40q after %d writes that were acknowledged and %d that may have been done", ErrLost, body, a, unknown.Load())
			}
			return nil
		}
		return Case{Spec: o.Spec("contended", int64(o.Size), op), Before: before, After: after}, nil
	})
}
