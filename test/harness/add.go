package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pfs-project/pfs/test/ports"
)

// Add starts one more node, which joins the others by itself. It is not waited
// for.
func (c *Cluster) Add(args ...string) *Node {
	c.t.Helper()
	return c.AddAt(filepath.Join(c.t.TempDir(), "data"), args...)
}

// AddAt is Add of a node with a data directory of the caller's.
func (c *Cluster) AddAt(dir string, args ...string) *Node {
	c.t.Helper()
	addrs := ports.Free(c.t, 2)
	n := &Node{t: c.t, ID: fmt.Sprintf("n%d", len(c.Nodes)+1), URL: "http://" + addrs[0], Raft: addrs[1],
		Dir: dir, bin: c.Bin}
	n.Log = filepath.Join(c.t.TempDir(), n.ID+".log")
	var join []string
	for _, o := range c.Nodes {
		join = append(join, o.Raft)
	}
	n.args = append([]string{"-addr", addrs[0], "-raft-addr", n.Raft, "-data-dir", n.Dir, "-node-id", n.ID,
		"-join", strings.Join(join, ",")}, args...)
	c.Nodes = append(c.Nodes, n)
	n.Start()
	return n
}

// Wipe ends the node with SIGKILL and removes all that it has.
func (n *Node) Wipe() {
	n.t.Helper()
	n.Kill()
	if err := os.RemoveAll(n.Dir); err != nil {
		n.t.Fatal(err)
	}
}
