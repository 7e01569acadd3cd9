package test

import (
	"context"
	"crypto/sha256"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestGoTree copies the Go toolchain's source through three nodes in parallel,
// compares every file from every node, kills all nodes at once, and compares
// again.
func TestGoTree(t *testing.T) {
	src := goSource(t)
	want, size := hashTree(t, src)
	if len(want) < 9000 {
		t.Fatalf("%s has %d files; the toolchain's source should have about 10,000", src, len(want))
	}
	c := harness.Start(t, harness.Options{Nodes: 3})
	from := time.Now()
	c.Run("", "cp", "-q", "-r", "-j", "24", "local:"+src, "/memfs/go")
	took := time.Since(from).Seconds()
	c.SameDigest() // a node that was not asked may be behind
	compareTree(t, c, want)
	for _, n := range c.Nodes {
		use := harness.DiskUse(n.Dir)
		t.Logf("%s: peak RSS %d MiB, on disk %.2f of the data", n.ID, n.PeakRSS()>>20, float64(use)/float64(size))
	}
	c.KillAll()
	c.StartAll()
	c.Ready()
	c.SameDigest()
	compareTree(t, c, want)
	index, digest := c.SameDigest()
	t.Logf("%d files, %d MiB: %.0f files/s, %.1f MB/s; digest at %d %.16s on all nodes",
		len(want), size>>20, float64(len(want))/took, float64(size)/1e6/took, index, digest)
}

func goSource(t *testing.T) string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src")
}

// hashTree returns the hash of each regular file by its path below dir, and
// the sum of their sizes in bytes.
func hashTree(t *testing.T, dir string) (map[string][32]byte, int64) {
	t.Helper()
	out := map[string][32]byte{}
	var size int64
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		out[rel] = sha256.Sum256(b)
		size += int64(len(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, size
}

// compareTree reads every file from every node, and lists the tree on one, so
// that nothing is there beside what was copied.
func compareTree(t *testing.T, c *harness.Cluster, want map[string][32]byte) {
	t.Helper()
	var wrong atomic.Int64
	for _, n := range c.Nodes {
		cl := n.Client()
		names := make(chan string)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for name := range names {
					b, err := cl.ReadFile(context.Background(), "/memfs/go/"+name)
					if err != nil || sha256.Sum256(b) != want[name] {
						if wrong.Add(1) <= 5 {
							t.Errorf("%s: %s differs (%v)", n.ID, name, err)
						}
					}
				}
			})
		}
		for name := range want {
			names <- name
		}
		close(names)
		wg.Wait()
	}
	if wrong.Load() > 0 {
		t.Fatalf("%d files differ", wrong.Load())
	}
	files := 0
	err := fs.WalkDir(c.Client(0).FS(context.Background(), "/memfs/go"), ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
		}
		return err
	})
	if err != nil || files != len(want) {
		t.Fatalf("the tree lists %d files, %d were copied (%v)", files, len(want), err)
	}
}

// TestIdleNode holds one idle node to its promises of memory and start-up.
func TestIdleNode(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	n := c.Nodes[0]
	n.Stop()
	from := time.Now()
	n.Start()
	n.Ready()
	ready := time.Since(from)
	rss := n.RSS()
	t.Logf("ready in %d ms, RSS %.1f MiB", ready.Milliseconds(), float64(rss)/(1<<20))
	if rss >= 60<<20 {
		t.Errorf("an idle node holds %d MiB; the limit is 60", rss>>20)
	}
	conns := idleConnections(t, n.URL, 10_000)
	defer closeAll(conns)
	added := n.RSS() - rss
	t.Logf("10,000 idle connections add %.1f MiB", float64(added)/(1<<20))
	if added >= 130<<20 {
		t.Errorf("10,000 idle connections add %d MiB; the limit is 130", added>>20)
	}
	if _, err := n.Client().Stat(context.Background(), "/memfs"); err != nil {
		t.Errorf("beside 10,000 idle connections: %v", err)
	}
}
