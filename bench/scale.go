package bench

import (
	"context"
	"fmt"
)

// scale measures reads and writes with more and more keys, what the nodes hold
// in memory then, and how long one takes to restart.
func scale(ctx context.Context, s *stage) error {
	filled := 0
	for _, keys := range s.Counts {
		o := s.Options
		o.Clients, o.Keys = s.Clients[len(s.Clients)-1], keys
		name := fmt.Sprintf("%d keys", keys)
		fmt.Fprintf(s.Log, "  filling to %s\n", name)
		books := newShelf(s.target.KV, o, uniform)
		get := func(ctx context.Context, c, _ int) error { return books.get(ctx, c) }
		from := filled
		err := s.measure(ctx, Case{Spec: o.Spec("get, "+name, int64(o.Size), get), After: books.verdict,
			Before: func(ctx context.Context) error { return books.fill(ctx, from) }})
		if err != nil {
			return err
		}
		filled = keys
		put, err := putCase(s.target, o)
		if err != nil {
			return err
		}
		put.Spec.Name = "put, " + name
		if err := s.measure(ctx, put); err != nil {
			return err
		}
		if m := s.cluster.memory(); m > 0 {
			s.fact("resident, each node, "+name, float64(m)/float64(len(s.cluster.nodes))/(1<<20), "MiB")
		}
		if err := s.restart(ctx, "restart to ready, "+name, s.cluster.nodes[0], false); err != nil {
			return err
		}
		// What was read before is there after the restart.
		if err := each(ctx, min(keys, checked), min(o.Clients, 64), func(ctx context.Context, w, _ int) error {
			return arrives(ctx, func() error { return books.get(ctx, w) })
		}); err != nil {
			return fmt.Errorf("after the restart: %w", err)
		}
	}
	return nil
}

// restart stops or kills a node, starts it, and notes how long it took to serve.
func (s *stage) restart(ctx context.Context, name string, n *node, kill bool) error {
	n.stop(kill)
	if err := n.start(); err != nil {
		return err
	}
	took, err := n.ready(ctx)
	if err == nil {
		s.fact(name, took.Seconds(), "s")
	}
	return err
}
