package test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/vfs"
)

// votersAre waits until exactly these nodes vote.
func votersAre(t *testing.T, c *client.Client, want ...string) {
	t.Helper()
	var got []string
	ok := harness.Poll(60*time.Second, func() bool {
		got = nil
		s, err := c.Cluster(context.Background())
		for _, n := range s.Nodes {
			if err == nil && n.Role == "voter" {
				got = append(got, n.ID)
			}
		}
		return strings.Join(got, " ") == strings.Join(want, " ")
	})
	if !ok {
		t.Fatalf("the voters are %v, not %v", got, want)
	}
}

// TestMembersUnderLoad goes from three nodes to five and back to three under
// 16 clients, the leader among those that leave, and wipes a node on the way.
// Nothing acknowledged may be lost or doubled.
func TestMembersUnderLoad(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	w := startLoad(t, c, 16)
	goesOn := func() {
		t.Helper()
		before := w.acked()
		if !harness.Poll(2*time.Minute, func() bool { return w.acked() >= before+100 }) {
			t.Fatal("writes do not go on")
		}
	}
	goesOn()
	last := c.Add() // it stays
	c.Add()
	c.Ready()
	votersAre(t, last.Client(), "n1", "n2", "n3", "n4", "n5")
	goesOn()
	leader := leaderAmong(t, c, c.Nodes[:3]) // the others are needed below
	removed(t, c, leader.ID)
	goesOn()
	c.Nodes[4].Wipe()
	goesOn()
	c.Nodes[4].Start()
	c.Nodes[4].Ready()
	var left []*harness.Node
	var voters []string
	for _, n := range c.Nodes {
		if n != leader {
			left, voters = append(left, n), append(voters, n.ID)
		}
	}
	votersAre(t, last.Client(), voters...)
	goesOn()
	removed(t, c, left[0].ID)
	votersAre(t, last.Client(), voters[1:]...)
	goesOn()
	w.stop()
	for _, n := range []*harness.Node{leader, left[0]} { // they know, and say so
		var err error
		if !harness.Poll(60*time.Second, func() bool { // one that is behind finds out by asking
			var e *client.Error
			_, err = n.Client().WriteFile(t.Context(), "/memfs/x", nil)
			return err == nil || errors.As(err, &e) && e.Status == 503 && strings.Contains(e.Message, "was removed")
		}) || err == nil {
			t.Errorf("a write at %s, which was removed: %v", n.ID, err)
		}
		if code := n.Stop(); code != 0 {
			t.Errorf("%s ended with code %d", n.ID, code)
		}
	}
	c.Nodes = left[1:]
	w.verify(c)
	index, digest := c.SameDigest()
	t.Logf("%d writes acknowledged; digest at %d %.16s", w.acked(), index, digest)
}

// leaderAmong returns the leader, once it is one of these.
func leaderAmong(t *testing.T, c *harness.Cluster, nodes []*harness.Node) (leader *harness.Node) {
	t.Helper()
	if !harness.Poll(time.Minute, func() bool {
		if leader = c.Leader(); slices.Contains(nodes, leader) {
			return true
		}
		_, _ = c.Client(0).Transfer(t.Context(), nodes[0].ID) // seen by who leads then
		return false
	}) {
		t.Fatalf("the leader is %+v", leader)
	}
	return leader
}

// removed takes a node out of the cluster, and asks again while a leader is elected.
func removed(t *testing.T, c *harness.Cluster, id string) {
	t.Helper()
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	var out string
	if !harness.Poll(time.Minute, func() bool {
		var err error
		out, err = harness.Output(filepath.Join(c.Bin, "pfs"), "--url", strings.Join(urls, ","), "cluster", "remove", id)
		return err == nil && (strings.Contains(out, id+" is removed") || strings.Contains(out, id+" is not a member already")) // by a try that was not answered
	}) {
		t.Error(out)
	}
}

// TestDivergedNode changes one row in the state of one node. The comparison
// names the node and the mount, and an empty directory makes it well again.
func TestDivergedNode(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	putFile(t, c.Client(0), "/memfs/a", "what all should have")
	c.SameDigest()
	n := c.Nodes[1]
	if code := n.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	flip(t, n.Dir, "what all should have")
	n.Start()
	n.Ready()
	verify := func() (string, int) {
		t.Helper()
		cmd := exec.Command(filepath.Join(c.Bin, "pfs"), "cluster", "verify")
		cmd.Env = append(os.Environ(), "PFS_URL="+c.Nodes[0].URL)
		out, err := cmd.CombinedOutput()
		var e *exec.ExitError
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	var out string
	var code int
	harness.Poll(time.Minute, func() bool { // 5: a node has not answered yet
		out, code = verify()
		return code != 5
	})
	t.Log(out)
	if code != 1 || !strings.Contains(out, "\nn2 differs in /memfs\nDIVERGED at entry ") || !strings.Contains(out, "\nhint: stop n2, ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	n.Stop()
	n.Wipe()
	n.Start()
	n.Ready()
	if !harness.Poll(time.Minute, func() bool {
		out, code = verify()
		return code != 5
	}) || code != 0 || !strings.Contains(out, "MATCH") {
		t.Errorf("after it was wiped: exit code %d\n%s", code, out)
	}
	c.SameDigest()
}

// flip changes a byte of the one row of a stopped node's state that holds text.
func flip(t *testing.T, dir, text string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(dir, "state", "*", "MANIFEST-*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no store in %s: %v", dir, err)
	}
	st, err := store.Open(filepath.Dir(dirs[0]), store.Options{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	var rows []store.KV
	for k, v := range st.View().Scan([]byte{vfs.MountSpace}, nil) {
		if i := strings.Index(string(v), text); i >= 0 {
			b := append([]byte(nil), v...)
			b[i] ^= 1
			rows = append(rows, store.KV{Key: append([]byte(nil), k...), Value: b})
		}
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows hold %q", len(rows), text)
	}
	if err := errors.Join(st.Commit(nil, rows...), st.Sync(), st.Close()); err != nil {
		t.Fatal(err)
	}
}
