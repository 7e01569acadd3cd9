package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// scriptMounts are the settings that the scripts of each plugin expect.
func scriptMounts(t *testing.T) map[string]vfs.Config {
	return map[string]vfs.Config{
		"devfs":        nil,
		"heartbeatfs":  nil,
		"hellofs":      nil,
		"kvfs":         {"initial_data": map[string]any{"welcome": "hello", "port": 8080, "team/lead": "ann"}},
		"localfs":      {"local_dir": ""}, // each mount has its own
		"memfs":        {"init_dirs": []any{"/home/user", "tmp", "/home"}},
		"proxyfs":      {"base_url": ""}, // a directory of another cluster
		"queuefs":      nil,
		"s3fs":         s3server.Start(t).Config(), // each mount has its own prefix
		"serverinfofs": {"version": "v1"},
		"streamfs":     nil,
		"sqlfs2":       {"db_path": ""},
		"sqlfs":        {"db_path": ""}, // so has each of these
	}
}

// TestScripts plays the scripts of every plugin over HTTP: on one node, and on
// three with each request sent to the next node.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Nodes: nodes})
			playAll(t, c)
			c.SameDigest()
		})
	}
}

func playAll(t *testing.T, c *harness.Cluster) {
	dirs, err := filepath.Glob(filepath.Join(harness.Root(t), "plugins", "*", "testdata"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	mounts := scriptMounts(t)
	played := 0
	for _, dir := range dirs {
		scripts, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if len(scripts) == 0 {
			continue
		}
		fstype := filepath.Base(filepath.Dir(dir))
		config, ok := mounts[fstype]
		if !ok {
			t.Errorf("the scripts of %s have no settings here", fstype)
			continue
		}
		t.Run(fstype, func(t *testing.T) {
			vfstest.Scripts(t, dir, func(t *testing.T) vfstest.Driver {
				played++
				return newRemote(t, c, fstype, config)
			})
		})
		if fstype == "streamfs" {
			t.Run("streamfs in memory", func(t *testing.T) {
				vfstest.Scripts(t, dir, func(t *testing.T) vfstest.Driver {
					played++
					return newRemote(t, c, fstype, vfs.Config{"durability": "memory"})
				})
			})
		}
		delete(mounts, fstype)
	}
	for fstype := range mounts {
		t.Errorf("%s has no scripts", fstype)
	}
	t.Logf("%d scripts on %d nodes", played, len(c.Nodes))
}

// remote is a mount on a cluster, driven over HTTP. Each request goes to the
// next node, and asks for the state that the last one saw or made.
type remote struct {
	c     *harness.Cluster
	at    string // the mount
	next  int
	index uint64
}

// newRemote mounts a plugin at a place of its own.
func newRemote(t *testing.T, c *harness.Cluster, fstype string, config vfs.Config) *remote {
	r := &remote{c: c, at: "/" + strings.NewReplacer("/", "-", " ", "-", "#", "-").Replace(t.Name())}
	if _, ok := config["local_dir"]; ok {
		config = vfs.Config{"local_dir": t.TempDir()}
	}
	if fstype == "s3fs" {
		config = maps.Clone(config)
		config["prefix"] = strings.Trim(r.at, "/")
	}
	if _, ok := config["db_path"]; ok {
		config = vfs.Config{"db_path": filepath.Join(t.TempDir(), "db")}
	}
	if _, ok := config["base_url"]; ok {
		other := harness.Start(t, harness.Options{}).Nodes[0]
		newWeb(t, other).mkdir("/memfs/served")
		config = vfs.Config{"base_url": other.URL + "/api/v1", "remote_path": "/memfs/served"}
	}
	body, err := json.Marshal(map[string]any{"fstype": fstype, "path": r.at, "config": config})
	if config == nil {
		body, err = json.Marshal(map[string]any{"fstype": fstype, "path": r.at})
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.call(t.Context(), "POST", "/mount", nil, string(body)); err != nil {
		t.Fatalf("mount: %v", err)
	}
	r.await(t)
	return r
}

// await waits until the mount has started on every node, each in its own time.
func (r *remote) await(t *testing.T) {
	for range r.c.Nodes {
		var err error
		up := harness.Poll(20*time.Second, func() bool {
			_, err = r.call(t.Context(), http.MethodGet, "/stat", url.Values{"path": {r.at}}, "")
			r.next-- // the same node again
			return vfs.KindOf(err) != vfs.Unavailable
		})
		if !up {
			t.Fatalf("mount: %v", err)
		}
		r.next++
	}
}

// call sends one request to the next node and returns the answer's body. A node that
// has lost its leader is asked again.
func (r *remote) call(ctx context.Context, method, route string, q url.Values, body string, header ...string) ([]byte, error) {
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		b, again, err := r.try(ctx, method, route, q, body, header...)
		if err == nil || !again || time.Now().After(until) {
			return b, err
		}
		r.next-- // the same node
	}
}

// try sends one request; again says that it may be sent again.
func (r *remote) try(ctx context.Context, method, route string, q url.Values, body string, header ...string) (b []byte, again bool, err error) {
	n := r.c.Nodes[r.next%len(r.c.Nodes)]
	r.next++
	if q == nil {
		q = url.Values{}
	}
	if method == http.MethodGet && r.index > 0 {
		q.Set("min_index", strconv.FormatUint(r.index, 10))
	}
	req, err := http.NewRequestWithContext(ctx, method, n.URL+"/api/v1"+route+"?"+q.Encode(), strings.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	if b, err = io.ReadAll(resp.Body); err != nil {
		return nil, false, err
	}
	if i, err := strconv.ParseUint(resp.Header.Get("X-Pfs-Index"), 10, 64); err == nil {
		r.index = max(r.index, i)
	}
	if resp.StatusCode/100 == 2 {
		return b, false, nil
	}
	again = resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "" && !strings.Contains(string(b), `"outcome"`)
	return nil, again, kindOfAnswer(n.ID, resp.StatusCode, b)
}

// kindOfAnswer makes an error of a refusal. One without a code is of no kind,
// which no script expects.
func kindOfAnswer(node string, status int, body []byte) error {
	var p struct{ Error, Code string }
	err := json.Unmarshal(body, &p)
	for k := vfs.Kind(1); err == nil && k.Valid(); k++ {
		if k.Code() == p.Code {
			return k.Withf("%s: %d %s", node, status, p.Error)
		}
	}
	return fmt.Errorf("%s: %d %s", node, status, body)
}

func (r *remote) path(p vfs.Path) url.Values { return url.Values{"path": {r.global(p)}} }

func (r *remote) global(p vfs.Path) string { return strings.TrimSuffix(r.at+p.String(), "/") }

// Do sends a change by the route that its verb has.
func (r *remote) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	q := r.path(op.Path)
	send := func(method, route string, in any) (vfs.Result, error) {
		body := ""
		if in != nil {
			b, err := json.Marshal(in)
			if err != nil {
				return vfs.Result{}, err
			}
			body = string(b)
		}
		_, err := r.call(ctx, method, route, q, body)
		return vfs.Result{}, err
	}
	if op.Verb == vfs.Mkdir && op.Mode != 0 {
		q.Set("mode", strconv.FormatUint(uint64(op.Mode), 8))
	}
	switch op.Verb {
	case vfs.Write:
		return r.write(ctx, op, q)
	case vfs.Create:
		return r.create(ctx, op, q)
	case vfs.Mkdir:
		return send("POST", "/directories", nil)
	case vfs.Chmod:
		return send("POST", "/chmod", map[string]uint32{"mode": uint32(op.Mode)})
	case vfs.Rename:
		return send("POST", "/rename", map[string]string{"newPath": r.global(op.To)})
	case vfs.Symlink:
		return send("POST", "/symlink", map[string]string{"target": op.Target})
	case vfs.RemoveAll:
		q.Set("recursive", "true")
		return send("DELETE", "/files", nil)
	case vfs.Remove:
		return send("DELETE", "/files", nil)
	}
	return r.plain(ctx, op, q)
}

// plain sends a change that is all in the query.
func (r *remote) plain(ctx context.Context, op vfs.Op, q url.Values) (vfs.Result, error) {
	switch op.Verb {
	case vfs.Truncate:
		q.Set("size", strconv.FormatInt(op.Off, 10))
		_, err := r.call(ctx, "POST", "/truncate", q, "")
		return vfs.Result{}, err
	case vfs.Touch:
		_, err := r.call(ctx, "POST", "/touch", q, "")
		return vfs.Result{}, err
	}
	return vfs.Result{}, fmt.Errorf("no route for %s", op.Verb)
}

// create makes an empty file. Only a handle can give it a mode.
func (r *remote) create(ctx context.Context, op vfs.Op, q url.Values) (vfs.Result, error) {
	if op.Mode == 0 {
		_, err := r.call(ctx, "POST", "/files", q, "")
		return vfs.Result{}, err
	}
	q.Set("flags", "write,create,exclusive")
	q.Set("mode", strconv.FormatUint(uint64(op.Mode), 8))
	b, err := r.call(ctx, "POST", "/handles/open", q, "")
	if err != nil {
		return vfs.Result{}, err
	}
	var h struct {
		ID int64 `json:"handle_id"`
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return vfs.Result{}, err
	}
	_, err = r.call(ctx, "DELETE", "/handles/"+strconv.FormatInt(h.ID, 10), nil, "")
	return vfs.Result{}, err
}

func (r *remote) write(ctx context.Context, op vfs.Op, q url.Values) (vfs.Result, error) {
	var flags []string
	for _, f := range []struct {
		bit  vfs.Flag
		name string
	}{{vfs.FlagAppend, "append"}, {vfs.FlagCreate, "create"}, {vfs.FlagExclusive, "exclusive"}, {vfs.FlagTruncate, "truncate"}} {
		if op.Flag&f.bit != 0 {
			flags = append(flags, f.name)
		}
	}
	if op.Flag != vfs.FlagCreate|vfs.FlagTruncate { // which is what a PUT does
		q.Set("flags", strings.Join(flags, ","))
	}
	if op.Off > 0 {
		q.Set("offset", strconv.FormatInt(op.Off, 10))
	}
	b, err := r.call(ctx, "PUT", "/files", q, string(op.Data), askHeaders(op)...)
	if err != nil {
		return vfs.Result{}, err
	}
	var out struct{ Message string }
	var n int64
	if err := json.Unmarshal(b, &out); err != nil {
		return vfs.Result{}, err
	}
	if _, err := fmt.Sscanf(out.Message, "Written %d bytes", &n); err != nil {
		return vfs.Result{}, fmt.Errorf("a write answers %q", out.Message)
	}
	return vfs.Result{N: n}, nil
}

// askHeaders says what the Options of a write are as headers.
func askHeaders(op vfs.Op) (out []string) {
	names := map[string]string{"priority": "X-Pfs-Priority", "delay": "X-Pfs-Delay", "dedup": "X-Pfs-Dedup-Id"}
	o := vfs.ParseOptions(op.Target)
	for option, name := range names {
		if v, ok := o[option]; ok {
			out = append(out, name, v)
		}
	}
	if _, ok := o["batch"]; ok {
		out = append(out, "Content-Type", "application/x-ndjson")
	}
	return out
}

// Read reads a part of a file.
func (r *remote) Read(ctx context.Context, p vfs.Path, off, size int64) ([]byte, error) {
	q := r.path(p)
	if off != 0 {
		q.Set("offset", strconv.FormatInt(off, 10))
	}
	if size >= 0 {
		q.Set("size", strconv.FormatInt(size, 10))
	}
	return r.call(ctx, "GET", "/files", q, "")
}

// Consume reads a file that is then gone.
func (r *remote) Consume(ctx context.Context, op vfs.Op) ([]byte, error) {
	q := r.path(op.Path)
	for name, v := range vfs.ParseOptions(op.Target) {
		q.Set(name, v)
	}
	return r.call(ctx, "GET", "/files", q, "")
}

// Stat describes a file.
func (r *remote) Stat(ctx context.Context, p vfs.Path) (vfs.Info, error) {
	b, err := r.call(ctx, "GET", "/stat", r.path(p), "")
	if err != nil {
		return vfs.Info{}, err
	}
	var e entry
	err = json.Unmarshal(b, &e)
	return e.info(), err
}

// info turns what clients see into an Info.
func (e entry) info() vfs.Info {
	i := vfs.Info{Name: e.Name, Size: e.Size, Mode: vfs.Mode(e.Mode)}
	switch {
	case e.Meta.Type == "symlink":
		i.Mode |= vfs.ModeLink
	case e.IsDir:
		i.Mode |= vfs.ModeDir
	}
	i.Meta.Content = e.Meta.Content
	return i
}

// List lists a directory.
func (r *remote) List(ctx context.Context, p vfs.Path) ([]vfs.Info, error) {
	b, err := r.call(ctx, "GET", "/directories", r.path(p), "")
	if err != nil {
		return nil, err
	}
	var out struct{ Files []entry }
	err = json.Unmarshal(b, &out)
	var infos []vfs.Info
	for _, e := range out.Files {
		infos = append(infos, e.info())
	}
	return infos, err
}

// Readlink returns the target of a link.
func (r *remote) Readlink(ctx context.Context, p vfs.Path) (string, error) {
	b, err := r.call(ctx, "GET", "/readlink", r.path(p), "")
	var out struct{ Target string }
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out.Target, err
}
