package api_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins/kvfs"
	"github.com/pfs-project/pfs/vfs"
)

func TestKeysThatEnd(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{kvfs.Plugin()}, Mounts: map[string]string{"/kv": "kvfs"}, Level: true})
	if a := s.Do(t, "PUT", v1+"/files?path=/kv/keys/a", "1", "X-Pfs-Ttl", "50ms"); a.Status != 200 {
		t.Fatalf("%+v", a)
	}
	if a := s.Do(t, "GET", v1+"/stat?path=/kv/keys/a", ""); !strings.Contains(a.Body, `"expires":"`) {
		t.Errorf("%+v", a)
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/kv/keys/b", "1", "X-Pfs-Ttl", "soon"); a.Status != 400 {
		t.Errorf("%+v", a)
	}
	for start := time.Now(); s.Do(t, "GET", v1+"/files?path=/kv/keys/a", "").Status != 404; {
		if err := s.Node.Tick(t.Context()); err != nil || time.Since(start) > 20*time.Second {
			t.Fatalf("the key does not end: %v", err)
		}
	}
}

// TestTTLWaitsForItsLevel: an older node would keep the key for ever.
func TestTTLWaitsForItsLevel(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{kvfs.Plugin()}, Mounts: map[string]string{"/kv": "kvfs"}})
	a := s.Do(t, "PUT", v1+"/files?path=/kv/keys/a", "1", "X-Pfs-Ttl", "5s")
	if a.Status != 503 || !strings.Contains(a.Body, "feature level") {
		t.Errorf("%+v", a)
	}
	if a := s.Do(t, "GET", v1+"/files?path=/kv/keys/a", ""); a.Status != 404 {
		t.Errorf("%+v", a)
	}
}

func TestListingByPrefix(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{kvfs.Plugin()}, Mounts: map[string]string{"/kv": "kvfs"}})
	for _, key := range []string{"a", "user", "user1", "user10", "user2", "us\xc3\xa9", "v"} {
		if a := s.Do(t, "PUT", v1+"/files?path=/kv/keys/"+url.QueryEscape(key), "1"); a.Status != 200 {
			t.Fatalf("%q: %+v", key, a)
		}
	}
	for prefix, want := range map[string]string{"user": "user user1 user10 user2", "user1": "user1 user10", "us\xc3": "us\xc3\xa9",
		"x": "", "v": "v", "a": "a", "": "a user user1 user10 user2 us\xc3\xa9 v", "z": ""} {
		for _, limit := range []string{"", "&limit=1", "&limit=2"} {
			if got := listed(t, s, "/kv/keys", "&prefix="+url.QueryEscape(prefix)+limit); got != want {
				t.Errorf("%q%s: %q, want %q", prefix, limit, got, want)
			}
		}
	}
}

// listed follows a listing through its pages and returns the names.
func listed(t *testing.T, s *apitest.Server, dir, query string) string {
	t.Helper()
	var names []string
	for cursor := ""; ; {
		a := s.Do(t, "GET", v1+"/directories?path="+dir+query+cursor, "")
		var page struct {
			Files []struct{ Name string }
			Next  string `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(a.Body), &page); a.Status != 200 || err != nil || len(names) > 100 {
			t.Fatalf("%+v: %v", a, err)
		}
		for _, f := range page.Files {
			names = append(names, f.Name)
		}
		if page.Next == "" {
			return strings.Join(names, " ")
		}
		cursor = "&cursor=" + page.Next
	}
}
