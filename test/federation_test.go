package test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// federation is two clusters that have each other mounted: B is /b on A, and A
// is /a on B.
type federation struct {
	*testing.T
	a, b *harness.Cluster
}

func startFederation(t *testing.T) *federation {
	f := &federation{T: t, a: harness.Start(t, harness.Options{Nodes: 3}), b: harness.Start(t, harness.Options{Nodes: 3})}
	urls := func(c *harness.Cluster) string {
		var all []string
		for _, n := range c.Nodes {
			all = append(all, n.URL+"/api/v1")
		}
		return strings.Join(all, ",")
	}
	newWeb(t, f.a.Nodes[0]).mount("proxyfs", "/b", fmt.Sprintf(`{"base_url":%q,"cache_size":"16MB"}`, urls(f.b)))
	newWeb(t, f.b.Nodes[0]).mount("proxyfs", "/a", fmt.Sprintf(`{"base_url":%q}`, urls(f.a)))
	for _, n := range slices.Concat(f.a.Nodes, f.b.Nodes) {
		w, path := newWeb(t, n), "/b"
		if slices.Contains(f.b.Nodes, n) {
			path = "/a"
		}
		if !harness.Poll(30*time.Second, func() bool { return w.shown(path).Status == "mounted" }) {
			t.Fatalf("%s: %+v", n.ID, w.shown(path))
		}
	}
	return f
}

// hashes returns the hash of every file below a directory of the disk.
func hashes(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, rerr := filepath.Rel(dir, name)
		if rerr != nil {
			return rerr
		}
		out[rel] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFederation copies a tree between two clusters both ways while a leader is
// killed, asks for what goes around in circles, and takes one cluster away.
func TestFederation(t *testing.T) {
	t.Parallel()
	f := startFederation(t)
	tree := filepath.Join(harness.Root(t), "configs")
	want := hashes(t, tree)
	check := func(c *harness.Cluster, path string) {
		t.Helper()
		c.SameDigest() // a read may be answered by any node
		to := filepath.Join(t.TempDir(), "out")
		c.Run("", "cp", "-q", "-r", path, "local:"+to)
		got := hashes(t, to)
		if len(got) != len(want) {
			t.Errorf("%s has %d files, expected %d", path, len(got), len(want))
		}
		for name, sum := range want {
			if got[name] != sum {
				t.Errorf("%s of %s differs", name, path)
			}
		}
	}
	// From A into B, through A, while the leader of B goes.
	kill := make(chan *harness.Node)
	go func() {
		lead := f.b.Leader()
		if lead != nil {
			lead.Kill()
		}
		kill <- lead
	}()
	for i := range 3 {
		f.a.Run("", "cp", "-q", "-r", "local:"+tree, fmt.Sprintf("/b/memfs/tree%d", i))
	}
	lead := <-kill
	if lead == nil {
		t.Fatal("no leader")
	}
	lead.Start()
	f.b.Ready()
	for i := range 3 {
		check(f.b, fmt.Sprintf("/memfs/tree%d", i))
	}
	// Back, and from one remote to the other, each in one command.
	f.a.Run("", "cp", "-q", "-r", "/b/memfs/tree0", "/memfs/back")
	check(f.a, "/memfs/back")
	f.b.Run("", "cp", "-q", "-r", "/a/memfs/back", "/memfs/again")
	check(f.b, "/memfs/again")
	f.messages()
	f.loops()
	f.away()
}

// messages takes and gives messages of a queue of the other cluster.
func (f *federation) messages() {
	a, b := newWeb(f.T, f.a.Nodes[1]), newWeb(f.T, f.b.Nodes[2])
	a.want(201, "POST", "/directories?path=/b/queuefs/jobs", "")
	if s := a.put("/b/queuefs/jobs/enqueue", "one").body; !strings.Contains(s, `"id"`) {
		f.Errorf("enqueue: %s", s)
	}
	for range 3 { // one message, however often it is said
		a.put("/b/queuefs/jobs/enqueue", "two", "Idempotency-Key", "k1")
	}
	if got := b.want(200, "GET", "/files?path=/queuefs/jobs/size&consistency=linearizable", "").body; got != "2" {
		f.Errorf("%s messages", got)
	}
	for _, want := range []string{`"one"`, `"two"`} {
		if s := a.want(200, "GET", "/files?path=/b/queuefs/jobs/dequeue", "").body; !strings.Contains(s, want) {
			f.Errorf("dequeue: %s", s)
		}
	}
	a.want(404, "GET", "/files?path=/b/memfs/none", "")
	a.want(409, "POST", "/directories?path=/b/memfs/tree0", "")
	a.put("/b/memfs/cond", "1")
	etag := a.want(200, "GET", "/files?path=/b/memfs/cond", "").header.Get("ETag")
	a.put("/b/memfs/cond", "2", "If-Match", etag)
	a.want(412, "PUT", "/files?path=/b/memfs/cond", "3", "If-Match", etag)
	for i := range 30 { // whichever node of B is asked
		v := fmt.Sprint("fresh ", i)
		newWeb(f.T, f.b.Nodes[i%3]).put("/memfs/fresh", v)
		if got := a.want(200, "GET", "/files?path=/b/memfs/fresh&consistency=linearizable", "").body; got != v {
			f.Errorf("a linearizable read has %q, expected %q", got, v)
		}
	}
	if s := a.put("/b/reload", "now").body; !strings.Contains(s, `"message":"ProxyFS reloaded successfully"`) {
		f.Errorf("reload: %s", s)
	}
	if names := a.names("/b"); !slices.Contains(names, "reload") || !slices.Contains(names, "memfs") {
		f.Errorf("the root of B lists %q", names)
	}
}

// loops asks A for what B has of A, and mounts A into itself.
func (f *federation) loops() {
	a := newWeb(f.T, f.a.Nodes[0])
	for _, r := range []struct{ method, route string }{
		{"GET", "/files?path=/b/a/memfs/back/single.yaml"}, {"GET", "/directories?path=/b/a"},
		{"PUT", "/files?path=/b/a/memfs/x"}, {"DELETE", "/files?recursive=true&path=/b/a/memfs"},
	} {
		if s := a.want(400, r.method, r.route, "").body; !strings.Contains(s, "loop") {
			f.Errorf("%s %s: %s", r.method, r.route, s)
		}
	}
	for i := range 3 {
		s := a.want(400, "POST", "/mount", fmt.Sprintf(`{"fstype":"proxyfs","path":"/self","config":{"base_url":%q}}`, f.a.Nodes[i].URL)).body
		if !strings.Contains(s, "loop") {
			f.Errorf("a mount of itself: %s", s)
		}
	}
	a.reads("/memfs/back/single.yaml", a.want(200, "GET", "/files?path=/memfs/back/single.yaml", "").body)
}

// away takes all of B away: clear errors in bounded time, and what A has itself
// does not slow down.
func (f *federation) away() {
	a, cl := newWeb(f.T, f.a.Nodes[0]), f.a.Client(0)
	p99 := func(what string) time.Duration {
		var took []time.Duration
		for i := range 300 {
			start := time.Now()
			_, werr := cl.WriteFile(f.Context(), "/memfs/own", []byte(fmt.Sprint(i)))
			b, rerr := cl.ReadFile(f.Context(), "/memfs/own")
			if werr != nil || rerr != nil || string(b) != fmt.Sprint(i) {
				f.Errorf("write and read %d: %v, %q, %v", i, werr, b, rerr)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		f.Logf("p50 and p99 of a write and a read of another mount, %s: %v %v", what, took[150], took[296])
		return took[296]
	}
	before := p99("with the other cluster there")
	f.b.KillAll()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				r, err := a.do("GET", "/files?path=/b/memfs/cond", nil)
				if took := time.Since(start); err != nil || r.status != 503 || !strings.Contains(r.body, "does not answer") || took > 20*time.Second {
					f.Errorf("after %v: %v %d %s", took, err, r.status, r.body)
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	during := p99("without it")
	close(stop)
	wg.Wait()
	if during > 20*before+5*time.Second { // a machine that stands still is nobody's fault
		f.Errorf("p99 went from %v to %v", before, during)
	}
	if s := a.want(503, "POST", "/mount", fmt.Sprintf(`{"fstype":"proxyfs","path":"/b2","config":{"base_url":%q}}`, f.b.Nodes[0].URL)).body; !strings.Contains(s, "is not well") {
		f.Errorf("a mount of what is not there: %s", s)
	}
	f.b.StartAll()
	f.b.Ready()
	if !harness.Poll(60*time.Second, func() bool {
		r, err := a.do("GET", "/files?path=/b/memfs/cond", nil)
		return err == nil && r.body == "2"
	}) {
		f.Errorf("the other cluster is back, and not reached: %s", a.want(200, "GET", "/files?path=/b/memfs/cond", "").body)
	}
}

// TestFederatedStream follows a stream of another cluster while it is written
// through a third party, from any place, until it is removed.
func TestFederatedStream(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{}).Nodes[0]
	b := harness.Start(t, harness.Options{}).Nodes[0]
	near, far := newWeb(t, a), newWeb(t, b)
	near.mount("proxyfs", "/b", fmt.Sprintf(`{"base_url":%q}`, b.URL))
	near.want(404, "GET", "/files?stream=true&path=/b/memfs", "")
	near.want(400, "GET", "/files?stream=true&path=/b/streamfs/tv&from=soon", "")
	first := near.tune(t.Context(), "/b/streamfs/tv") // there is none yet
	if off := first.Header.Get("X-Pfs-Offset"); off != "0" {
		t.Errorf("the head says offset %q", off)
	}
	heard := bufio.NewReader(first.Body)
	say, body := io.Pipe()
	wrote := make(chan error, 1)
	go func() { // a slow source, appended as it comes
		r, err := near.do("PUT", "/files?path=/b/streamfs/tv&flags=append,create", say)
		if err == nil && r.status != 200 {
			err = fmt.Errorf("%d %s", r.status, r.body)
		}
		wrote <- err
	}()
	for i := range 3 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := io.WriteString(body, line); err != nil {
			t.Fatal(err)
		}
		if got, err := heard.ReadString('\n'); err != nil || got != line {
			t.Fatalf("heard %q, %v", got, err)
		}
	}
	body.Close()
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	second := near.tune(t.Context(), "/b/streamfs/tv&from=14")
	if s := near.want(416, "GET", "/files?stream=true&path=/b/streamfs/tv&from=99", "").body; !strings.Contains(s, `"oldest":0`) {
		t.Errorf("an offset that is not there: %s", s)
	}
	long := strings.Repeat("0123456789abcdef", 64<<10)
	near.put("/b/streamfs/tv", long)
	if b, err := io.ReadAll(io.LimitReader(second.Body, int64(7+len(long)))); err != nil || string(b) != "line 2\n"+long {
		t.Errorf("%d bytes from the third line on, %v", len(b), err)
	}
	var s string
	if !harness.Poll(20*time.Second, func() bool {
		s = near.want(200, "GET", "/stat?path=/b/streamfs/tv", "").body
		return strings.Contains(s, `"active_readers":"2"`)
	}) {
		t.Errorf("stat: %s", s)
	}
	if n, err := io.CopyN(io.Discard, heard, int64(len(long))); err != nil {
		t.Errorf("until it is removed: %d bytes, %v", n, err)
	}
	far.want(200, "DELETE", "/files?path=/streamfs/tv", "")
	if b, err := io.ReadAll(heard); len(b) > 0 || err != nil {
		t.Errorf("the end: %q, %v", b, err)
	}
	held := near.tune(t.Context(), "/b/streamfs/tv")
	near.want(200, "POST", "/unmount", `{"path":"/b"}`)
	if _, err := io.Copy(io.Discard, held.Body); err == nil {
		t.Error("a reader of a mount that is gone hears the end of the stream")
	}
}
