package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

const v1 = "/api/v1"

var mounts = map[string]string{"/memfs": "memfs", "/mem2": "memfs", "/q": "queuefs", "/kv": "kvfs",
	"/hello": "hellofs", "/dev": "devfs", "/info": "serverinfofs"}

// broken is a plugin whose backend is never there.
func broken() vfs.Plugin {
	return vfs.Plugin{Type: "broken", Verbs: vfs.Verbs(vfs.Write),
		Params: []vfs.Param{{Name: "dsn", Secret: true}},
		Place:  func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New:    func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return nil, errors.New("backend is down") }}
}

func startWith(t *testing.T, c api.Config) *apitest.Server {
	t.Helper()
	c.Version = "test"
	return apitest.Start(t, apitest.Config{API: c, Plugins: append(plugins.Builtin(nil), broken()), Mounts: mounts})
}

func start(t *testing.T) *apitest.Server {
	t.Helper()
	return startWith(t, api.Config{})
}

// row is one row of the contract's table of conditions. Requests are written
// "METHOD target body"; {h} in them is the last handle that was opened.
type row struct {
	n       int
	setup   []string
	req     string
	status  int
	text    string // the whole error
	has     string // or a part of the body
	changes bool   // the state may change
	maxBody int64
	refuse  error // of every proposal
	header  [2]string
}

// rows are the conditions of the contract by their numbers, with the
// recommended answers.
var rows = []row{
	{n: 1, req: "GET /stat", status: 400, text: "path parameter is required"},
	{n: 1, req: "PUT /files hello", status: 400, text: "path parameter is required"},
	{n: 1, req: "GET /files?path=", status: 400, text: "path parameter is required"},
	{n: 2, req: "POST /stat?path=/", status: 405, text: "method not allowed", header: [2]string{"Allow", "GET"}},
	{n: 2, req: "PATCH /files?path=/memfs/f", status: 405, text: "method not allowed"},
	{n: 3, req: "GET /nope", status: 404, has: `"code":"not_found"`},
	{n: 4, req: "GET /files?path=/memfs/none", status: 404, text: "read: /memfs/none: not found"},
	{n: 5, req: "GET /files?path=/nowhere/f", status: 404, text: "read: /nowhere/f: not found"},
	{n: 6, setup: []string{"POST /mkdir?path=/memfs/d"}, req: "GET /files?path=/memfs/d", status: 400, text: "read: /memfs/d: is a directory"},
	{n: 7, setup: []string{"PUT /files?path=/memfs/f hello"}, req: "GET /files?path=/memfs/f&offset=99", status: 200},
	{n: 8, req: "GET /files?path=/memfs/README&offset=x", status: 400, text: "invalid offset parameter"},
	{n: 8, req: "GET /files?path=/memfs/README&size=1.5", status: 400, text: "invalid size parameter"},
	{n: 9, req: "GET /files?path=/memfs/README&stream=true", status: 404, text: "filesystem does not support streaming: /memfs/README"},
	{n: 10, req: "PUT /files?path=/memfs/no/f x", status: 404, text: "write: /memfs/no/f: not found (parent directory)"},
	{n: 11, setup: []string{"POST /mkdir?path=/memfs/d"}, req: "PUT /files?path=/memfs/d x", status: 400, text: "write: /memfs/d: is a directory"},
	{n: 12, maxBody: 32, req: "PUT /files?path=/memfs/f " + strings.Repeat("x", 33), status: 413, text: "request body exceeds maximum size of 32 bytes"},
	{n: 13, req: "PUT /files?path=/nowhere/f x", status: 404, text: "write: /nowhere/f: not found"},
	{n: 14, setup: []string{"POST /files?path=/memfs/f"}, req: "POST /files?path=/memfs/f", status: 409, text: "file already exists: /memfs/f"},
	{n: 15, setup: []string{"POST /directories?path=/memfs/d"}, req: "POST /directories?path=/memfs/d", status: 409, text: "directory already exists: /memfs/d"},
	{n: 16, req: "POST /directories?path=/memfs/no/d", status: 404, text: "mkdir: /memfs/no/d: not found"},
	{n: 17, req: "POST /directories?path=/d", status: 403, text: "mkdir: /d: permission denied (not allowed to create in rootfs, use mount instead)"},
	{n: 17, req: "POST /files?path=/f", status: 403, has: "permission denied (not allowed to create"},
	{n: 18, req: "POST /directories?path=/memfs/d&mode=9", status: 400, text: "invalid mode"},
	{n: 19, req: "DELETE /files?path=/memfs/no", status: 404, text: "remove: /memfs/no: not found"},
	{n: 20, setup: []string{"POST /mkdir?path=/memfs/d", "PUT /files?path=/memfs/d/f x"}, req: "DELETE /files?path=/memfs/d", status: 409, text: "directory not empty: /memfs/d"},
	{n: 21, req: "DELETE /files?path=/memfs", status: 403, text: "remove: /memfs: permission denied (mount point)"},
	{n: 21, req: "DELETE /files?path=/memfs&recursive=true", status: 403, text: "remove: /memfs: permission denied (mount point)"},
	{n: 22, setup: []string{`POST /symlink?path=/memfs/l {"target":"README"}`}, req: "DELETE /files?path=/memfs/l&recursive=true", status: 200, has: `"message":"deleted"`, changes: true},
	{n: 22, setup: []string{`POST /symlink?path=/kv/keys/l {"target":"x"}`}, req: "DELETE /files?path=/kv/keys/l&recursive=true", status: 200, has: `"message":"deleted"`, changes: true},
	{n: 23, req: "GET /directories?path=/memfs/no", status: 404, text: "readdir: /memfs/no: not found"},
	{n: 24, req: "GET /directories?path=/memfs/README", status: 400, text: "readdir: /memfs/README: not a directory"},
	{n: 25, setup: []string{"POST /mkdir?path=/memfs/d"}, req: "GET /directories?path=/memfs/d", status: 200, has: `{"files":[]}`},
	{n: 26, req: "GET /stat?path=/memfs/no", status: 404, text: "stat: /memfs/no: not found"},
	{n: 27, req: `POST /rename?path=/memfs/no {"newPath":"/memfs/x"}`, status: 404, text: "rename: /memfs/no: not found"},
	{n: 28, setup: []string{"PUT /files?path=/memfs/a 1", "PUT /files?path=/memfs/b 2"}, req: `POST /rename?path=/memfs/a {"newPath":"/memfs/b"}`, status: 200, has: `"message":"renamed"`, changes: true},
	{n: 28, setup: []string{"PUT /files?path=/memfs/a 1", "POST /mkdir?path=/memfs/d"}, req: `POST /rename?path=/memfs/a {"newPath":"/memfs/d"}`, status: 409},
	{n: 29, setup: []string{"POST /mkdir?path=/memfs/d"}, req: `POST /rename?path=/memfs/d {"newPath":"/memfs/d/e"}`, status: 400, text: "rename: /memfs/d: invalid argument (into itself)"},
	{n: 30, setup: []string{"PUT /files?path=/memfs/a 1"}, req: `POST /rename?path=/memfs/a {"newPath":"/mem2/a"}`, status: 501, text: "cannot rename across different mounts"},
	{n: 31, req: `POST /chmod?path=/memfs/no {"mode":420}`, status: 404, text: "chmod: /memfs/no: not found"},
	{n: 32, req: "POST /truncate?path=/memfs/no&size=1", status: 404, text: "truncate: /memfs/no: not found"},
	{n: 32, setup: []string{"POST /mkdir?path=/memfs/d"}, req: "POST /truncate?path=/memfs/d&size=1", status: 400, text: "truncate: /memfs/d: is a directory"},
	{n: 32, req: "POST /truncate?path=/memfs/README&size=-1", status: 400, text: "size must be non-negative"},
	{n: 32, setup: []string{"PUT /files?path=/memfs/f x"}, req: "POST /truncate?path=/memfs/f&size=4611686018427387904", status: 413, text: "truncate: /memfs/f: too large"},
	{n: 33, setup: []string{"PUT /files?path=/memfs/f x"}, req: "POST /touch?path=/memfs/f", status: 200, has: `"message":"touched"`, changes: true},
	{n: 34, setup: []string{"POST /mkdir?path=/memfs/d"}, req: "POST /touch?path=/memfs/d", status: 200, has: `"message":"touched"`, changes: true},
	{n: 35, setup: []string{`POST /symlink?path=/memfs/l {"target":"x"}`}, req: `POST /symlink?path=/memfs/l {"target":"y"}`, status: 409, text: "symlink already exists: /memfs/l"},
	{n: 35, req: `POST /symlink?path=/memfs/no/l {"target":"y"}`, status: 404, has: "symlink: /memfs/no/l: not found"},
	{n: 36, req: "GET /readlink?path=/memfs/README", status: 404, text: "readlink: /memfs/README: not found"},
	{n: 37, setup: []string{`POST /symlink?path=/memfs/a {"target":"b"}`, `POST /symlink?path=/memfs/b {"target":"a"}`}, req: "GET /files?path=/memfs/a", status: 400, has: "too many levels of symbolic links"},
	{n: 38, req: `POST /digest {"algorithm":"md5","path":"/memfs/no"}`, status: 404, has: "failed to calculate digest: "},
	{n: 39, setup: []string{"PUT /files?path=/memfs/f hello world"}, req: `POST /digest {"algorithm":"xxh3","path":"/memfs/f"}`, status: 200, has: `"digest":"a99b8775cc15b6c7"`},
	{n: 39, setup: []string{"PUT /files?path=/memfs/f hello world"}, req: `POST /digest {"algorithm":"md5","path":"/memfs/f"}`, status: 200, has: `"digest":"5eb63bbbe01eeed093cb22bb8f5acdc3"`},
	{n: 40, req: `POST /grep {"path":"/memfs/README","pattern":"("}`, status: 400, has: "invalid regex pattern: "},
	{n: 40, req: `POST /grep {"path":"/memfs","pattern":"x"}`, status: 400, text: "path is a directory, use recursive=true to search"},
	{n: 40, req: `POST /grep {"path":"/memfs"}`, status: 400, text: "pattern is required"},
	{n: 40, req: `POST /grep {"pattern":"x"}`, status: 400, text: "path is required"},
	{n: 41, req: `POST /grep {"path":"/memfs/README","pattern":"xyzzy"}`, status: 200, has: `{"matches":[],"count":0}`},
	{n: 42, req: `POST /mount {"fstype":"memfs","path":"/memfs"}`, status: 409, text: "mount already exists: /memfs"},
	{n: 43, req: `POST /mount {"fstype":"nofs","path":"/x"}`, status: 400, text: "unknown filesystem type: nofs"},
	{n: 43, req: `POST /mount {"fstype":"memfs","path":"/x","config":{"foo":1}}`, status: 400, has: "unknown configuration parameter(s) 'foo'"},
	{n: 44, req: `POST /mount {"fstype":"broken","path":"/x"}`, status: 503, text: "failed to initialize plugin: backend is down"},
	{n: 45, req: `POST /unmount {"path":"/nowhere"}`, status: 404, text: "no mount at path: /nowhere (not found)"},
	{n: 46, req: `POST /plugins/load {"library_path":"/no/such/file.so"}`, status: 404, has: "failed to detect plugin type"},
	{n: 47, req: "POST /handles/open?path=/memfs/no&flags=0", status: 404, text: "open: /memfs/no: not found"},
	{n: 48, setup: []string{"PUT /files?path=/memfs/f x"}, req: "POST /handles/open?path=/memfs/f&flags=49&lease=60", status: 409, text: "file already exists: /memfs/f"},
	{n: 49, setup: []string{"PUT /files?path=/kv/keys/k x"}, req: "POST /handles/open?path=/kv/keys/k", status: 200, has: `"handle_id":`},
	{n: 49, req: "POST /handles/open?path=/hello/hello", status: 200, has: `"handle_id":`},
	{n: 50, req: "GET /handles/4711", status: 404, text: "not found"},
	{n: 50, setup: []string{"POST /handles/open?path=/memfs/README", "DELETE /handles/{h}"}, req: "DELETE /handles/{h}", status: 404, text: "not found"},
	{n: 51, req: "GET /handles/abc", status: 400, text: "invalid handle ID: must be a number"},
	{n: 51, req: "GET /handles/abc/read", status: 400, text: "invalid handle ID: must be a number"},
	{n: 52, setup: []string{"POST /handles/open?path=/memfs/README"}, req: "GET /handles/{h}/read?offset=-1", status: 400, text: "invalid offset: negative"},
	{n: 52, setup: []string{"PUT /files?path=/memfs/f x", "POST /handles/open?path=/memfs/f&flags=1"}, req: "PUT /handles/{h}/write?offset=-1 x", status: 400, text: "invalid offset: negative"},
	{n: 53, setup: []string{"POST /handles/open?path=/memfs/README&flags=0"}, req: "PUT /handles/{h}/write x", status: 403, text: "handle not opened for writing"},
	{n: 53, setup: []string{"PUT /files?path=/memfs/f x", "POST /handles/open?path=/memfs/f&flags=1"}, req: "GET /handles/{h}/read", status: 403, text: "handle not opened for reading"},
	{n: 54, setup: []string{"PUT /files?path=/memfs/f abc", "POST /handles/open?path=/memfs/f"}, req: "GET /handles/{h}/read?size=4611686018427387904", status: 200, has: "abc", header: [2]string{"X-Bytes-Read", "3"}},
	{n: 55, setup: []string{"POST /handles/open?path=/memfs/README"}, req: "POST /handles/{h}/frobnicate", status: 404, text: "unknown operation: frobnicate"},
	{n: 56, setup: []string{"POST /handles/open?path=/memfs/README"}, req: "GET /handles/{h}/stream", status: 501, has: "operation not supported"},
	{n: 57, req: "PUT /files?path=/hello/hello x", status: 403, has: "permission denied"},
	{n: 57, req: "POST /files?path=/info/x", status: 403, has: "permission denied"},
	{n: 58, setup: []string{"POST /mkdir?path=/q/jobs"}, req: "GET /files?path=/q/jobs/enqueue", status: 403, has: "permission denied"},
	{n: 58, setup: []string{"POST /mkdir?path=/q/jobs"}, req: "GET /files?path=/q/jobs/enqueue", status: 403, has: "is write-only"},
	{n: 59, refuse: vfs.Unavailable.With("no leader"), req: "PUT /files?path=/memfs/f x", status: 503, text: "no leader", header: [2]string{"Retry-After", "1"}},
	{n: 59, refuse: &vfs.Unknown{Cause: errors.New("leader was lost")}, req: "PUT /files?path=/memfs/f x", status: 503, has: `"outcome":"unknown"`},
	{n: 60, setup: []string{"POST /mkdir?path=/q/jobs"}, req: "GET /files?path=/q/jobs/dequeue", status: 200, has: "{}", changes: true},
}

func TestContractRows(t *testing.T) {
	seen := map[int]bool{}
	for i, r := range rows {
		seen[r.n] = true
		t.Run(fmt.Sprintf("%02d/%d", r.n, i), func(t *testing.T) { r.test(t) })
	}
	for n := 1; n <= 60; n++ {
		if !seen[n] {
			t.Errorf("row %d has no test", n)
		}
	}
}

// request splits "METHOD target body" and sends it.
func request(t *testing.T, s *apitest.Server, line, handle string, header ...string) apitest.Answer {
	t.Helper()
	method, rest, _ := strings.Cut(line, " ")
	target, body, _ := strings.Cut(rest, " ")
	return s.Do(t, method, v1+strings.ReplaceAll(target, "{h}", handle), body, header...)
}

// prepare runs setup lines and returns the last handle that one opened.
func prepare(t *testing.T, s *apitest.Server, lines []string) (handle string) {
	t.Helper()
	for _, line := range lines {
		a := request(t, s, line, handle)
		if a.Status/100 != 2 {
			t.Fatalf("setup %q: %d %s", line, a.Status, a.Body)
		}
		var h struct {
			ID json.Number `json:"handle_id"`
		}
		if strings.Contains(line, "/handles/open") && json.Unmarshal([]byte(a.Body), &h) == nil {
			handle = h.ID.String()
		}
	}
	return handle
}

func (r row) test(t *testing.T) {
	s := startWith(t, api.Config{MaxBody: r.maxBody})
	handle := prepare(t, s, r.setup)
	before := s.Digest(t)
	if r.refuse != nil {
		s.Node.Refuse(func(vfs.Request) error { return r.refuse })
	}
	a := request(t, s, r.req, handle)
	if a.Status != r.status {
		t.Fatalf("status %d, want %d: %s", a.Status, r.status, a.Body)
	}
	if r.status/100 != 2 {
		wantError(t, a, r.text)
	}
	if !strings.Contains(a.Body, r.has) {
		t.Errorf("body %q lacks %q", a.Body, r.has)
	}
	if r.header[0] != "" && a.Header.Get(r.header[0]) != r.header[1] {
		t.Errorf("%s: %q, want %q", r.header[0], a.Header.Get(r.header[0]), r.header[1])
	}
	if after := s.Digest(t); after != before && !r.changes {
		t.Error("the state has changed")
	}
}

// wantError checks that an answer is an error in JSON, with that text if it is
// not empty.
func wantError(t *testing.T, a apitest.Answer, text string) {
	t.Helper()
	var e struct {
		Error, Code string
		RequestID   string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil || e.Error == "" || e.Code == "" || e.RequestID == "" {
		t.Errorf("not an error in JSON: %q", a.Body)
	}
	if ct := a.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	if !strings.HasSuffix(a.Body, "}\n") {
		t.Errorf("body does not end in a newline: %q", a.Body)
	}
	if text != "" && e.Error != text {
		t.Errorf("error %q, want %q", e.Error, text)
	}
	if id := a.Header.Get("X-Request-Id"); id == "" || id != e.RequestID {
		t.Errorf("X-Request-Id %q, in the body %q", id, e.RequestID)
	}
}
