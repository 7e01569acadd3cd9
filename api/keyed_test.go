package api_test

import (
	"strings"
	"testing"
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
