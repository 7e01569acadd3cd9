package test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/vfs"
)

// registry is three nodes with a database at /sql.
type registry struct {
	*testing.T
	c      *harness.Cluster
	w      []web
	server *sqldbtest.Server // nil: SQLite, on the second node
}

// TestSqlfs uses sqlfs on SQLite and on MariaDB, through three nodes.
func TestSqlfs(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"sqlite", "mariadb"} {
		t.Run(backend, func(t *testing.T) {
			r := startRegistry(t, backend)
			r.refused()
			r.everyNode()
			r.tree()
			r.killed()
			for i, n := range r.c.Nodes {
				if peak := n.PeakRSS(); peak > 300<<20 {
					t.Errorf("node %d held %d MiB at its peak", i+1, peak>>20)
				}
			}
		})
	}
}

func startRegistry(t *testing.T, backend string) *registry {
	r := &registry{T: t}
	o := harness.Options{Nodes: 3}
	config := vfs.Config{"db_path": filepath.Join(t.TempDir(), "files.db")}
	if backend == "mariadb" {
		r.server = sqldbtest.Start(t)
		o.Env = []string{"PFS_TEST_DSN=" + r.server.Config("files")["dsn"].(string)}
		config = vfs.Config{"backend": "mysql", "dsn": "env:PFS_TEST_DSN", "cache_ttl_seconds": 0}
	}
	r.c = harness.Start(t, o)
	for _, n := range r.c.Nodes {
		r.w = append(r.w, newWeb(t, n))
	}
	body, err := json.Marshal(map[string]any{"fstype": "sqlfs", "path": "/sql", "node": "n2", "config": config})
	if backend == "mariadb" {
		body, err = json.Marshal(map[string]any{"fstype": "sqlfs", "path": "/sql", "config": config})
	}
	if err != nil {
		t.Fatal(err)
	}
	r.w[0].want(200, "POST", "/mount", string(body))
	r.up()
	return r
}

// up waits until every node has the mount.
func (r *registry) up() {
	r.Helper()
	ok := harness.Poll(90*time.Second, func() bool {
		for i := range 3 {
			if a, err := r.w[i].do("GET", "/stat?path=/sql", nil); err != nil || a.status != 200 {
				return false
			}
		}
		return true
	})
	if !ok {
		r.Fatalf("not mounted: %+v", r.w[0].shown("/sql"))
	}
}

// refused mounts what cannot work, and mistakes the settings.
func (r *registry) refused() {
	for config, words := range map[string]string{
		`{"backend":"oracle"}`:                                     "backend is invalid",
		`{"db_path":":memory:"}`:                                   "db_path is invalid",
		`{"db_path":"file:/etc/passwd?mode=rw"}`:                   "db_path is invalid",
		`{"db_path":"/no/such/dir/db"}`:                            "does not exist on node",
		fmt.Sprintf(`{"db_path":%q}`, r.c.Nodes[0].Dir+"/db"):      "data directory",
		fmt.Sprintf(`{"db_path":%q}`, r.c.Nodes[0].Log):            "is no SQLite database",
		`{"backend":"mysql","dsn":"not a dsn"}`:                    "dsn is invalid",
		`{"backend":"mysql","dsn":"u:canary@tcp(h)/d?foo=1"}`:      "dsn is invalid",
		`{"backend":"mysql","port":"many"}`:                        "port must be an integer",
		`{"backend":"mysql","port":1,"password":"planted-canary"}`: "does not answer",
		`{"cache_max_size":"x"}`:                                   "cache_max_size must be an integer",
		`{"db_file":"x"}`:                                          "unknown configuration parameter(s) 'db_file'",
	} {
		var a answer
		var err error
		harness.Poll(30*time.Second, func() bool { // one without a leader refuses for another reason
			a, err = r.w[0].do("POST", "/mount", strings.NewReader(fmt.Sprintf(`{"fstype":"sqlfs","path":"/bad","node":"n1","config":%s}`, config)))
			return err != nil || a.status != 503 || strings.Contains(a.body, words)
		})
		if err != nil || a.status < 400 || !strings.Contains(a.body, words) || strings.Contains(a.body, "canary") {
			r.Errorf("%s: %d %s, %v; expected %q", config, a.status, a.body, err, words)
		}
		if a.status == 500 {
			r.Errorf("%s: %d", config, a.status)
		}
	}
}

// everyNode changes the tree through one node and looks through the next.
func (r *registry) everyNode() {
	long := strings.Repeat("0123456789abcdef", 300_000)
	for i, w := range r.w {
		next, at := r.w[(i+1)%3], fmt.Sprintf("/sql/d%d", i)
		w.put(at+"/deep/f", "written")
		next.reads(at+"/deep/f", "written")
		w.want(200, "PUT", "/files?path="+at+"/deep/f&flags=append", "!")
		next.want(200, "PUT", "/files?path="+at+"/deep/f&offset=1", "R")
		w.reads(at+"/deep/f", "wRitten!")
		next.put(at+"/long", long)
		w.reads(at+"/long", long)
		if part := w.want(206, "GET", "/files?path="+at+"/long", "", "Range", "bytes=1000000-1000003"); part.body != long[1000000:1000004] {
			r.Errorf("a range: %q", part.body)
		}
		tag := w.want(200, "GET", "/files?path="+at+"/long", "").header.Get("ETag")
		next.want(200, "PUT", "/files?path="+at+"/long", "short", "If-Match", tag)
		w.want(412, "PUT", "/files?path="+at+"/long", "again", "If-Match", tag)
		w.want(200, "POST", "/rename?path="+at, `{"newPath":"`+at+`-moved"}`)
		next.reads(at+"-moved/deep/f", "wRitten!")
		next.link(at+"-moved/l", "long")
		next.reads(at+"-moved/l", "short") // links of this mount are in the log
		next.want(409, "DELETE", "/files?path="+at+"-moved", "")
		w.want(200, "DELETE", "/files?path="+at+"-moved&recursive=true", "")
		next.want(404, "GET", "/files?path="+at+"-moved/deep/f", "")
	}
	a := r.w[0].want(200, "GET", "/mounts", "")
	if r.server != nil && (strings.Contains(a.body, r.server.Dir) || !strings.Contains(a.body, `"shared"`)) {
		r.Errorf("mounts: %s", a.body)
	}
}

// tree copies the Go toolchain's source there and back through three nodes.
func (r *registry) tree() {
	src := goSource(r.T)
	want, size := hashTree(r.T, src)
	from := time.Now()
	r.c.Run("", "cp", "-q", "-r", "-j", "24", "local:"+src, "/sql/go")
	in := time.Since(from)
	back := r.TempDir()
	from = time.Now()
	r.c.Run("", "cp", "-q", "-r", "-j", "24", "/sql/go", "local:"+back+"/go")
	out := time.Since(from)
	got, _ := hashTree(r.T, filepath.Join(back, "go"))
	wrong := 0
	for name, sum := range want {
		if got[name] != sum {
			wrong++
		}
	}
	if wrong > 0 || len(got) != len(want) {
		r.Errorf("%d of %d files differ, %d came back", wrong, len(want), len(got))
	}
	r.Logf("%d files, %d MiB: in %.0f files/s, out %.0f files/s", len(want), size>>20,
		float64(len(want))/in.Seconds(), float64(len(want))/out.Seconds())
}

// killed writes files while nodes and the database server are killed: what was
// acknowledged is there, whole, and of the others the old content or the new.
func (r *registry) killed() {
	content := func(worker, n int) string {
		return strings.Repeat(fmt.Sprintf("%d-%d ", worker, n), []int{10, 8000, 60_000}[n%3])
	}
	const workers, files = 6, 5
	var acked [workers][files]atomic.Int64 // the newest version that was acknowledged
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var acks atomic.Int64
	for i := range workers {
		wg.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				a, err := r.w[i%3].do("PUT", fmt.Sprintf("/files?path=/sql/k/%d-%d", i, n%files), strings.NewReader(content(i, n)))
				if err == nil && a.status == 200 {
					acked[i][n%files].Store(int64(n))
					acks.Add(1)
				} else {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	enough := func(n int64) {
		r.Helper()
		if !harness.Poll(90*time.Second, func() bool { return acks.Load() >= n }) {
			r.Fatalf("%d writes were acknowledged", acks.Load())
		}
	}
	for round := range int64(3) {
		enough(60 * (round + 1))
		r.c.Nodes[1].Kill()
		if r.server != nil {
			r.server.Kill()
			r.server.Run(r)
		}
		r.c.Nodes[1].Start()
		r.c.Ready()
		r.up()
	}
	enough(240)
	close(stop)
	wg.Wait()
	for i := range workers {
		for f := range files {
			n := int(acked[i][f].Load())
			if n == 0 {
				continue
			}
			got := r.w[(i+1)%3].want(200, "GET", fmt.Sprintf("/files?path=/sql/k/%d-%d", i, f), "").body
			ok := false
			for v := n; v < n+100*files && !ok; v += files {
				ok = got == content(i, v)
			}
			if !ok {
				r.Errorf("worker %d: file %d has %d bytes that begin %.12q; version %d was acknowledged", i, f, len(got), got, n)
			}
		}
	}
	r.Logf("%d writes were acknowledged", acks.Load())
}
