package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// fillers is how many clients write the keys of scale at once. There is no batch
// of files, and the more of them wait the more go into one entry of the log.
const fillers = 256

// scale measures reads and writes with more and more keys, what the nodes hold
// in memory then, and how long one takes to restart.
func scale(ctx context.Context, s *stage) error {
	filled, first := 0, 0.0
	for _, keys := range s.Counts {
		o := s.Options
		o.Clients, o.Keys = s.Clients[len(s.Clients)-1], keys
		name := fmt.Sprintf("%d keys", keys)
		books := newShelf(s.target.KV, o, uniform)
		if err := s.grow(ctx, o, filled, name); err != nil {
			return err
		}
		filled = keys
		get := func(ctx context.Context, c, _ int) error { return books.get(ctx, c) }
		if err := s.measure(ctx, Case{Spec: o.Spec("get, "+name, int64(o.Size), get), After: books.verdict}); err != nil {
			return err
		}
		if p99 := s.result.Loads[len(s.result.Loads)-1].P99; first == 0 {
			first = p99
		} else if p99 > 0 {
			s.fact(fmt.Sprintf("p99 of get with %s over that with %d", name, s.Counts[0]), p99/first, "")
		}
		put, err := putCase(s.target, o)
		if err != nil {
			return err
		}
		put.Spec.Name = "put, " + name
		if err := s.measure(ctx, put); err != nil {
			return err
		}
		s.resident("resident, each node, " + name)
		s.peak("peak resident, each node, " + name)
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

// grow writes the keys from a number on up to o.Keys, and notes how fast.
func (s *stage) grow(ctx context.Context, o Options, from int, name string) error {
	o.Clients = min(fillers, o.Keys-from)
	if o.Clients < 1 {
		return fmt.Errorf("numbers of keys rise, and %d is no more than %d", o.Keys, from)
	}
	r, err := s.server.open(o.Clients)
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }() // connections of a load that is over
	fmt.Fprintf(s.Log, "  filling to %s\n", name)
	var done atomic.Int64
	begun := time.Now()
	defer s.tell(&done, int64(o.Keys-from), begun)()
	books := newShelf(&counted{r, &done}, o, uniform)
	if err := books.fill(ctx, from); err != nil {
		return err
	}
	s.fact("load rate up to "+name, float64(o.Keys-from)/time.Since(begun).Seconds(), "keys/s")
	return nil
}

// counted counts what is put.
type counted struct {
	*rest
	done *atomic.Int64
}

// Put implements target.KV.
func (c *counted) Put(ctx context.Context, client int, key string, value []byte) error {
	err := c.rest.Put(ctx, client, key, value)
	if err == nil {
		c.done.Add(1)
	}
	return err
}

// tell logs how much of a long work is done, and what is left, until it is ended.
func (s *stage) tell(done *atomic.Int64, all int64, begun time.Time) (end func()) {
	tick := time.NewTicker(10 * time.Second)
	over := make(chan struct{})
	go func() {
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				n, took := done.Load(), time.Since(begun)
				left := time.Duration(float64(took) / float64(max(n, 1)) * float64(all-n))
				fmt.Fprintf(s.Log, "  %d of %d, %.0f a second, %s left\n", n, all, float64(n)/took.Seconds(), left.Round(time.Second))
			}
		}
	}()
	return func() { tick.Stop(); close(over) }
}

// restart stops or kills a node, starts it, and notes how long it took to serve
// and what it holds in memory then.
func (s *stage) restart(ctx context.Context, name string, n *node, kill bool) error {
	n.stop(kill)
	if err := n.start(ctx); err != nil {
		return err
	}
	took, err := n.ready(ctx)
	if err == nil {
		s.fact(name, took.Seconds(), "s")
		if m := n.memory(); m > 0 {
			s.fact("resident after "+name, float64(m)/(1<<20), "MiB")
		}
	}
	return err
}
