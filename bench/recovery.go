package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pfs-project/pfs/client"
)

// recoveryValue is the size of the values that make up the state: all of it rows,
// none of it chunks.
const recoveryValue = 16 << 10

// recovery fills the state, and restarts a node after a stop and after a kill.
// Of several nodes a follower is also kept out while a quarter more is written,
// and the time counts until it has all of it.
func recovery(ctx context.Context, s *stage) error {
	o := s.Options
	o.Size, o.Keys = recoveryValue, max(2, int(o.State/recoveryValue))
	o.Clients = min(64, o.Keys)
	r, err := s.server.open(o.Clients)
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }()
	books := newShelf(r, o, uniform)
	fmt.Fprintf(s.Log, "  writing %d MiB\n", int64(o.Keys)*recoveryValue>>20)
	if err := books.fill(ctx, 0); err != nil {
		return err
	}
	s.peak("peak resident while it was written, each node")
	size := fmt.Sprintf(", %d MiB", int64(o.Keys)*recoveryValue>>20)
	// The last node: with several, a leader that goes would be another measurement.
	n := s.cluster.nodes[len(s.cluster.nodes)-1]
	if len(s.cluster.nodes) > 1 {
		if n, err = s.follower(ctx); err != nil {
			return err
		}
	}
	if err := s.restart(ctx, "restart to ready after a stop"+size, n, false); err != nil {
		return err
	}
	if err := s.restart(ctx, "restart to ready after a kill"+size, n, true); err != nil {
		return err
	}
	if len(s.cluster.nodes) > 1 {
		if err := s.catchUp(ctx, o, n, size); err != nil {
			return err
		}
	}
	return each(ctx, o.Keys, o.Clients, func(ctx context.Context, w, i int) error {
		return arrives(ctx, func() error {
			b, err := r.Get(ctx, w, books.key(i), nil)
			if err == nil {
				_, err = books.values.read(b, i)
			}
			if err != nil {
				err = fmt.Errorf("%w: %s after the restarts: %w", ErrLost, books.key(i), err)
			}
			return err
		})
	})
}

// follower is a node that does not lead.
func (s *stage) follower(ctx context.Context) (*node, error) {
	status, err := s.api.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range status.Nodes {
		for _, own := range s.cluster.nodes {
			if n.State == "follower" && n.HTTPAddress == own.url {
				return own, nil
			}
		}
	}
	return nil, errors.New("no node follows")
}

// catchUp writes while a follower is down, and waits until it has everything.
func (s *stage) catchUp(ctx context.Context, o Options, n *node, size string) error {
	n.stop(true)
	var up []string
	for _, other := range s.cluster.nodes {
		if other != n {
			up = append(up, other.url)
		}
	}
	api, err := client.New(client.Config{URLs: up})
	if err != nil {
		return err
	}
	defer api.Close()
	v := newValues(recoveryValue)
	more := max(1, o.Keys/4)
	err = each(ctx, more, 64, func(ctx context.Context, _, i int) error {
		_, err := api.WriteFile(ctx, fmt.Sprintf("%s/more-%d", s.server.Files, i), v.write(nil, i, i))
		return err
	})
	if err != nil {
		return err
	}
	at := time.Now()
	if err := n.start(ctx); err != nil {
		return err
	}
	if _, err := n.ready(ctx); err != nil {
		return err
	}
	one, err := client.New(client.Config{URLs: []string{n.url}, Retries: 100})
	if err != nil {
		return err
	}
	defer one.Close()
	if _, _, err := one.Digest(ctx, api.LastIndex()); err != nil {
		return err
	}
	s.fact(fmt.Sprintf("follower catches up with %d MiB%s", int64(more)*recoveryValue>>20, size), time.Since(at).Seconds(), "s")
	return nil
}
