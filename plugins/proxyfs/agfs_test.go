package proxyfs_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/plugins/proxyfs"
	"github.com/pfs-project/pfs/vfs"
)

// agfs answers as an AGFS server does, by its documented behaviour: status 500
// for what is missing, null for an empty directory, no order, no ETag, no pages;
// a write replaces the file whatever its flags, offset and conditions say, and
// takes a message, or bytes of a stream, where the file is such a one. A touch
// of a file that is there fails, and reading dequeue takes, in parts as well.
type agfs struct {
	mu    sync.Mutex
	files map[string]string
	dirs  map[string]bool
	queue []string
	heard string
}

func (a *agfs) fail(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // to a test
}

func (a *agfs) info(p string) map[string]any {
	i := map[string]any{"name": path.Base(p), "size": len(a.files[p]), "mode": 0o644, "modTime": "2026-01-02T03:04:05.678Z",
		"isDir": a.dirs[p], "meta": map[string]any{"Name": "memfs", "Type": "file", "Content": nil}}
	switch p {
	case "/q/enqueue", "/q/dequeue":
		i["size"], i["meta"] = 0, map[string]any{"Name": "queuefs", "Type": "control", "Content": nil}
	case "/s/tv":
		i["size"], i["meta"] = len(a.heard), map[string]any{"Name": "streamfs", "Type": "stream", "Content": map[string]string{"total_written": "0"}}
	}
	if a.dirs[p] {
		i["mode"], i["size"] = 0o755, 0
	}
	return i
}

func (a *agfs) there(p string) bool {
	_, ok := a.files[p]
	return ok || a.dirs[p]
}

func (a *agfs) list(w http.ResponseWriter, p string) {
	var files []any // null if there are none
	names := slices.Sorted(maps.Keys(a.files))
	for _, n := range append(names, slices.Sorted(maps.Keys(a.dirs))...) { // directories last
		if path.Dir(n) == p && n != "/" {
			files = append(files, a.info(n))
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"files": files}) // to a test
}

func (a *agfs) read(w http.ResponseWriter, r *http.Request, p string) {
	b := a.files[p]
	switch {
	case a.dirs[p]:
		a.fail(w, 500, "is a directory: "+p)
		return
	case r.FormValue("stream") != "" && p != "/s/tv":
		a.fail(w, 404, "filesystem does not support streaming: "+p)
		return
	case p == "/s/tv":
		b = a.heard
	case p == "/q/dequeue" && len(a.queue) == 0:
		b = "{}"
	case p == "/q/dequeue":
		b, a.queue = `{"data":"`+a.queue[0]+`"}`, a.queue[1:]
	}
	off, _ := strconv.Atoi(r.FormValue("offset")) // 0 without
	b = b[min(off, len(b)):]
	if n, err := strconv.Atoi(r.FormValue("size")); err == nil && n >= 0 {
		b = b[:min(n, len(b))]
	}
	_, _ = io.WriteString(w, b) // to a test
}

func (a *agfs) put(w http.ResponseWriter, p, body string) {
	switch p {
	case "/q/enqueue":
		a.queue = append(a.queue, body)
	case "/s/tv":
		a.heard += body
	default:
		a.files[p] = body
	}
	fmt.Fprintf(w, `{"message":"Written %d bytes"}`, len(body))
}

func (a *agfs) rename(w http.ResponseWriter, p, to string) {
	if a.there(to) {
		a.fail(w, 500, "file already exists: "+to)
		return
	}
	for _, n := range slices.Collect(maps.Keys(a.files)) {
		if n == p || strings.HasPrefix(n, p+"/") {
			a.files[to+n[len(p):]] = a.files[n]
			delete(a.files, n)
		}
	}
	if a.dirs[p] {
		delete(a.dirs, p)
		a.dirs[to] = true
	}
	fmt.Fprint(w, `{"message":"renamed"}`)
}

func (a *agfs) remove(w http.ResponseWriter, p string, all bool) {
	for n := range a.files {
		if !strings.HasPrefix(n, p+"/") {
			continue
		}
		if !all {
			a.fail(w, 500, "directory not empty: "+p)
			return
		}
		delete(a.files, n)
	}
	delete(a.files, p)
	delete(a.dirs, p)
	fmt.Fprint(w, `{"message":"deleted"}`)
}

// make answers a request that makes a file or a directory.
func (a *agfs) make(w http.ResponseWriter, p string, dir, touch bool) {
	switch {
	case touch && a.there(p):
		a.fail(w, 500, "EOF")
		return
	case a.there(p):
		a.fail(w, 500, "file already exists: "+p)
		return
	case dir:
		a.dirs[p] = true
	default:
		a.files[p] = ""
	}
	w.WriteHeader(201)
	fmt.Fprint(w, `{"message":"created"}`)
}

// ServeHTTP answers one request.
func (a *agfs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := r.URL.Query().Get("path")
	body, _ := io.ReadAll(r.Body) // of a test
	what := r.Method + strings.TrimPrefix(r.URL.Path, "/api/v1")
	made := what == "PUT/files" || r.Method == "POST" && what != "POST/rename"
	if p != "" && !made && !a.there(p) {
		a.fail(w, 500, "no such file or directory: "+p)
		return
	}
	routes := map[string]func(){
		"GET/stat":         func() { _ = json.NewEncoder(w).Encode(a.info(p)) }, // to a test
		"GET/directories":  func() { a.list(w, p) },
		"GET/files":        func() { a.read(w, r, p) },
		"PUT/files":        func() { a.put(w, p, string(body)) },
		"POST/files":       func() { a.make(w, p, false, false) },
		"POST/directories": func() { a.make(w, p, true, false) },
		"POST/touch":       func() { a.make(w, p, false, true) },
		"DELETE/files":     func() { a.remove(w, p, r.FormValue("recursive") == "true") },
		"POST/rename": func() {
			var in struct{ NewPath string }
			_ = json.Unmarshal(body, &in) // of a test
			a.rename(w, p, in.NewPath)
		},
	}
	if f := routes[what]; f != nil {
		f()
	} else {
		http.NotFound(w, r)
	}
}

func startAGFS(t *testing.T) (*agfs, *proxyfs.FS) {
	a := &agfs{files: map[string]string{"/s/tv": "", "/q/enqueue": "", "/q/dequeue": ""}, dirs: map[string]bool{"/": true, "/d": true, "/q": true, "/s": true}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	fs, err := start(t, vfs.Env{Cluster: func() string { return "c1" }}, vfs.Config{"base_url": s.URL + "/api/v1"})
	if err != nil {
		t.Fatal(err)
	}
	return a, fs
}

// An AGFS server is served: files, directories, errors, rename, touch, streams
// and queues.
func TestAGFS(t *testing.T) {
	a, fs := startAGFS(t)
	do := func(kind vfs.Kind, op vfs.Op) {
		t.Helper()
		if _, err := fs.Do(t.Context(), op); vfs.KindOf(err) != kind {
			t.Errorf("%v %s: %v", op.Verb, op.Path, err)
		}
	}
	whole := vfs.FlagCreate | vfs.FlagTruncate
	do(0, vfs.Op{Verb: vfs.Mkdir, Path: "/d/e"})
	do(vfs.Exists, vfs.Op{Verb: vfs.Mkdir, Path: "/d/e"})
	for _, n := range []string{"/d/z", "/d/a"} {
		if r, err := fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: vfs.Path(n), Flag: whole}, strings.NewReader("of "+n)); err != nil || r.N != 7 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	infos, err := fs.List(t.Context(), nil, "/d", "", 2)
	if err != nil || len(infos) != 2 || infos[0].Name != "a" || infos[1].Name != "e" || !infos[1].IsDir() {
		t.Errorf("a page: %+v, %v", infos, err)
	}
	if infos, err = fs.List(t.Context(), nil, "/d", "e", 0); err != nil || len(infos) != 1 || infos[0].Name != "z" || infos[0].Size != 7 {
		t.Errorf("the next: %+v, %v", infos, err)
	}
	if infos, err = fs.List(t.Context(), nil, "/d/e", "", 0); err != nil || len(infos) != 0 {
		t.Errorf("an empty directory: %+v, %v", infos, err)
	}
	b := make([]byte, 4)
	if n, err := fs.ReadAt(t.Context(), nil, "/d/z", b, 3); err != nil || string(b[:n]) != "/d/z" {
		t.Errorf("a part: %q, %v", b[:n], err)
	}
	if _, err := fs.Stat(t.Context(), nil, "/d/none"); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
	if _, err := fs.ReadAt(t.Context(), nil, "/d", b, 0); vfs.KindOf(err) != vfs.IsDirectory {
		t.Error(err)
	}
	do(0, vfs.Op{Verb: vfs.Touch, Path: "/d/new"})
	do(vfs.Unsupported, vfs.Op{Verb: vfs.Touch, Path: "/d/new"})
	do(vfs.Exists, vfs.Op{Verb: vfs.Rename, Path: "/d/new", To: "/d/z"})
	do(0, vfs.Op{Verb: vfs.Rename, Path: "/d", To: "/moved"})
	do(vfs.NotEmpty, vfs.Op{Verb: vfs.Remove, Path: "/moved"})
	do(0, vfs.Op{Verb: vfs.RemoveAll, Path: "/moved"})
	do(vfs.NotFound, vfs.Op{Verb: vfs.Remove, Path: "/moved/z"})
	do(0, vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Flag: whole, Data: []byte("one")})
	do(0, vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Flag: vfs.FlagAppend | vfs.FlagCreate, Off: vfs.AtEnd, Data: []byte("two")})
	if !slices.Equal(a.queue, []string{"one", "two"}) {
		t.Errorf("the queue has %q", a.queue)
	}
	do(0, vfs.Op{Verb: vfs.Write, Path: "/s/tv", Flag: vfs.FlagAppend | vfs.FlagCreate, Off: vfs.AtEnd, Data: []byte("live")})
	r := tune(t, fs, "/s/tv", "oldest", -1)
	hears(t, r, "live")
	if _, _, err := fs.Tune(t.Context(), "/q/dequeue", "oldest"); vfs.KindOf(err) != vfs.NotFound || len(a.queue) != 2 {
		t.Errorf("%v, and %d messages", err, len(a.queue))
	}
}

// What an AGFS server would take for the whole of a file, or a condition that it
// would not look at, never reaches it.
func TestAGFSKeepsFiles(t *testing.T) {
	a, fs := startAGFS(t)
	a.files["/d/f"] = "precious"
	data, whole := []byte("x"), vfs.FlagCreate|vfs.FlagTruncate
	for _, op := range []vfs.Op{
		{Off: vfs.AtEnd, Flag: vfs.FlagAppend | vfs.FlagCreate}, {Off: 3}, {Off: 0, Flag: vfs.FlagCreate},
		{Flag: whole | vfs.FlagExclusive}, {Flag: whole, If: vfs.Cond{Kind: vfs.IfAbsent}}, {Flag: whole, If: vfs.Cond{Kind: vfs.IfVersion, Version: 7}},
	} {
		op.Verb, op.Path, op.Data = vfs.Write, "/d/f", data
		if _, err := fs.Do(t.Context(), op); vfs.KindOf(err) != vfs.Unsupported || !strings.Contains(err.Error(), "the server") {
			t.Errorf("%+v: %v", op, err)
		}
		if op.Flag&vfs.FlagTruncate == 0 {
			continue
		}
		if _, err := fs.Put(t.Context(), op, strings.NewReader("x")); vfs.KindOf(err) != vfs.Unsupported {
			t.Errorf("%+v: %v", op, err)
		}
	}
	if fs.KeepsKeys() {
		t.Error("it is said to keep idempotency keys")
	}
	if got := a.files["/d/f"]; got != "precious" {
		t.Errorf("the file is %q", got)
	}
}
