package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

// between is a proxy before the server at of: see looks at each request first, and
// answers it itself if it reports so.
func between(t *testing.T, of string, see func(w http.ResponseWriter, r *http.Request) bool) (address string) {
	t.Helper()
	to, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !see(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A link that is named is moved with what it leads to, which stays where it was.
func TestMovingWhatALinkLeadsTo(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"dir/x": "x", "f": "f"})
	for link, to := range map[string]string{"ld": "dir", "lf": "f"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	steps(t, []step{
		{"mv local:ld local:lf /memfs", "", 0, "", ""},
		{"find /memfs/ld /memfs/lf", "", 0, "/memfs/ld\n/memfs/ld/x\n/memfs/lf\n", ""},
		{"ln -s ld /memfs/l", "", 0, "", ""},
		{"ln -s lf /memfs/m", "", 0, "", ""},
		{"mv pfs:/memfs/l pfs:/memfs/m local:.", "", 0, "", ""},
		{"ls /memfs /memfs/ld", "", 0, "/memfs:\nREADME\nld/\nlf\n\n/memfs/ld:\nx\n", ""},
	})
	if got := strings.Join(tree(t, "."), " "); got != `dir/ dir/x 0 1 "x" f 0 1 "f" l/ l/x 0 1 "x" m 0 1 "f"` {
		t.Errorf("here is %s", got)
	}
}

// A server that does not tell which cluster it is of may be the other one.
func TestMovingToWhoTellsNoCluster(t *testing.T) {
	s := clitest.Start(t)
	must(t, "", "write", "/memfs/f", "f")
	for _, status := range []int{401, 403, 404, 500} {
		proxy := strings.TrimPrefix(between(t, s.URL, func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/cluster") {
				w.WriteHeader(status)
				return true
			}
			return false
		}), "http://")
		for _, args := range []string{"pfs://" + proxy + "/memfs/f pfs:/memfs/f", "pfs:/memfs/f pfs://" + proxy + "/memfs/f"} {
			steps(t, []step{
				{"mv " + args, "", 1, "", "pfs: it cannot be told whether … is another cluster, so that nothing is moved: …\nhint: …\n"},
				{"cat /memfs/f", "", 0, "f", ""},
			})
		}
	}
}

// What is written after a file was copied, and before it is removed, stays.
func TestMovingWhatIsStillWritten(t *testing.T) {
	s := clitest.Start(t)
	local(t, map[string]string{"f": "f"})
	var once sync.Map
	first := func(name string) bool {
		_, done := once.LoadOrStore(name, true)
		return !done
	}
	clitest.TalkTo(t, between(t, s.URL, func(_ http.ResponseWriter, r *http.Request) bool {
		switch p := r.URL.Query().Get("path"); {
		case r.Method != http.MethodDelete || !first(p):
		case p == "/memfs/f", p == "/memfs/d/a", p == "/memfs/g":
			pfs(t, "more", "--url", s.URL, "put", "--append", "-", p)
		case p == "/memfs/e":
			pfs(t, "new", "--url", s.URL, "put", "-", "/memfs/e/new")
		}
		return false
	}))
	must(t, "", "mkdir", "-p", "/memfs/d/sub", "/memfs/e")
	for _, p := range []string{"/memfs/f", "/memfs/g", "/memfs/d/a", "/memfs/d/b", "/memfs/d/sub/c", "/memfs/e/x"} {
		must(t, "", "write", p, "old,")
	}
	must(t, "", "mount", "memfs", "/other")
	const stays = "…it changed while it was copied…; it stays where it was\n"
	steps(t, []step{
		{"mv pfs:/memfs/f local:.", "", 10, "", stays},
		{"cat /memfs/f", "", 0, "old,more", ""},
		{"mv /memfs/g /other", "", 10, "", stays},
		{"cat /memfs/g", "", 0, "old,more", ""},
		{"mv pfs:/memfs/d local:.", "", 10, "", stays + "pfs: 1 of 3 failed\n"},
		{"find /memfs/d", "", 0, "/memfs/d\n/memfs/d/a\n", ""},
		{"cat /memfs/d/a", "", 0, "old,more", ""},
		{"mv /memfs/e /other", "", 10, "", "pfs: /memfs/e: something came into it while it was copied; it stays where it was\npfs: 1 of 2 failed\n"},
		{"find /memfs/e /other/e -type f", "", 0, "/memfs/e/new\n/other/e/x\n", ""},
	})
}
