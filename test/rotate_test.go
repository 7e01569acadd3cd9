package test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
)

// TestRotate has writers through three nodes append to one stream while its
// leader is killed. Every piece is in the stream once, and the files hold, one
// after the other, what the stream holds: in the log, on the disk of a node, and
// in a bucket.
func TestRotate(t *testing.T) {
	for name, mount := range map[string]func(t *testing.T, w web) string{
		"log": func(*testing.T, web) string { return "/memfs/out" },
		"disk": func(t *testing.T, w web) string {
			w.mount("localfs", "/disk", fmt.Sprintf(`{"local_dir":%q}`, t.TempDir()))
			return "/disk/rec/out"
		},
		"bucket": func(t *testing.T, w web) string {
			w.mount("s3fs", "/s3", s3server.Start(t).JSON("data"))
			return "/s3/out"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Nodes: 3, Env: []string{"S3_TEST_SECRET=" + s3server.Secret}})
			leader := c.Leader()
			stays := c.Nodes[0] // and has the disk
			if stays == leader {
				stays = c.Nodes[1]
			}
			w := newWeb(t, stays)
			dir := mount(t, w)
			w.mount("streamrotatefs", "/rotate", fmt.Sprintf(`{"output_path":%q,"rotation_size":"500KB","filename_pattern":"{channel}-{index}"}`, dir))
			c.SameDigest() // every node has the mounts
			got := rotatePieces(t, c, leader)
			w.want(200, "DELETE", "/files?path=/rotate/tv", "") // ends its last file
			holds(t, w, dir, got)
			for _, n := range c.Nodes {
				if t.Failed() {
					t.Log(n.Tail())
				}
			}
		})
	}
}

// rotatePieces writes pieces to /rotate/tv and kills the leader meanwhile. It
// returns what the stream holds then.
func rotatePieces(t *testing.T, c *harness.Cluster, leader *harness.Node) []byte {
	const writers, pieces, length = 3, 40, 40 << 10
	var wg sync.WaitGroup
	half := make(chan struct{}, writers*pieces)
	for i := range writers {
		cl := c.Client(i)
		wg.Go(func() {
			for k := range pieces {
				piece := fmt.Appendf(nil, "<%d-%03d>", i, k)
				piece = append(piece, bytes.Repeat([]byte{'.'}, length-len(piece))...)
				if _, err := cl.WriteFile(t.Context(), "/rotate/tv", piece); err != nil {
					t.Errorf("writer %d, piece %d: %v", i, k, err)
					return
				}
				half <- struct{}{}
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	for range writers * pieces / 3 {
		select {
		case <-half:
		case <-over: // nobody got that far
			t.FailNow()
		}
	}
	leader.Kill()
	wg.Wait()
	if t.Failed() { // the stream is shorter than what is read below
		t.FailNow()
	}
	leader.Start()
	c.Ready()
	c.SameDigest()

	got := make([]byte, writers*pieces*length)
	for i, n := range c.Nodes {
		r := newWeb(t, n).tune(t.Context(), "/rotate/tv&consistency=linearizable")
		mine := make([]byte, len(got))
		if _, err := io.ReadFull(r.Body, mine); err != nil || i > 0 && !bytes.Equal(mine, got) {
			t.Fatalf("%s: another stream, %v", n.ID, err)
		}
		got = mine
	}
	for i := range writers {
		last := -1
		for k := range pieces {
			name := fmt.Sprintf("<%d-%03d>", i, k)
			at := bytes.Index(got, []byte(name))
			if n := bytes.Count(got, []byte(name)); n != 1 || at <= last {
				t.Errorf("piece %s is there %d times, at %d after %d", name, n, at, last)
			}
			last = at
		}
	}
	return got
}

// holds waits until the files of a directory hold, one after the other, some
// bytes.
func holds(t *testing.T, w web, dir string, want []byte) {
	t.Helper()
	var files strings.Builder
	var names []string
	same := harness.Poll(time.Minute, func() bool {
		files.Reset()
		names = w.names(dir)
		for _, name := range names {
			a, err := w.patient("GET", "/files?path="+filepath.Join(dir, name), "")
			if err != nil || a.status != 200 { // the last one is still being made
				return false
			}
			files.WriteString(a.body)
		}
		return files.String() == string(want)
	})
	if !same || len(names) < 8 {
		t.Errorf("%d files hold %d bytes, not the %d of the stream: %v", len(names), files.Len(), len(want), names)
	}
	t.Logf("%d bytes in %d files; the leader was killed", len(want), len(names))
}
