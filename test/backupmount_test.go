package test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
)

// TestBackupsInABucket has a cluster back itself up into a bucket of a real S3
// server, and a new cluster take over from there.
func TestBackupsInABucket(t *testing.T) {
	t.Parallel()
	s := s3server.Start(t)
	config := "server: {backup: {every: 1s, dir: 'pfs:/s3/kept/daily', keep: 2}}\nplugins: {memfs: {path: /memfs}}\n"
	c := harness.Start(t, harness.Options{Nodes: 3, Env: []string{"S3_TEST_SECRET=" + s3server.Secret}, Config: func(int) string { return config }})
	putFile(t, c.Client(0), "/memfs/a", "kept in a bucket")
	told := func(n *harness.Node) bool { return logged(t, n, "there is no mount at /s3") } // whoever leads then
	if !harness.Poll(20*time.Second, func() bool { return slices.ContainsFunc(c.Nodes, told) }) {
		t.Errorf("no word of the mount that is missing\n%s\n%s\n%s", c.Nodes[0].Tail(), c.Nodes[1].Tail(), c.Nodes[2].Tail())
	}
	newWeb(t, c.Nodes[0]).mount("s3fs", "/s3", s.JSON("data"))
	backups := func() []string {
		found, err := filepath.Glob(filepath.Join(s.Dir, "data", "kept", "daily", "*.pfsbackup"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	seen := map[string]bool{}
	var newest string
	enough := harness.Poll(60*time.Second, func() bool {
		for _, f := range backups() {
			seen[f], newest = true, max(newest, f)
		}
		return len(seen) >= 4 && len(backups()) <= 3
	})
	if !enough {
		t.Fatalf("%d backups, %d are kept\n%s\n%s\n%s", len(seen), len(backups()), c.Nodes[0].Tail(), c.Nodes[1].Tail(), c.Nodes[2].Tail())
	}
	c.KillAll()
	b, err := os.ReadFile(max(newest, backups()[len(backups())-1]))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "taken.pfsbackup")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := harness.Start(t, harness.Options{Nodes: 1})
	fresh.Run("", "cluster", "restore", file)
	newWeb(t, fresh.Nodes[0]).reads("/memfs/a", "kept in a bucket")
}

// TestBackupDirectoryIsOutside: what is in the log is no place for backups.
func TestBackupDirectoryIsOutside(t *testing.T) {
	t.Parallel()
	config := "server: {backup: {every: 1s, dir: 'pfs:/memfs/kept'}}\nplugins: {memfs: {path: /memfs}}\n"
	c := harness.Start(t, harness.Options{Nodes: 1, Config: func(int) string { return config }})
	if !harness.Poll(20*time.Second, func() bool { return logged(t, c.Nodes[0], "is in the cluster itself") }) {
		t.Errorf("no word of it\n%s", c.Nodes[0].Tail())
	}
}
