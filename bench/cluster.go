package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/bench/child"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/loopback"
)

// Cluster is nodes of PFS on this machine, started for a measurement.
type Cluster struct {
	URLs  []string
	nodes []*node
	free  []func() // gives ports back
}

// node is one process. Its directory and addresses outlive the process.
type node struct {
	url  string
	args []string
	log  string         // file that has what it says
	proc *child.Process // nil: it does not run
}

// Mounts that a new cluster makes by itself, which loads work below.
const (
	FilesMount = "/memfs"
	QueueMount = "/queuefs"
)

// StartCluster starts so many nodes of the pfs program below dir, and waits
// until each is ready and has the mounts. The caller stops them.
func StartCluster(ctx context.Context, program, dir string, nodes int) (*Cluster, error) {
	c := &Cluster{}
	api, raft := make([]string, nodes), make([]string, nodes)
	for i := range 2 * nodes {
		addr, free, err := loopback.Hold()
		if err != nil {
			c.Stop()
			return nil, err
		}
		c.free = append(c.free, free)
		if i < nodes {
			api[i] = addr
		} else {
			raft[i-nodes] = addr
		}
	}
	for i := range nodes {
		home := filepath.Join(dir, strconv.Itoa(i))
		if err := os.MkdirAll(home, 0o700); err != nil {
			c.Stop()
			return nil, err
		}
		args := []string{program, "server", "-addr", api[i], "-raft-addr", raft[i], "-data-dir", home,
			"-node-id", fmt.Sprintf("n%d", i+1), "-log-level", "error"}
		if nodes > 1 {
			args = append(args, "-bootstrap-expect", strconv.Itoa(nodes), "-join", strings.Join(raft, ","))
		}
		n := &node{url: "http://" + api[i], args: args, log: filepath.Join(home, "bench.log")}
		c.nodes, c.URLs = append(c.nodes, n), append(c.URLs, n.url)
		if err := n.start(ctx); err != nil {
			c.Stop()
			return nil, err
		}
	}
	for _, n := range c.nodes {
		if _, err := n.ready(ctx); err != nil {
			c.Stop()
			return nil, err
		}
		if err := mounted(ctx, n.url); err != nil {
			c.Stop()
			return nil, err
		}
	}
	return c, nil
}

// mounted waits until a node has the mounts that it comes with: a new one may be
// ready before it has them.
func mounted(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	one, err := client.New(client.Config{URLs: []string{url}, Retries: -1})
	if err != nil {
		return err
	}
	defer one.Close()
	for _, dir := range []string{FilesMount, QueueMount} {
		for _, err := one.Stat(ctx, dir); err != nil; _, err = one.Stat(ctx, dir) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("the node at %s has no %s: %w", url, dir, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// environ is an environment without what configures PFS: a node is what its flags
// say, whatever server its user's shell is set up for.
func environ(all []string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, "PFS_") })
}

// start starts the process; when ctx ends it is killed.
func (n *node) start(ctx context.Context) (err error) {
	cmd := exec.CommandContext(ctx, n.args[0], n.args[1:]...)
	cmd.Env = environ(os.Environ())
	n.proc, err = child.Start("the node at "+n.url, cmd, n.log)
	return err
}

// ready waits until the node's /readyz says that it serves, and tells how long
// that took from its start.
func (n *node) ready(ctx context.Context) (time.Duration, error) {
	probe, err := dial(n.url, "", nil)
	if err != nil {
		return 0, err
	}
	defer probe.close()
	probe.base = n.url
	return n.proc.Ready(ctx, func(ctx context.Context) error {
		_, err := probe.once(ctx, "GET", "/readyz", nil)
		return err
	})
}

// stop asks the process to end, or with hard kills it, and waits for it.
func (n *node) stop(hard bool) {
	switch {
	case n.proc == nil:
	case hard:
		n.proc.Kill()
	default:
		_ = n.proc.Stop(30 * time.Second) // it has ended, one way or the other
	}
	n.proc = nil
}

// Stop ends the nodes and gives their ports back. Their directories stay.
func (c *Cluster) Stop() {
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		wg.Go(func() { n.stop(false) })
	}
	wg.Wait()
	for _, free := range c.free {
		free()
	}
	c.free = nil
}

// Groups are the process groups of the nodes that run.
func (c *Cluster) Groups() (ids []int) {
	for _, n := range c.nodes {
		if n.proc != nil {
			ids = append(ids, n.proc.Group())
		}
	}
	return ids
}

// memory is what the nodes hold resident, in bytes; 0 where the system does not
// tell.
func (c *Cluster) memory() (sum int64) {
	for _, n := range c.nodes {
		sum += n.memory()
	}
	return sum
}

// memory is what the node holds resident, in bytes; 0 if it does not run, or
// where the system does not tell.
func (n *node) memory() int64 {
	if n.proc == nil {
		return 0
	}
	f := strings.Fields(proc(fmt.Sprintf("%d/statm", n.proc.Group())))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64) // 0 is what is wanted then
	return pages * int64(os.Getpagesize())
}
