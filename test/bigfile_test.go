package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// bigSize is the big file's length in bytes.
func bigSize() int64 { return int64(rounds(512, 1024)) << 20 }

func hashOf(r io.Reader) (sum [16]byte, n int64, err error) {
	h := xxh3.New()
	n, err = io.Copy(h, r)
	return h.Sum128().Bytes(), n, err
}

// TestBigFile writes a file of half a GiB, in the long form of a whole one, through
// one node and replaces it while fifty readers on another hash it whole: each sees
// one version. Memory and bytes written per byte stored stay within their limits.
func TestBigFile(t *testing.T) {
	ctx := context.Background()
	c := harness.Start(t, harness.Options{Nodes: 3})
	versions := map[[16]byte]string{}
	for seed := range uint64(2) {
		sum, _, err := hashOf(random(seed, bigSize()))
		if err != nil {
			t.Fatal(err)
		}
		versions[sum] = fmt.Sprint(seed)
	}
	before := written(c)
	from := time.Now()
	put(t, c, 0)
	in := time.Since(from).Seconds()
	settle(t, c, bigSize())
	for i, n := range c.Nodes {
		ratio := float64(n.Written()-before[i]) / float64(bigSize())
		t.Logf("%s: %.3f bytes written per byte stored", n.ID, ratio)
		if ratio >= 1.2 {
			t.Errorf("%s wrote %.3f bytes per byte stored; the limit is 1.2", n.ID, ratio)
		}
	}
	from = time.Now()
	readAll(t, stubborn(t, c.Nodes[1]), versions)
	out := time.Since(from).Seconds()
	t.Logf("one stream: %.0f MB/s in, %.0f MB/s out", float64(bigSize())/1e6/in, float64(bigSize())/1e6/out)

	from = time.Now()
	seen := readersDuring(t, c.Nodes[1], versions, 50, func() {
		put(t, c, 1)
	})
	t.Logf("50 readers beside a replacing writer: %.0f MB/s out in all; versions seen %v", 50*float64(bigSize())/1e6/time.Since(from).Seconds(), seen)

	smallWrites(ctx, t, c)
	for _, n := range c.Nodes {
		peak := n.PeakRSS()
		t.Logf("%s: peak RSS %d MiB", n.ID, peak>>20)
		if peak >= 512<<20 {
			t.Errorf("%s held %d MiB at its peak; the limit is 512", n.ID, peak>>20)
		}
	}
	c.SameDigest()
}

// put writes the big file through the first node and waits until the second
// has applied that.
func put(t *testing.T, c *harness.Cluster, seed uint64) {
	ctx := context.Background()
	w, err := stubborn(t, c.Nodes[0]).Write(ctx, "/memfs/big", random(seed, bigSize()), bigSize())
	if err != nil {
		t.Errorf("write: %v", err)
		return
	}
	if _, _, err := stubborn(t, c.Nodes[1]).Digest(ctx, w.Index); err != nil {
		t.Errorf("digest at %d: %v", w.Index, err)
	}
}

func written(c *harness.Cluster) []int64 {
	var out []int64
	for _, n := range c.Nodes {
		out = append(out, n.Written())
	}
	return out
}

// settle waits until every node holds the content.
func settle(t *testing.T, c *harness.Cluster, size int64) {
	t.Helper()
	ok := harness.Poll(2*time.Minute, func() bool {
		for _, n := range c.Nodes {
			if harness.DiskUse(n.Dir+"/blobs") < size {
				return false
			}
		}
		return true
	})
	if !ok {
		t.Error("not every node holds the content after 2 minutes")
	}
}

func readAll(t *testing.T, c *client.Client, versions map[[16]byte]string) string {
	r, err := c.Open(context.Background(), "/memfs/big")
	if err != nil {
		t.Errorf("open: %v", err)
		return ""
	}
	defer r.Close()
	sum, n, err := hashOf(r)
	v, ok := versions[sum]
	if err != nil || !ok {
		t.Errorf("read %d bytes that are no whole version (%v)", n, err)
	}
	return v
}

// readersDuring runs n readers, starts during once all have begun, and counts
// the versions they saw.
func readersDuring(t *testing.T, node *harness.Node, versions map[[16]byte]string, n int, during func()) map[string]int {
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			// spread over the time that the write takes
			time.Sleep(time.Duration(i) * 250 * time.Millisecond)
			v := readAll(t, stubborn(t, node), versions)
			mu.Lock()
			seen[v]++
			mu.Unlock()
		})
	}
	wg.Go(during)
	wg.Wait()
	seen["after: "+readAll(t, stubborn(t, node), versions)]++
	return seen
}

// smallWrites changes the big file a byte at a time, appends and truncates:
// that may cost no more than small writes of a small file, in bytes written.
func smallWrites(ctx context.Context, t *testing.T, c *harness.Cluster) {
	cl := stubborn(t, c.Nodes[0])
	const n = 300
	cost := func(path string, size int64) (time.Duration, int64) {
		before, from := c.Nodes[0].Written(), time.Now()
		for i := range n {
			var err error
			switch i % 3 {
			case 0:
				_, err = cl.WriteFile(ctx, path, []byte{byte(i)}, client.At(rand.Int64N(size)))
			case 1:
				_, err = cl.WriteFile(ctx, path, []byte("x"), client.Append())
			case 2:
				err = cl.Truncate(ctx, path, size-int64(i))
			}
			if err != nil {
				t.Fatalf("small write %d of %s: %v", i, path, err)
			}
		}
		return time.Since(from) / n, (c.Nodes[0].Written() - before) / n
	}
	putFile(t, cl, "/memfs/small", string(make([]byte, 4096)))
	st, sb := cost("/memfs/small", 4096)
	bt, bb := cost("/memfs/big", bigSize())
	t.Logf("a small write: %v and %d bytes on disk to a 4 KiB file, %v and %d to the big file", st, sb, bt, bb)
	if bb > 2*sb+4096 {
		t.Errorf("a small write to the big file costs %d bytes on disk, to a small one %d", bb, sb)
	}
}

// TestAbortedUpload cuts a client off half-way: no file appears, and its
// chunks go from every node once they have expired.
func TestAbortedUpload(t *testing.T) {
	const grace = "cluster: {chunk_grace: 2s}\nplugins: {memfs: {path: /memfs}}\n"
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string { return grace }})
	pr, pw := io.Pipe()
	req, err := http.NewRequest(http.MethodPut, c.Nodes[0].URL+"/api/v1/files?path=/memfs/cut", pr)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(pw, random(9, 64<<20)) // ends early if the node does
		sent <- n
		pw.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("half an upload was answered %s", resp.Status)
	}
	if n := <-sent; n != 64<<20 {
		t.Fatalf("the node took %d bytes and hung up", n)
	}
	if _, err := c.Client(0).Stat(context.Background(), "/memfs/cut"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half an upload left a file (%v)", err)
	}
	gone := harness.Poll(time.Minute, func() bool {
		for _, n := range c.Nodes {
			if harness.DiskUse(n.Dir+"/blobs") > 1<<20 {
				return false
			}
		}
		return true
	})
	if _, err := c.Client(0).Stat(context.Background(), "/memfs/cut"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half an upload became a file later (%v)", err)
	}
	if !gone {
		for _, n := range c.Nodes {
			t.Errorf("%s still holds %d bytes of chunks\n%s", n.ID, harness.DiskUse(n.Dir+"/blobs"), n.Tail())
		}
	}
}
