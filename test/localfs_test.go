package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// outpost is three nodes and a directory that one of them serves.
type outpost struct {
	*testing.T
	c     *harness.Cluster
	w     []web
	owner int
	dir   string
}

func startOutpost(t *testing.T) *outpost {
	o := &outpost{T: t, c: harness.Start(t, harness.Options{Nodes: 3}), dir: t.TempDir()}
	lead := o.c.Leader()
	for i, n := range o.c.Nodes {
		o.w = append(o.w, newWeb(t, n))
		if n != lead {
			o.owner = i
		}
	}
	o.host("there", "before the mount")
	o.ask(0).want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":"localfs","path":"/local","node":%q,"config":{"local_dir":%q}}`,
		o.c.Nodes[o.owner].ID, o.dir))
	for i := range o.w {
		o.w[i].upSoon("/local")
	}
	return o
}

// ask returns a node: the owner, or one of the others.
func (o *outpost) ask(i int) web { return o.w[(o.owner+1+i)%3] }

func (o *outpost) host(name, content string) {
	o.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o644); err != nil {
		o.Fatal(err)
	}
}

func (o *outpost) onDisk(name, content string) {
	o.Helper()
	b, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil || string(b) != content {
		o.Errorf("on the disk %s is %.60q, %v; expected %.60q", name, b, err, content)
	}
}

// mountShown is one mount as GET /mounts has it.
type mountShown struct {
	Path, Status, Error, Placement, Node string
	Tries                                int
	Retry                                *time.Time `json:"retry_at"`
	Process                              string     // what it does
	Ends                                 int        `json:"process_ends"` // unasked
	Nodes                                map[string]struct{ Status, Error string }
}

func (w web) shown(path string) (m mountShown) {
	var out struct{ Mounts []mountShown }
	a, err := w.do("GET", "/mounts", nil)
	if err != nil || decode(a, &out) != nil {
		return m
	}
	for _, m := range out.Mounts {
		if m.Path == path {
			return m
		}
	}
	return m
}

// shownUp is shown once the node has started the mount, and has said so in time.
func (w web) shownUp(path string) (m mountShown) {
	w.t.Helper()
	if !harness.Poll(30*time.Second, func() bool { m = w.shown(path); return m.Status == "mounted" }) {
		w.t.Errorf("%s does not start: %+v", path, m)
	}
	return m
}

// TestLocalfs serves a directory of one node through all three.
func TestLocalfs(t *testing.T) {
	t.Parallel()
	o := startOutpost(t)
	o.everyVerb()
	o.longFile()
	o.torn()
	o.cutOff()
	o.refused()
	o.ownerGone()
	for i := range 3 {
		if peak := o.c.Nodes[i].PeakRSS(); peak > 256<<20 {
			t.Errorf("node %d held %d MiB at its peak", i+1, peak>>20)
		}
	}
	o.ask(1).want(200, "POST", "/unmount", `{"path":"/local"}`)
	o.onDisk("there", "before the mount")
}

// everyVerb makes each change through one node and looks at it through the
// others and on the disk.
func (o *outpost) everyVerb() {
	for i := range 3 {
		w, next, d := o.ask(i), o.ask(i+1), fmt.Sprintf("d%d", i)
		w.reads("/local/there", "before the mount")
		if a := w.put("/local/f", "written"); a.header.Get("X-Pfs-Placement") != "external" {
			o.Errorf("headers: %v", a.header)
		}
		o.onDisk("f", "written")
		w.want(200, "PUT", "/files?path=/local/f&flags=append", "!")
		next.want(200, "PUT", "/files?path=/local/f&offset=1", "R")
		next.reads("/local/f", "wRitten!")
		w.want(200, "POST", "/truncate?path=/local/f&size=3", "")
		next.reads("/local/f", "wRi")
		w.mkdir("/local/" + d)
		next.want(200, "POST", "/rename?path=/local/f", `{"newPath":"/local/`+d+`/g"}`)
		w.want(200, "POST", "/chmod?path=/local/"+d+"/g", `{"mode":384}`)
		if st, err := os.Stat(filepath.Join(o.dir, d, "g")); err != nil || st.Mode() != 0o600 || st.Size() != 3 {
			o.Errorf("%v, %v", st, err)
		}
		next.want(200, "POST", "/touch?path=/local/"+d+"/new", "")
		next.link("/local/"+d+"/l", "g")
		w.reads("/local/"+d+"/l", "wRi")
		if got := w.names("/local/" + d); !slices.Equal(got, []string{"g", "l", "new"}) {
			o.Errorf("listing: %q", got)
		}
		part := w.want(206, "GET", "/files?path=/local/"+d+"/g", "", "Range", "bytes=1-1")
		if part.body != "R" {
			o.Errorf("a range: %q", part.body)
		}
		w.want(409, "DELETE", "/files?path=/local/"+d, "")
		w.want(404, "GET", "/files?path=/local/none", "")
		w.want(409, "POST", "/directories?path=/local/"+d, "")
		tag := w.want(200, "GET", "/files?path=/local/"+d+"/g", "").header.Get("ETag")
		next.put("/local/"+d+"/g", "newer", "If-Match", tag)
		w.want(412, "PUT", "/files?path=/local/"+d+"/g", "older", "If-Match", tag)
		w.want(412, "PUT", "/files?path=/local/"+d+"/g", "first", "If-None-Match", "*")
		w.want(409, "PUT", "/files?path=/local/"+d+"/g&flags=create,exclusive,truncate", "first")
		w.reads("/local/"+d+"/g", "newer")
		h := w.want(200, "POST", "/handles/open?path=/local/"+d+"/g&flags=readwrite", "")
		var opened struct {
			ID int64 `json:"handle_id"`
		}
		if err := decode(h, &opened); err != nil {
			o.Error(err)
		}
		w.want(200, "PUT", fmt.Sprintf("/handles/%d/write?offset=0", opened.ID), "N")
		next.want(200, "DELETE", fmt.Sprintf("/handles/%d", opened.ID), "")
		next.reads("/local/"+d+"/g", "Newer")
		w.want(200, "DELETE", "/files?path=/local/"+d+"&recursive=true", "")
		if _, err := os.Stat(filepath.Join(o.dir, d)); !os.IsNotExist(err) {
			o.Errorf("%s is still there: %v", d, err)
		}
		if a := w.want(200, "GET", "/files?path=/local/README", ""); !strings.Contains(a.body, "# localfs") {
			o.Errorf("README: %.100q", a.body)
		}
		if got := w.names("/local"); !slices.Equal(got, []string{"there"}) {
			o.Errorf("the root lists %q", got)
		}
	}
}

// longFile sends a file through a node that does not have it.
func (o *outpost) longFile() {
	const size = 64 << 20
	sum := sha256.New()
	src := rand.NewChaCha8([32]byte{7})
	a, err := o.ask(0).do("PUT", "/files?path=/local/long", io.TeeReader(io.LimitReader(src, size), sum))
	if err != nil || a.status != 200 {
		o.Fatalf("%v %+v", err, a)
	}
	for i := range 3 {
		resp, err := http.Get(o.ask(i).url + "/files?path=/local/long")
		if err != nil {
			o.Fatal(err)
		}
		got := sha256.New()
		n, err := io.Copy(got, resp.Body)
		resp.Body.Close()
		if err != nil || n != size || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
			o.Errorf("node %d: %d bytes, %v", i, n, err)
		}
	}
	o.ask(2).want(200, "DELETE", "/files?path=/local/long", "")
}

// torn replaces a file through one node and reads it through the others: each
// answer is one whole content.
func (o *outpost) torn() {
	contents := []string{strings.Repeat("a", 100_000), strings.Repeat("b", 170_000), strings.Repeat("c", 50)}
	o.ask(0).put("/local/torn", contents[0])
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a := o.ask(i).want(200, "GET", "/files?path=/local/torn", ""); !slices.Contains(contents, a.body) {
					o.Errorf("node %d: %d bytes that begin %.3q and end %.3q", i, len(a.body), a.body, a.body[max(0, len(a.body)-3):])
					return
				}
			}
		})
	}
	for n := range 60 {
		o.ask(n%2).put("/local/torn", contents[n%3])
	}
	close(stop)
	wg.Wait()
	o.ask(0).want(200, "DELETE", "/files?path=/local/torn", "")
}

// cutOff loses the client in the middle of a file, through every node: the old
// content stays, and nothing half-written.
func (o *outpost) cutOff() {
	o.ask(0).put("/local/f", "the old content")
	for i := range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(o.c.Nodes[(o.owner+1+i)%3].URL, "http://"))
		if err != nil {
			o.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT /api/v1/files?path=/local/f HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 400_000))
		conn.Close()
	}
	ok := harness.Poll(40*time.Second, func() bool {
		entries, err := os.ReadDir(o.dir)
		return err == nil && len(entries) == 2
	})
	if !ok {
		entries, _ := os.ReadDir(o.dir) // shown as it is
		o.Errorf("left behind: %v", entries)
	}
	o.onDisk("f", "the old content")
	o.ask(0).want(200, "DELETE", "/files?path=/local/f", "")
}

// refused mounts what cannot work, on the node that is asked and on others.
func (o *outpost) refused() {
	for i := range 3 {
		for _, m := range []struct{ node, dir, words string }{
			{o.c.Nodes[o.owner].ID, "/no/such/dir", "does not exist on node " + o.c.Nodes[o.owner].ID},
			{o.c.Nodes[o.owner].ID, filepath.Join(o.dir, "there"), "not a directory"},
			{o.c.Nodes[o.owner].ID, o.c.Nodes[o.owner].Dir, "data directory"},
			{o.c.Nodes[o.owner].ID, "/", "data directory"},
			{"n9", o.dir, "no node n9"},
			{"", "", "local_dir is required"},
		} {
			a := o.ask(i).want(400, "POST", "/mount", fmt.Sprintf(`{"fstype":"localfs","path":"/bad","node":%q,"config":{"local_dir":%q}}`, m.node, m.dir))
			if !strings.Contains(a.body, m.words) {
				o.Errorf("%q is not in %s", m.words, a.body)
			}
		}
	}
	o.ask(0).want(400, "POST", "/mount", `{"fstype":"localfs","path":"/bad","config":{"local_dir":"/tmp","root_path":"/tmp"}}`)
	if m := o.ask(0).shown("/bad"); m.Path != "" {
		o.Errorf("a mount that was refused: %+v", m)
	}
}

// ownerGone kills the owner, and then makes it stand still: clear errors in
// bounded time, and nothing else suffers.
func (o *outpost) ownerGone() {
	owner := o.c.Nodes[o.owner]
	others := func(state string) {
		o.Helper()
		for i := range 2 {
			w := o.ask(i)
			var wg sync.WaitGroup
			for _, r := range []struct{ method, route, body string }{
				{"GET", "/files?path=/local/there", ""}, {"GET", "/directories?path=/local", ""},
				{"PUT", "/files?path=/local/x", "x"}, {"POST", "/touch?path=/local/there", ""},
			} {
				wg.Go(func() {
					start := time.Now()
					a := w.want(503, r.method, r.route, r.body)
					sent := r.method != "GET" && !strings.Contains(a.body, "asked again in")
					if took := time.Since(start); took > 40*time.Second || !strings.Contains(a.body, "node "+owner.ID+" does not answer") ||
						state == "paused" && sent != strings.Contains(a.body, `"outcome":"unknown"`) {
						o.Errorf("owner %s: %s %s after %v: %s", state, r.method, r.route, took, a.body)
					}
				})
			}
			// The log goes on meanwhile, and so do its mounts.
			for n := range 20 {
				f := fmt.Sprintf("/memfs/%s%d", state, n)
				start := time.Now()
				w.put(f, "x")
				w.reads(f, "x")
				if took := time.Since(start); took > 30*time.Second { // an election on the way included
					o.Errorf("owner %s: a write to another mount took %v", state, took)
				}
			}
			wg.Wait()
			start := time.Now()
			for range 10 { // one of them may find out whether the owner is back
				w.want(503, "GET", "/files?path=/local/there", "")
			}
			if took := time.Since(start); took > 40*time.Second {
				o.Errorf("owner %s: ten calls took %v", state, took)
			}
			ok := harness.Poll(20*time.Second, func() bool {
				m := w.shown("/local")
				return m.Status == "failed" && strings.Contains(m.Error, "node "+owner.ID+" does not answer") && m.Node == owner.ID && m.Placement == "pinned"
			})
			if !ok {
				o.Errorf("owner %s: shown as %+v", state, w.shown("/local"))
			}
		}
	}
	// A leader that is gone takes the answers of writes with it that it has begun,
	// which is not what is looked at here.
	aside := func() {
		o.Helper()
		if !harness.Poll(time.Minute, func() bool {
			if o.c.Leader() != owner {
				return true
			}
			_, _ = o.c.Client((o.owner+1)%3).Transfer(o.Context(), "") // seen by who leads then
			return false
		}) {
			o.Fatalf("%s stays the leader", owner.ID)
		}
	}
	aside()
	owner.Kill()
	others("killed")
	owner.Start()
	back := func() bool {
		for i := range 3 {
			if m := o.ask(i).shown("/local"); m.Status != "mounted" || m.Nodes[owner.ID].Status != "mounted" {
				return false
			}
			if a, err := o.ask(i).do("GET", "/files?path=/local/there", nil); err != nil || a.body != "before the mount" {
				return false
			}
		}
		return true
	}
	if !harness.Poll(60*time.Second, back) {
		o.Fatalf("the mount does not come back: %+v\n%s", o.ask(0).shown("/local"), owner.Tail())
	}
	aside()
	owner.Pause()
	others("paused")
	owner.Signal(syscall.SIGCONT)
	if !harness.Poll(60*time.Second, back) {
		o.Fatalf("the mount does not come back: %+v\n%s", o.ask(0).shown("/local"), owner.Tail())
	}
}

// TestLocalfsRetry has mounts in the file, in every form of it, one of them of a
// directory that is gone. It is tried again, says why, and holds up nothing.
func TestLocalfsRetry(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, d := range []string{"home", "data", "list"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	yaml := fmt.Sprintf(`plugins:
  memfs: {path: /memfs}
  localfs_home: {path: /home, config: {local_dir: %[1]s/home}}
  localfs_data: {enabled: true, path: /data, node: n1, config: {local_dir: %[1]s/data}}
  localfs:
    - {name: one, path: /list, config: {local_dir: %[1]s/list}}
    - {name: two, path: /two, enabled: false, config: {local_dir: %[1]s/list}}
`, base)
	c := harness.Start(t, harness.Options{Nodes: 2, Config: func(i int) string {
		if i == 0 {
			return yaml
		}
		return "plugins: {memfs: {path: /memfs}}\n"
	}})
	n, w, away := c.Nodes[0], newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1])
	for _, p := range []string{"/home", "/data", "/list"} {
		w.put(p+"/f", p)
		away.readsSoon(p+"/f", p)
		if m := away.shownUp(p); m.Placement != "pinned" || m.Node != "n1" {
			t.Errorf("%+v", m)
		}
	}
	n.Kill()
	if err := os.Rename(filepath.Join(base, "data"), filepath.Join(base, "gone")); err != nil {
		t.Fatal(err)
	}
	n.Start()
	var m mountShown
	ok := harness.Poll(60*time.Second, func() bool {
		m = away.shown("/data")
		return m.Status == "failed" && m.Tries >= 2 && m.Placement == "pinned" && m.Node == "n1" && m.Retry != nil &&
			strings.Contains(m.Error, "local_dir does not exist on node n1") && m.Nodes["n1"].Status == "failed"
	})
	if !ok {
		t.Errorf("shown as %+v", m)
	}
	// It says when the mount is tried again: the third time after four seconds.
	soon := func() bool {
		a := w.want(503, "GET", "/files?path=/data/f", "")
		after, err := strconv.Atoi(a.header.Get("Retry-After"))
		return err == nil && after > 1 && after <= 60
	}
	if !harness.Poll(60*time.Second, soon) {
		t.Error("Retry-After does not tell when the mount is tried again")
	}
	for _, u := range []web{w, away} {
		var a answer
		if !harness.Poll(30*time.Second, func() bool { // it may be being tried again
			a = u.want(503, "GET", "/files?path=/data/f", "")
			return strings.Contains(a.body, "local_dir does not exist")
		}) {
			t.Errorf("%s", a.body)
		}
		u.put("/memfs/f", "x")
		u.reads("/home/f", "/home")
		u.reads("/list/f", "/list")
	}
	var a answer
	var err error
	if !harness.Poll(30*time.Second, func() bool { // as above
		a, err = w.do("GET", "/ready", nil)
		return err == nil && a.status == 503 && strings.Contains(a.body, "mount /data is down: local_dir does not exist")
	}) {
		t.Errorf("ready: %v %+v", err, a)
	}
	if err := os.Rename(filepath.Join(base, "gone"), filepath.Join(base, "data")); err != nil {
		t.Fatal(err)
	}
	if !harness.Poll(90*time.Second, func() bool { return away.shown("/data").Status == "mounted" }) {
		t.Fatalf("it is not tried again: %+v", away.shown("/data"))
	}
	away.reads("/data/f", "/data")
	c.Ready()
}
