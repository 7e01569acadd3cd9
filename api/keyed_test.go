package api_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/vfs"
)

// A repeat under a key gets the first answer also when the request would be
// refused by now.
func TestKeyedRepeatIsNotRefused(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mount", `{"fstype":"memfs","path":"/s"}`)
	s.Do(t, "POST", v1+"/mount", `{"fstype":"kvfs","path":"/k"}`)
	for _, r := range []struct{ method, target, body string }{
		{"POST", "/symlink?path=/queuefs-link", `{"target":"/s"}`},
		{"POST", "/symlink?path=/k/keys/l", `{"target":"a"}`},
		{"POST", "/rename?path=/k/keys/l", `{"newPath":"/k/keys/m"}`},
		{"PUT", "/files?path=/s/a", "hello"},
	} {
		first := s.Do(t, r.method, v1+r.target, r.body, "Idempotency-Key", r.target)
		if r.target == "/files?path=/s/a" {
			s.Do(t, "POST", v1+"/unmount", `{"path":"/s"}`)
		}
		again := s.Do(t, r.method, v1+r.target, r.body, "Idempotency-Key", r.target)
		if again.Status != first.Status {
			t.Errorf("%s %s: %d, and again %d %s", r.method, r.target, first.Status, again.Status, again.Body)
		}
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/s/new", "x", "Idempotency-Key", "other"); a.Status != 404 {
		t.Errorf("a new key outside all mounts: %d %s", a.Status, a.Body)
	}
}

// A handle's write that is repeated under its key moves the position once.
func TestKeyedHandleWrite(t *testing.T) {
	s := start(t)
	open := s.Do(t, "POST", v1+"/handles/open?path=/memfs/h&flags=18&lease=60", "")
	id := strings.Split(strings.SplitN(open.Body, `"handle_id":`, 2)[1], ",")[0]
	for range 2 {
		s.Do(t, "PUT", v1+"/handles/"+id+"/write", "abc", "Idempotency-Key", "w")
	}
	s.Do(t, "PUT", v1+"/handles/"+id+"/write", "Z")
	if a := s.Do(t, "GET", v1+"/files?path=/memfs/h", ""); a.Body != "abcZ" {
		t.Errorf("the file holds %q", a.Body)
	}
	if a := s.Do(t, "PUT", v1+"/handles/"+id+"/write", "no", "If-Match", `"1"`); a.Status != 412 {
		t.Errorf("a write under a wrong condition: %d %s", a.Status, a.Body)
	}
}

// A read that took something is answered again under its key when the queue has
// gone, and nothing else is: no entry of the log for a file that is not there.
func TestKeyedTakeOutlivesItsQueue(t *testing.T) {
	s := start(t)
	for _, query := range []string{"dequeue", "take", "take&max=3&lease=1h", "dequeue&wait=5s"} {
		file := v1 + "/files?path=/q/gone/" + query
		steps(t, s, "", "POST /mkdir?path=/q/gone -> 201", "PUT /files?path=/q/gone/enqueue first -> 200",
			"PUT /files?path=/q/gone/enqueue second -> 200")
		first := s.Do(t, "GET", file, "", "Idempotency-Key", "key of "+query)
		steps(t, s, "", "DELETE /files?path=/q/gone&recursive=true -> 200")
		again := s.Do(t, "GET", file, "", "Idempotency-Key", "key of "+query)
		if first.Status != 200 || !strings.Contains(first.Body, `"data":"first"`) || again.Status != 200 || again.Body != first.Body ||
			again.Header.Get("Idempotency-Replayed") != "true" || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
			t.Errorf("%s: %+v, and again %+v", query, first, again)
		}
		index := s.Do(t, "GET", v1+"/stat?path=/q", "").Header.Get("X-Pfs-Index")
		for _, r := range []struct {
			method, key, query string
			status             int
		}{{"GET", "another key", query, 404}, {"HEAD", "key of " + query, query, 404}, {"GET", "key of " + query, "size", 404}} {
			if a := s.Do(t, r.method, v1+"/files?path=/q/gone/"+r.query, "", "Idempotency-Key", r.key); a.Status != r.status {
				t.Errorf("%+v: %d %s", r, a.Status, a.Body)
			}
		}
		if a := s.Do(t, "GET", file, ""); a.Status != 404 {
			t.Errorf("%s without a key: %d", query, a.Status)
		}
		if now := s.Do(t, "GET", v1+"/stat?path=/q", "").Header.Get("X-Pfs-Index"); now != index {
			t.Errorf("%s: the log went from %s to %s for reads of nothing", query, index, now)
		}
		if a := s.Do(t, "GET", file+"&other=1", "", "Idempotency-Key", "key of "+query); a.Status != 422 {
			t.Errorf("%s: the key with another request: %d %s", query, a.Status, a.Body)
		}
	}
}

// lossy is a Device whose file gives away what nobody hears of.
type lossy struct {
	late
	taken atomic.Int32
}

func (l *lossy) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	i, err := l.late.Stat(ctx, v, p)
	i.Meta.Content = map[string]string{vfs.ConsumeKey: "true"}
	return i, err
}

func (l *lossy) Do(context.Context, vfs.Op) (vfs.Result, error) {
	l.taken.Add(1)
	return vfs.Result{}, &vfs.Unknown{}
}

// A handle asks a Device that keeps no keys once: what it may have taken is told
// as lost to every read.
func TestHandleLosesOnce(t *testing.T) {
	l := &lossy{}
	p := vfs.Plugin{Type: "lossyfs", Verbs: vfs.Verbs(vfs.Consume), Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return l, nil }}
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{p}, Mounts: map[string]string{"/lossy": "lossyfs"}})
	for _, m := range s.Node.Machine.Mounts() {
		s.Node.Machine.SetFS(m, l, nil)
	}
	h := open(t, s, "path=/lossy/f")
	steps(t, s, h, "GET /handles/{h}/read -> 503 outcome unknown", "GET /handles/{h}/read?offset=1 -> 503 outcome unknown")
	if n := l.taken.Load(); n != 1 {
		t.Errorf("taken %d times", n)
	}
}
