package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// judge ends the node if another one knows that it must not run in this
// directory.
func (n *Node) judge(h hello) {
	me := n.self.card()
	if h.Of == nil || h.Cluster != me.Cluster {
		return
	}
	if err := h.Of.Replaced(me.Incarnation, me.Boots); err != nil {
		n.fail(copyError(err))
	}
}

// copyError says what to do with a directory that has been replaced.
func copyError(cause error) error {
	return fmt.Errorf("%w: %w: start with an empty directory, and this node fetches everything from the others", ErrDirectory, cause)
}

// checkCopy asks the nodes that can be reached what they know of this one,
// before it takes part in anything: nobody may run in an old copy of a
// directory, or in one of another cluster.
func (n *Node) checkCopy(ctx context.Context) error {
	me := n.self.card()
	if me.Cluster == "" {
		return nil
	}
	addrs := n.around()
	errs := make([]error, len(addrs))
	strange := make([]bool, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { strange[i], errs[i] = n.checkWith(ctx, addr, me) })
	}
	wg.Wait()
	var asked, others []string
	for i, addr := range addrs {
		if errs[i] != nil {
			return errs[i]
		}
		if slices.Contains(n.c.Join, addr) {
			asked = append(asked, addr)
			if strange[i] {
				others = append(others, addr)
			}
		}
	}
	if 2*len(others) > len(asked) {
		return fmt.Errorf("%w: it is of cluster %s, but %v are of another: name the directory or the peers of this node", ErrDirectory, me.Cluster, others)
	}
	return nil
}

// checkWith asks one node; other says that it belongs to another cluster.
func (n *Node) checkWith(ctx context.Context, addr string, me card) (other bool, err error) {
	h, err := n.hello(ctx, target{address: addr})
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r.cluster != "" && r.cluster != me.Cluster, nil
	case err != nil || h.Cluster != me.Cluster: // not there, or of no cluster
		return false, nil
	case h.ID == n.id && h.Nonce != n.nonce:
		return false, fmt.Errorf("%w: node %s is running at %s: stop it, or give this node another id and an empty directory", ErrDirectory, n.id, addr)
	case h.Of == nil:
		return false, nil
	}
	if err := h.Of.Replaced(me.Incarnation, me.Boots); err != nil {
		return false, copyError(err)
	}
	return false, nil
}
