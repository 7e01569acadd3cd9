package bench

import (
	"context"
	"encoding/json"
	"strings"
)

// takeAck puts a message in, takes one under a lease and acknowledges it: three
// requests count as one.
func takeAck(ctx context.Context, s *stage) error {
	queue := s.target.Queue.(*rest).queue
	return s.perClients(ctx, func(o Options) (Case, error) {
		p := newPost(o.Clients, o.Size)
		take := func(ctx context.Context, c int) ([]byte, error) {
			one := s.sessions()[c]
			body, err := one.once(ctx, "GET", queue+"/take&lease=60s", nil)
			if err != nil {
				return nil, err
			}
			var m struct{ Data, Lease string }
			if err := json.Unmarshal(body, &m); err != nil || m.Lease == "" {
				return nil, err
			}
			data := []byte(strings.Clone(m.Data))
			_, err = one.do(ctx, "PUT", queue+"/ack", []byte(`{"lease":"`+m.Lease+`"}`))
			return data, err
		}
		op := func(ctx context.Context, c, _ int) error {
			if _, err := s.sessions()[c].do(ctx, "PUT", queue+"/enqueue", p.next(c)); err != nil {
				return err
			}
			p.sent(c)
			return p.receive(func() ([]byte, error) { return take(ctx, c) })
		}
		after := func(ctx context.Context) error {
			return p.check(ctx, func(ctx context.Context) ([]byte, error) { return take(ctx, 0) })
		}
		return Case{Spec: o.Spec("take", int64(o.Size), op), After: after}, nil
	})
}
