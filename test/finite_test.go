package test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
)

// TestStreamOfFiles asks for stream=true of a file of every built-in plugin.
// Those of which clients expect it send the file, from the beginning to its end,
// in bounded memory, from every node and through another cluster. The others
// refuse at once, so that clients that ask for streams first read them plainly.
func TestStreamOfFiles(t *testing.T) {
	t.Parallel()
	s3 := s3server.Start(t)
	c := harness.Start(t, harness.Options{Nodes: 3, Env: []string{"S3_TEST_SECRET=" + s3server.Secret}})
	var w []web
	for _, n := range c.Nodes {
		w = append(w, newWeb(t, n))
	}
	dir := t.TempDir()
	w[0].mount("localfs", "/t/localfs", fmt.Sprintf(`{"local_dir":%q}`, dir))
	w[0].mount("s3fs", "/t/s3fs", s3.JSON("data"))
	w[0].mount("proxyfs", "/t/proxyfs", fmt.Sprintf(`{"base_url":%q}`, harness.Start(t, harness.Options{}).Nodes[0].URL))
	w[0].mount("sqlfs", "/t/sqlfs", fmt.Sprintf(`{"db_path":%q}`, filepath.Join(t.TempDir(), "files")))
	w[0].mount("sqlfs2", "/t/sqlfs2", fmt.Sprintf(`{"db_path":%q}`, filepath.Join(t.TempDir(), "db")))
	w[0].mount("streamrotatefs", "/t/streamrotatefs", `{"output_path":"/memfs"}`)
	for _, kind := range []string{"memfs", "kvfs", "queuefs", "streamfs", "heartbeatfs", "hellofs", "serverinfofs", "devfs"} {
		w[0].mount(kind, "/t/"+kind, `{}`)
	}
	w[0].mount("httpfs", "/t/httpfs", fmt.Sprintf(`{"pfs_path":"/memfs","http_port":%d}`, freePort(t)))
	c.SameDigest() // all nodes know of the mounts
	for i := range w {
		for _, at := range []string{"localfs", "s3fs", "sqlfs", "sqlfs2", "proxyfs"} {
			if !harness.Poll(30*time.Second, func() bool { return w[i].shown("/t/"+at).Status == "mounted" }) {
				t.Fatalf("node %d: %+v", i+1, w[i].shown("/t/"+at))
			}
		}
	}
	for _, at := range []string{"memfs/f", "kvfs/keys/f", "localfs/f", "s3fs/f", "sqlfs/f"} {
		w[1].put("/t/"+at, "a file")
	}
	w[1].mkdir("/t/queuefs/q")
	w[1].put("/t/queuefs/q/enqueue", "a message")
	c.SameDigest() // all nodes have them

	refusing := map[string]string{"memfs": "f", "kvfs": "keys/f", "sqlfs": "f", "queuefs": "q/dequeue", "streamfs": "README",
		"streamrotatefs": "README", "heartbeatfs": "README", "hellofs": "hello", "serverinfofs": "version", "devfs": "zero",
		"sqlfs2": "README", "proxyfs": "memfs/README"}
	if !harness.Poll(30*time.Second, func() bool { // one of the three has the port
		return slices.ContainsFunc(w, func(w web) bool {
			a, err := w.do("GET", "/files?stream=true&path=/t/httpfs", nil)
			return err == nil && a.status == 404 && strings.Contains(a.body, "does not support streaming")
		})
	}) {
		t.Error("httpfs refuses no stream")
	}
	var known struct{ Plugins []struct{ Name string } }
	w[0].json("GET", "/plugins", "", &known)
	for _, k := range known.Plugins {
		if _, ok := refusing[k.Name]; !ok && !slices.Contains([]string{"localfs", "s3fs", "httpfs"}, k.Name) {
			t.Errorf("%s: not asked", k.Name)
		}
	}
	for i := range w {
		for kind, f := range refusing {
			a := w[i].want(404, "GET", "/files?stream=true&path=/t/"+kind+"/"+f, "")
			if !strings.Contains(a.body, "does not support streaming") {
				t.Errorf("%s on node %d: %s", kind, i+1, a.body)
			}
		}
		for _, at := range []string{"/t/localfs", "/t/s3fs"} {
			// What clients say beside it is not heard.
			finite(t, w[i], at+"/f&offset=2&size=1", "0", "a file")
			finite(t, w[i], at+"/f&from=2", "2", "file")
			w[i].want(404, "GET", "/files?stream=true&path="+at+"/none", "")
			w[i].want(400, "GET", "/files?stream=true&path="+at, "")
			w[i].want(200, "HEAD", "/files?stream=true&path="+at+"/f", "")
		}
	}
	if a := w[0].want(200, "GET", "/files?path=/t/queuefs/q/size", ""); a.body != "1" {
		t.Errorf("the queue has %q messages, of 1 that was only asked for as a stream", a.body)
	}
	finiteLong(t, c, w)
}

// finite reads a stream to its end.
func finite(t *testing.T, w web, query, off, want string) {
	t.Helper()
	r := w.tune(t.Context(), query)
	b, err := io.ReadAll(r.Body)
	if err != nil || string(b) != want || r.Header.Get("X-Pfs-Offset") != off || r.ContentLength >= 0 {
		t.Errorf("%s: %q, %v, length %d, %v", query, b, err, r.ContentLength, r.Header)
	}
}

// finiteLong reads a long file as a stream, on the node that has it and others,
// and from another cluster.
func finiteLong(t *testing.T, c *harness.Cluster, w []web) {
	size := int64(64 << 20)
	if os.Getenv("PFS_SOAK") != "" {
		size = 1 << 30
	}
	far := newWeb(t, harness.Start(t, harness.Options{}).Nodes[0])
	far.mount("proxyfs", "/far", fmt.Sprintf(`{"base_url":%q}`, c.Nodes[2].URL))
	for _, at := range []string{"/t/localfs/long", "/t/s3fs/long"} {
		sum := sha256.New()
		a, err := w[0].do("PUT", "/files?path="+at, io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{9}), size), sum))
		if err != nil || a.status != 200 {
			t.Fatalf("%v %+v", err, a)
		}
		for i, r := range []string{at, at, at, "/far" + at} {
			n, got, err := streamSum(append(w[:3:3], far)[i].tune(t.Context(), r).Body)
			if want := fmt.Sprintf("%x", sum.Sum(nil)); err != nil || n != size || got != want {
				t.Errorf("%s, reader %d: %d bytes, %v", r, i, n, err)
			}
		}
	}
	for i, n := range c.Nodes {
		if peak := n.PeakRSS(); peak > 300<<20 {
			t.Errorf("node %d held %d MiB at its peak", i+1, peak>>20)
		}
	}
}
