package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// alias is another address of a server; with an id it tells its cluster. It counts
// the requests that carry a token.
func alias(t *testing.T, of, id string) (host string, tokens *atomic.Int64) {
	t.Helper()
	to, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	tokens = &atomic.Int64{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			tokens.Add(1)
		}
		if id != "" && strings.HasSuffix(r.URL.Path, "/cluster") {
			_, _ = w.Write([]byte(`{"cluster_id":"` + id + `"}`))
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), tokens
}

// A local side that is empty, or that cannot be compared, loses nothing.
func TestMovingIntoNothing(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"f": "f"})
	must(t, "", "write", "/memfs/a", "a")
	for _, args := range [][]string{{"mv", "/memfs/a", "local:"}, {"cp", "/memfs/a", "local:"}, {"cp", "local:", "/memfs/b"},
		{"mv", "local:", "/memfs/b"}, {"upload", "", "/memfs/b"}, {"download", "/memfs/a", ""}} {
		if r := pfs(t, "stdin", args...); r.Code != cli.ExitUsage || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "pfs: a local path is empty; ") {
			t.Errorf("%q: %d %q %q", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	steps(t, []step{
		{"mv /memfs/a local:" + os.DevNull, "", 2, "", "pfs: " + os.DevNull + " is no file, so that what it was given cannot be compared; see pfs cp\nhint: …\n"},
		{"mv /memfs/a -", "", 2, "", "pfs: - cannot be moved; see pfs cp\nhint: …\n"},
		{"ls /memfs", "", 0, "README\na\n", ""},
		{"cp -q /memfs/a -", "", 0, "a", ""},
	})
}

// A cluster is one, by whatever names it goes.
func TestOneClusterOfTwoNames(t *testing.T) {
	s := clitest.Start(t)
	t.Chdir(t.TempDir())
	one, _ := alias(t, s.URL, "c")
	two, _ := alias(t, s.URL, "c")
	port := s.Addr[strings.LastIndexByte(s.Addr, ':'):]
	for _, names := range [][2]string{{"pfs://" + one, "pfs://" + two}, {"pfs:", "pfs://localhost" + port}, {"pfs://LOCALHOST" + port, "pfs:"}} {
		must(t, "", "mkdir", "-p", "/memfs/d")
		must(t, "", "write", "/memfs/d/a", "a")
		x, y := names[0]+"/memfs/d", names[1]+"/memfs/d"
		pfs(t, "", "mv", x+"/a", y+"/a") // as within one
		steps(t, []step{
			{"cat /memfs/d/a", "", 0, "a", ""},
			{"cp " + x + "/a " + y + "/a", "", 2, "", "pfs: … cannot be copied to …\nhint: …\n"},
			{"sync --delete " + x + " " + y, "", 2, "", "pfs: … are the same, or one is within the other\nhint: …\n"},
			{"sync --delete " + x + " " + y + "/sub", "", 2, "", "pfs: … are the same, or one is within the other\nhint: …\n"},
			{"mv -v " + x + "/a " + y + "/b", "", 0, "move /memfs/d/a -> /memfs/d/b\n", ""},
			{"cat /memfs/d/b", "", 0, "a", ""},
			{"rm /memfs/d/b", "", 0, "", ""},
		})
	}
	other := clitest.Start(t)
	three, _ := alias(t, other.URL, "d")
	must(t, "", "write", "/memfs/a", "a")
	must(t, "", "cp", "-q", "pfs://"+three+"/memfs/a", "pfs://"+one+"/memfs/a")
	if got := must(t, "", "--url", s.URL, "cat", "/memfs/a"); got != "a" {
		t.Errorf("the other cluster has %q", got)
	}
}

// What tells who asks is for the servers of the environment alone.
func TestTokensStayAtHome(t *testing.T) {
	s := clitest.Start(t)
	t.Chdir(t.TempDir())
	home, known := alias(t, s.URL, "c")
	away, told := alias(t, s.URL, "d")
	clitest.TalkTo(t, "http://"+home)
	t.Setenv("PFS_TOKEN", "secret")
	must(t, "", "write", "/memfs/a", "a")
	must(t, "", "cp", "-q", "pfs://"+away+"/memfs/a", "local:a")
	must(t, "", "cp", "-q", "pfs:/memfs/a", "pfs://"+away+"/memfs/b")
	if n := told.Load(); n != 0 {
		t.Errorf("another server was told the token %d times", n)
	}
	known.Store(0)
	must(t, "", "cp", "-q", "pfs://"+home+"/memfs/a", "local:a")
	if known.Load() == 0 {
		t.Error("the own server was not told the token")
	}
	known.Store(0)
	if r := pfs(t, "", "cp", "pfs+https://"+home+"/memfs/a", "local:b"); r.Code == 0 || known.Load() != 0 {
		t.Errorf("%d %q: a server without TLS was asked", r.Code, r.Stderr)
	}
}

// Of several files of one name none is lost.
func TestSameNamesFromSeveralPlaces(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"one/x": "1", "two/x": "2", "to/keep": "k"})
	must(t, "", "mkdir", "-p", "/memfs/one", "/memfs/two", "/memfs/to")
	must(t, "", "write", "/memfs/one/x", "1")
	must(t, "", "write", "/memfs/two/x", "2")
	steps(t, []step{
		{"cp -q local:one/x local:two/x /memfs/to", "", 10, "", "pfs: will not overwrite just-created /memfs/to/x with two/x\npfs: 1 of 2 failed\n"},
		{"cat /memfs/to/x", "", 0, "1", ""},
		{"cp -q /memfs/one/x /memfs/two/x local:to", "", 10, "", "pfs: will not overwrite just-created to/x with /memfs/two/x\npfs: 1 of 2 failed\n"},
		{"mv local:one/x local:two/x /memfs/to", "", 10, "", "pfs: will not overwrite just-created /memfs/to/x with two/x\npfs: 1 of 2 failed\n"},
		{"mv /memfs/one/x /memfs/two/x /memfs/to", "", 10, "", "pfs: will not overwrite just-created /memfs/to/x with /memfs/two/x\npfs: 1 of 2 failed\n"},
		{"cat /memfs/two/x", "", 0, "2", ""},
		{"cp -q -r local:two/. local:to/. /memfs/to", "", 0, "", ""},
		{"ls /memfs/to", "", 0, "keep\nx\n", ""},
	})
	if got := strings.Join(tree(t, "."), " "); got != `one/ to/ to/keep 0 1 "k" to/x 0 1 "1" two/ two/x 0 1 "2"` {
		t.Errorf("here is %s", got)
	}
}

// What could not be copied keeps no other one from its place.
func TestSameNamesAfterAFailure(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"to/keep": "k"})
	must(t, "", "mkdir", "-p", "/memfs/two", "/memfs/to", "/memfs/moved", "/queuefs/q")
	must(t, "", "write", "/memfs/two/dequeue", "2")
	steps(t, []step{
		{"cp -q /queuefs/q/dequeue /memfs/two/dequeue local:to", "", 10, "", "pfs: …\npfs: 1 of 2 failed\n"},
		{"cp -q /queuefs/q/dequeue /memfs/two/dequeue /memfs/to", "", 10, "", "pfs: …\npfs: 1 of 2 failed\n"},
		{"cat /memfs/to/dequeue", "", 0, "2", ""},
		{"mv /queuefs/q/dequeue /memfs/two/dequeue /memfs/moved", "", 10, "", "pfs: …\npfs: 1 of 2 failed\n"},
		{"mv pfs:/queuefs/q/dequeue pfs:/memfs/moved/dequeue local:.", "", 10, "", "pfs: …\npfs: 1 of 2 failed\n"},
	})
	if got := strings.Join(tree(t, "."), " "); got != `dequeue 0 1 "2" to/ to/dequeue 0 1 "2" to/keep 0 1 "k"` {
		t.Errorf("here is %s", got)
	}
}

// What has no last name would be moved to that of the destination.
func TestMovingWithoutANameOfItsOwn(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"one/x": "here"})
	must(t, "", "mkdir", "-p", "/memfs/one", "/memfs/two", "/memfs/to")
	must(t, "", "write", "/memfs/one/x", "1")
	must(t, "", "write", "/memfs/two/x", "2")
	const refused = "pfs: … cannot be moved: it ends in no name of its own; name the directory, or what is in it\nhint: …\n"
	for _, args := range []string{"pfs:/memfs/one/. pfs:/memfs/two/. local:to", "pfs:/memfs/one/. local:to", "pfs:/memfs/one/x/.. local:to", "local:one/. /memfs/to",
		"local:. /memfs/to", "/memfs/one/. /memfs/two/x /memfs/to", "/memfs/o*/. /memfs/to", "/ /memfs/to", "/memfs/one/./ /memfs/to"} {
		steps(t, []step{{"mv " + args, "", 2, "", refused}})
	}
	if got := strings.Join(tree(t, "."), " "); got != `one/ one/x 0 4 "here"` {
		t.Errorf("here is %s", got)
	}
	steps(t, []step{
		{"find /memfs -type f", "", 0, "/memfs/README\n/memfs/one/x\n/memfs/two/x\n", ""},
		{"ls /memfs", "", 0, "README\none/\nto/\ntwo/\n", ""},
		{"cat /memfs/one/x /memfs/two/x", "", 0, "12", ""},
	})
}

// A thing of another kind goes only for a whole new one, and with nothing that the
// filters leave out.
func TestSyncOfOtherKinds(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"src/a": "a", "src/b/c": "c", "dst/a/keep.o": "o", "dst/a/x": "x", "dst/b": "b"})
	steps(t, []step{
		{"sync -q --delete --exclude *.o local:src /memfs/dst", "", 0, "", ""},
		{"sync -q --delete --exclude *.o pfs:/memfs/dst dst", "", 10, "", "pfs: replace dst/a: …keep.o, which the filters leave out…\npfs: 1 of 2 failed\n"},
	})
	for name, want := range map[string]string{"dst/a/keep.o": "o", "dst/a/x": "x", "dst/b/c": "c"} {
		if b, err := os.ReadFile(name); string(b) != want || err != nil {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if kept, err := filepath.Glob("dst/.pfs-old-*"); len(kept) != 0 || err != nil {
		t.Errorf("kept %v, %v", kept, err)
	}
	steps(t, []step{{"sync -q --delete pfs:/memfs/dst dst", "", 0, "", ""}})
	if got := strings.Join(tree(t, "dst"), " "); got != `a 0 1 "a" b/ b/c 0 1 "c"` {
		t.Errorf("dst holds %s", got)
	}
	must(t, "", "rm", "-r", "/memfs/dst/b")
	must(t, "", "ln", "-s", "a", "/memfs/dst/b")
	must(t, "", "sync", "-q", "--delete", "pfs:/memfs/dst", "dst")
	must(t, "", "sync", "-q", "--delete", "local:src", "/memfs/dst")
	if got := strings.Join(tree(t, "dst"), " "); got != `a 0 1 "a" b -> a` {
		t.Errorf("dst holds %s", got)
	}
	steps(t, []step{{"ls -a /memfs/dst /memfs/dst/b", "", 0, "/memfs/dst:\na\nb/\n\n/memfs/dst/b:\nc\n", ""}})
}

// Only what is not there is no failure of rm -f.
func TestRemovingByForce(t *testing.T) {
	clitest.Start(t)
	must(t, "", "mkdir", "-p", "/memfs/full/d")
	steps(t, []step{
		{"rm -f /memfs/*.bak /memfs/full", "", 6, "", "pfs: …(not_empty)\npfs: 1 of 1 failed\n"},
		{"rm -f /memfs/*.bak /memfs/none", "", 0, "", ""},
		{"rm -f /memfs/*.bak", "", 0, "", ""},
		{"rm /memfs/*.bak /memfs/none", "", 4, "", "pfs: …\npfs: …\npfs: 2 of 2 failed\n"},
	})
}
