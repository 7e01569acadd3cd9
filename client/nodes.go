package client

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// nodes returns the nodes that are known, those that were given first.
func (c *Client) nodes() []string { return *c.bases.Load() }

// node returns the one that is asked now.
func (c *Client) node() string {
	nodes := c.nodes()
	return nodes[int(c.current.Load())%len(nodes)]
}

// turn makes the next call ask another node, unless one has done so already
// since node was asked.
func (c *Client) turn(node uint32) {
	c.current.CompareAndSwap(node, node+1)
	c.lookout.doubt.Store(true)
}

// Discover asks the cluster for its nodes, so that the Client survives the loss
// of all that it was given, and from now on asks the leader first, which saves
// others the forwarding. Nodes that were given stay, those that an earlier answer
// named and this one does not are forgotten. Of a cluster that is reached by
// https only nodes that advertise https are taken.
func (c *Client) Discover(ctx context.Context) error {
	s, err := c.Cluster(ctx)
	if err != nil {
		return err
	}
	nodes, first := slices.Clone(c.given), c.node()
	for _, n := range s.Nodes {
		base, err := parseBase(n.HTTPAddress)
		if err != nil || strings.HasPrefix(c.given[0], "https:") && !strings.HasPrefix(base, "https:") {
			continue // one that is not reached so, or not so safely
		}
		if !slices.Contains(nodes, base) {
			nodes = append(nodes, base)
		}
		if n.ID == s.LeaderID {
			first = base
		}
	}
	c.bases.Store(&nodes)
	c.current.Store(uint32(max(slices.Index(nodes, first), 0)))
	return nil
}

// lookout is when the nodes of the cluster are looked for.
type lookout struct {
	on    bool
	doubt atomic.Bool // a request failed since, or none was sent yet
	mu    sync.Mutex  // one looks at a time
	last  time.Time
}

const (
	searchPause = 5 * time.Second // between two searches
	searchTime  = 2 * time.Second // of one
)

// look discovers the nodes where that was asked for and it is time. Without an
// answer the nodes stay as they are known.
func (c *Client) look(ctx context.Context) {
	s := &c.lookout
	if !s.on || !s.doubt.Load() || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if time.Since(s.last) < searchPause {
		return
	}
	s.last = time.Now()
	s.doubt.Store(false)
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	if c.Discover(ctx) != nil {
		s.doubt.Store(true)
	}
}
