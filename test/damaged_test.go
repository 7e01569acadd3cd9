package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/vfs"
)

// TestDamagedNodes damages the log of one node of three, and then of another:
// each ends with code 5 and says what to do, the cluster goes on without one
// and refuses without two, and the procedure brings all back.
func TestDamagedNodes(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 3, Args: []string{"-log-level", "warn"},
		Config: func(int) string { return "cluster: {log_store: bolt}\nplugins: {memfs: {path: /memfs}}\n" }})
	cl := c.Client(0)
	for i := range 40 {
		if _, err := cl.WriteFile(t.Context(), fmt.Sprintf("/memfs/%d", i), bytes.Repeat([]byte{byte(i)}, 1+i*5000)); err != nil {
			t.Fatal(err)
		}
	}
	c.SameDigest()
	refuses(t, c.Nodes[2], "raft/raft.db", 60)
	if _, err := cl.WriteFile(t.Context(), "/memfs/without-one", []byte("x")); err != nil {
		t.Fatalf("write beside a damaged node: %v", err)
	}
	refuses(t, c.Nodes[1], "state/CURRENT", 0)
	var err error
	refused := harness.Poll(20*time.Second, func() bool {
		_, err = c.Nodes[0].Client().WriteFile(t.Context(), "/memfs/without-two", []byte("x"))
		return vfs.KindOf(err) == vfs.Unavailable && strings.Contains(err.Error(), "no leader")
	})
	if !refused {
		t.Errorf("write without a quorum: %v", err)
	}
	// Two of three are damaged: what they hold is brought back first, for one.
	mend(t, c.Nodes[1], "state/CURRENT")
	c.Nodes[1].Start()
	c.Nodes[1].Ready()
	if err := os.Rename(c.Nodes[2].Dir, c.Nodes[2].Dir+".damaged"); err != nil {
		t.Fatal(err)
	}
	c.Nodes[2].Start()
	c.Ready()
	index, digest := c.SameDigest()
	last := stubborn(t, c.Nodes[2])
	for i := range 40 {
		b, err := last.ReadFile(t.Context(), fmt.Sprintf("/memfs/%d", i))
		if err != nil || !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, 1+i*5000)) {
			t.Errorf("file %d: %d bytes, %v", i, len(b), err)
		}
	}
	t.Logf("digest at %d %.16s", index, digest)
}

// refuses stops a node, damages a byte of a file of it, and sees it refuse to
// start.
func refuses(t *testing.T, n *harness.Node, file string, at int) {
	t.Helper()
	n.Stop()
	name := filepath.Join(n.Dir, file)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".good", b, 0o600); err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	n.Start()
	if !harness.Poll(20*time.Second, func() bool { return !n.Alive() }) {
		t.Fatalf("%s runs with a damaged %s", n.ID, file)
	}
	if code := n.Stop(); code != 5 {
		t.Errorf("%s: exit code %d with a damaged %s", n.ID, code, file)
	}
	if log := n.Tail(); !strings.Contains(log, "the data of this node is damaged") || !strings.Contains(log, "move its directory aside") {
		t.Errorf("%s says\n%s", n.ID, log)
	}
}

// mend puts back what refuses damaged.
func mend(t *testing.T, n *harness.Node, file string) {
	t.Helper()
	name := filepath.Join(n.Dir, file)
	if err := os.Rename(name+".good", name); err != nil {
		t.Fatal(err)
	}
}
