package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestRecover loses two of three nodes for ever under load, recovers the third,
// and has the two join again empty: all that was acknowledged is there.
func TestRecover(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { recoverOne(t, "bolt") })
	t.Run("pebble", func(t *testing.T) { recoverOne(t, "pebble") })
}

func recoverOne(t *testing.T, logStore string) {
	config := fmt.Sprintf("cluster: {log_store: %s}\nplugins: {memfs: {path: /memfs}, queuefs: {path: /queuefs}}\n", logStore)
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string { return config }})
	left := c.Nodes[1]
	w := startLoad(t, c, 8)
	if !harness.Poll(2*time.Minute, func() bool { return w.acked() > 200 }) {
		t.Fatal("no load")
	}
	w.stop()
	// What a quorum acknowledged may be missing on one node: a survivor that
	// has not heard of it cannot bring it back. So it is waited for.
	_, was := c.SameDigest()
	status, err := left.Client().Cluster(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"cluster", "recover", "--data-dir", left.Dir, "--cluster-id", status.ClusterID}
	if _, stderr, code := cli(t, left, c.Bin, args...); code != 6 || !strings.Contains(stderr, "in use") {
		t.Errorf("beside the running node: exit code %d, %s", code, stderr)
	}
	for _, n := range c.Nodes {
		if n != left {
			n.Kill()
			if err := os.RemoveAll(n.Dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "b")
	if _, stderr, code := cli(t, left, c.Bin, "cluster", "backup", "--timeout", "2s", file); code != 5 {
		t.Errorf("a fresh backup without a quorum: exit code %d, %s", code, stderr)
	}
	var info backupInfo
	if ok(t, left, c.Bin, &info, "cluster", "backup", "--local", file); info.Digest != was {
		t.Errorf("the backup is of %s, it was %s", info.Digest, was)
	}
	left.Kill()
	if _, stderr, code := cli(t, left, c.Bin, "cluster", "recover", "--data-dir", left.Dir, "--cluster-id", "yes"); code != 1 || !strings.Contains(stderr, "node.json has the id") {
		t.Errorf("with a wrong id: exit code %d, %s", code, stderr)
	}
	stdout, stderr, code := cli(t, left, c.Bin, args...)
	if code != 0 || !strings.Contains(stdout, "recovered at index") || !strings.Contains(stderr, "empty the data directories of n1, n3") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(left.Dir, "recovered.json")); err != nil {
		t.Error(err)
	}
	left.Start()
	left.Ready()
	if s, err := left.Client().Sums(context.Background(), 0); err != nil || s.Digest != was {
		t.Errorf("digest %s, was %s (%v)", s.Digest, was, err)
	}
	if !strings.Contains(left.Tail(), "recovered without a quorum") {
		t.Errorf("the log does not say so:\n%s", left.Tail())
	}
	putFile(t, left.Client(), "/memfs/alone", "1")
	c.StartAll()
	c.Ready()
	voters := harness.Poll(60*time.Second, func() bool {
		s, err := left.Client().Cluster(context.Background())
		voters := 0
		for _, n := range s.Nodes {
			if n.Role == "voter" {
				voters++
			}
		}
		return err == nil && voters == 3
	})
	if !voters {
		t.Fatal("the others do not vote again")
	}
	c.SameDigest()
	w.verify(c)
	left.Kill()
	putFile(t, c.Client(0), "/memfs/without", "1")
	left.Start()
	c.Ready()
	c.SameDigest()
}
