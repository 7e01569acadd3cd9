package standin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/bench/standin"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/vfs"
)

// requests are one after the other: each sees what those before it did.
var requests = []struct{ method, target, body string }{
	{"GET", "/files?path=/memfs/a", ""},
	{"PUT", "/files?path=/memfs/a", "content"},
	{"GET", "/files?path=/memfs/a", ""},
	{"PUT", "/files?path=/memfs/a", "shorter"[:3]},
	{"GET", "/files?path=/memfs/a", ""},
	{"PUT", "/files?path=/memfs/empty", ""},
	{"GET", "/files?path=/memfs/empty", ""},
	{"GET", "/stat?path=/memfs/a", ""},
	{"GET", "/stat?path=/memfs/none", ""},
	{"GET", "/files", ""},
	{"PUT", "/files", "x"},
	{"POST", "/directories?path=/memfs/d", ""},
	{"POST", "/directories?path=/memfs/d", ""},
	{"POST", "/directories?path=/memfs/no/d", ""},
	{"POST", "/directories?path=/memfs/a/d", ""},
	{"GET", "/directories?path=/memfs/d", ""},
	{"PUT", "/files?path=/memfs/d/b", "inside"},
	{"PUT", "/files?path=/memfs/d", "x"},
	{"PUT", "/files?path=/memfs/a/b", "x"},
	{"PUT", "/files?path=/memfs/no/b", "x"},
	{"GET", "/files?path=/memfs/d", ""},
	{"GET", "/files?path=/memfs/d/b", ""},
	{"GET", "/directories?path=/memfs", ""},
	{"GET", "/directories?path=/memfs/d/", ""},
	{"GET", "/directories?path=/memfs/a", ""},
	{"GET", "/directories?path=/memfs/none", ""},
	{"GET", "/stat?path=/memfs/d", ""},
	{"DELETE", "/files?path=/memfs/d", ""},
	{"DELETE", "/files?path=/memfs/none", ""},
	{"DELETE", "/files?path=/memfs/d&recursive=true", ""},
	{"GET", "/files?path=/memfs/d/b", ""},
	{"DELETE", "/files?path=/memfs/a", ""},
	{"GET", "/directories?path=/memfs", ""},
	{"PUT", "/stat?path=/memfs/a", ""},
}

// TestSameAnswers has the stand-in and PFS asked the same, and compares the
// statuses and what both answer. PFS may say more.
func TestSameAnswers(t *testing.T) {
	real := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{memfs.Plugin()}, Mounts: map[string]string{"/memfs": "memfs"}})
	fake := httptest.NewServer(standin.New())
	defer fake.Close()
	for _, r := range requests {
		want := real.Do(t, r.method, "/api/v1"+r.target, r.body)
		req, err := http.NewRequestWithContext(t.Context(), r.method, fake.URL+"/api/v1"+r.target, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		name := r.method + " " + r.target
		if resp.StatusCode != want.Status {
			t.Errorf("%s: %d %s, PFS answers %d %s", name, resp.StatusCode, got, want.Status, want.Body)
			continue
		}
		if want.Status < 300 {
			same(t, name, string(got), want.Body)
		}
	}
}

// same compares answers: of JSON the fields that the contract has, but times.
func same(t *testing.T, name, got, want string) {
	t.Helper()
	var g, w any
	if json.Unmarshal([]byte(got), &g) != nil || json.Unmarshal([]byte(want), &w) != nil {
		if got != want {
			t.Errorf("%s: %q, PFS answers %q", name, got, want)
		}
		return
	}
	if g, w = fields(g), fields(w); !reflect.DeepEqual(g, w) {
		t.Errorf("%s: %v, PFS answers %v", name, g, w)
	}
}

func fields(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, k := range []string{"message", "files", "name", "size", "mode", "isDir", "meta", "Name", "Type"} {
			if x, ok := v[k]; ok {
				out[k] = fields(x)
			}
		}
		return out
	case []any:
		var out []any
		for _, x := range v {
			if f, ok := x.(map[string]any); !ok || f["name"] != "README" { // PFS has one in each mount
				out = append(out, fields(x))
			}
		}
		return out
	}
	return v
}

// Loads ask for the health first.
func TestHealth(t *testing.T) {
	w := httptest.NewRecorder()
	standin.New().ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/health", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"version"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
