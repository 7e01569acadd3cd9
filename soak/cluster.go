//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	pfs "github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/soak/history"
	"github.com/pfs-project/pfs/soak/link"
	"github.com/pfs-project/pfs/test/harness"
)

// setup says what cluster to start.
type setup struct {
	name  string
	nodes int
	store string // of the log: bolt or pebble
	bin   string // of the programs
	disks bool   // each node has a disk of its own
	clock bool   // the programs take their clock from a file
}

const diskSize = 400 // MiB

// cluster is what is hurt for some rounds.
type cluster struct {
	*harness.Cluster
	t       testing.TB
	setup   setup
	net     *link.Net
	disks   []*harness.Disk
	clocks  string // directory of the files that set the clocks
	asks    []*pfs.Client
	begun   time.Time
	round   int
	witness *history.Witness
	usage   []usage // of each node, after the round that is compared with
}

// startCluster starts a cluster. What the clients work in is not made yet.
func startCluster(t testing.TB, s setup) *cluster {
	t.Helper()
	c := &cluster{t: t, setup: s, net: link.New(), begun: time.Now(), witness: history.NewWitness(roots(), given())}
	t.Cleanup(c.net.Close)
	o := harness.Options{Nodes: s.nodes, Bin: s.bin, NoReady: true,
		Front: func(node int, raft string) string {
			addr, err := c.net.Front(name(node), raft)
			if err != nil {
				t.Fatal(err)
			}
			return addr
		},
		Config: func(int) string {
			return "cluster: {log_store: " + s.store + "}\n" +
				"plugins: {memfs: {path: /memfs}, kvfs: {path: /kvfs}, queuefs: {path: /queuefs}}\n"
		}}
	if s.disks {
		for range s.nodes {
			c.disks = append(c.disks, harness.NewDisk(t, diskSize))
		}
		o.Dir = func(node int) string { return filepath.Join(c.disks[node].Dir(), "data") }
	}
	if s.clock {
		c.clocks = t.TempDir()
		o.Env = []string{"PFS_SOAK_CLOCK=" + c.clocks}
	}
	c.Cluster = harness.Start(t, o)
	for i := range c.Nodes {
		c.asks = append(c.asks, c.Nodes[i].Client())
	}
	for i := range c.Nodes {
		if err := c.ready(i, bootTime); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// name is what node i is called.
func name(i int) string { return fmt.Sprintf("n%d", i+1) }

// now is the one clock of the history.
func (c *cluster) now() time.Duration { return time.Since(c.begun) }

// prepare makes the directories and the queues, and has the witness see it.
func (c *cluster) prepare() error {
	cl := c.newClient(probers, 0)
	defer cl.close()
	ops := []*history.Op{{Kind: history.Mkdir, Path: registers}, {Kind: history.Mkdir, Path: tree}}
	for i := range hotQueues {
		ops = append(ops, &history.Op{Kind: history.Mkdir, Path: fmt.Sprintf("%s/q%d", queues, i)})
	}
	for i, o := range ops {
		o.ID, o.Keyed = fmt.Sprintf("make.%d", i), true
		cl.do(o, manner{nodes: []int{0, 1, 2}, within: 30 * time.Second})
		if o.Status != history.OK {
			return fmt.Errorf("prepare: %s", o)
		}
	}
	index, err := c.agree(agreeTime)
	if err != nil {
		return err
	}
	_, found, err := c.judge(ops, index, c.now())
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("prepare: %s: %s", found[0].What, found[0].Text)
	}
	return err
}

const (
	bootTime  = 30 * time.Second // for a node to be ready
	agreeTime = 60 * time.Second // for all nodes to be at one index
	askTime   = 3 * time.Second  // one question
)

// ready waits until node i is ready.
func (c *cluster) ready(i int, within time.Duration) error {
	n := c.Nodes[i]
	cl := http.Client{Timeout: askTime}
	defer cl.CloseIdleConnections()
	var last error
	ok := harness.Poll(within, func() bool {
		if !n.Alive() {
			last = errors.New("the process has ended")
			return true
		}
		resp, err := cl.Get(n.URL + "/api/v1/ready")
		if err != nil {
			last = err
			return false
		}
		resp.Body.Close()
		if last = nil; resp.StatusCode != http.StatusOK {
			last = errors.New(resp.Status)
		}
		return last == nil
	})
	if !ok || last != nil {
		return fmt.Errorf("%s is not ready after %v: %w\n%s", n.ID, within, last, n.Tail())
	}
	return nil
}

// leader returns the number of the node that leads, as a majority sees it; -1
// if there is none within the time.
func (c *cluster) leader(within time.Duration) int {
	found := -1
	harness.Poll(within, func() bool {
		votes := map[string]int{}
		for i, n := range c.Nodes {
			if !n.Alive() {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), askTime)
			s, err := c.asks[i].Cluster(ctx)
			cancel()
			if err == nil && s.LeaderID != "" {
				votes[s.LeaderID]++
			}
		}
		for i, n := range c.Nodes {
			if votes[n.ID] > len(c.Nodes)/2 && n.Alive() {
				found = i
			}
		}
		return found >= 0
	})
	return found
}

// agree waits until all nodes have applied one index and returns it; digests
// that differ there are an error.
func (c *cluster) agree(within time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var index uint64
	var last error
	for ctx.Err() == nil {
		digests, indexes := map[string]bool{}, map[uint64]bool{}
		for _, a := range c.asks {
			s, err := a.Sums(ctx, index)
			if last = err; err != nil {
				break
			}
			index = max(index, s.Index)
			digests[s.Digest+s.Own], indexes[s.Index] = true, true
		}
		switch {
		case last != nil || len(indexes) > 1:
		case len(digests) > 1:
			return index, fmt.Errorf("%w at index %d", errDiverged, index)
		default:
			return index, nil
		}
	}
	return index, fmt.Errorf("the nodes did not settle at one index: %w", errors.Join(ctx.Err(), last))
}

// errDiverged says that nodes hold different states at one index.
var errDiverged = errors.New("the digests of the nodes differ")

// start starts node i, also if its process has ended by itself, and waits until
// it is ready.
func (c *cluster) start(i int) error {
	if !c.Nodes[i].Alive() {
		c.Nodes[i].Kill() // takes note of its end
	}
	c.Nodes[i].Start()
	return c.ready(i, bootTime)
}
