package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// tree renders a local tree: a line for each entry, with content or target.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		line := filepath.ToSlash(rel)
		switch {
		case d.IsDir():
			line += "/"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " -> " + target
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			i, err := d.Info()
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %o %d %.20q", i.Mode().Perm()&0o111, len(b), b)
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var oddNames = []string{"a b", "ünï·cødé", "100%", "%2F", "what?", "#1", "a&b=c", "+", "semi;colon", "-dash", "..."}

// plant makes a local tree with all that a copy has to carry.
func plant(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "src")
	files := map[string]string{"f": "content", "empty": "", "run.sh": "#!/bin/sh\n", "sub/deep/g": "g", "large": strings.Repeat("0123456789", 500_000)}
	for i, n := range oddNames {
		files["odd "+n+"/"+n] = fmt.Sprint(i)
	}
	for n, content := range files {
		p := filepath.Join(root, n)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if n == "run.sh" {
			mode = 0o755
		}
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": "f", "sub/up": "../f", "dangling": "no/where", "dirlink": "sub", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCopyTrees(t *testing.T) {
	clitest.Start(t)
	src := plant(t)
	want := tree(t, src)
	home := t.TempDir()
	t.Chdir(home)
	same := func(where string) {
		t.Helper()
		if got := tree(t, where); !slices.Equal(got, want) {
			t.Errorf("%s holds\n%s\nwant\n%s", where, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	const summary = "21 files, 5000030 bytes\n"
	for range 2 { // the second time over the first
		if r := pfs(t, "", "cp", "-r", src+"/.", "pfs:/memfs/copy"); r.Code != 0 || r.Stderr != summary {
			t.Fatalf("%d %s", r.Code, r.Stderr)
		}
		if r := pfs(t, "", "cp", "-r", "pfs:/memfs/copy/.", "back"); r.Code != 0 || r.Stderr != summary {
			t.Fatalf("%d %s", r.Code, r.Stderr)
		}
		same("back")
		must(t, "", "cp", "-r", "-j", "2", "/memfs/copy/.", "/memfs/again")
		must(t, "", "cp", "-q", "-r", "/memfs/again", "local:.")
		same("again")
	}
	// Into a directory that is there.
	must(t, "", "mkdir", "/memfs/into")
	must(t, "", "cp", "-r", "local:"+src, "/memfs/into")
	must(t, "", "cp", "-r", "pfs:memfs/into/src", "into")
	same("into")
	if got := must(t, "", "ls", "-l", "/memfs/copy/link"); !strings.Contains(got, "/memfs/copy/link -> f") {
		t.Errorf("ls -l of a link: %q", got)
	}
	// A link that is named stands for what it leads to.
	must(t, "", "cp", "/memfs/copy/link", "/memfs/plain")
	must(t, "", "cp", "-r", "pfs:/memfs/copy/dirlink", "real")
	must(t, "", "cp", "pfs:/memfs/plain", "plain")
	if err := os.Symlink(src, "way"); err != nil {
		t.Fatal(err)
	}
	must(t, "", "cp", "-r", "local:way", "/memfs/way")
	must(t, "", "cp", "-r", "pfs:/memfs/way", "through")
	same("through")
	if got := tree(t, "real"); len(got) != 3 {
		t.Errorf("real holds %q", got)
	}
	if b, err := os.ReadFile("plain"); string(b) != "content" || err != nil {
		t.Errorf("plain holds %q, %v", b, err)
	}
}

func TestOddNamesOnTheCommandLine(t *testing.T) {
	clitest.Start(t)
	t.Chdir(t.TempDir())
	for _, n := range oddNames {
		must(t, n, "put", "-", "/memfs/"+n)
		must(t, "", "get", "/memfs/"+n)
		must(t, "", "cp", "-q", "local:"+n, "/memfs/"+n+" too")
		if got := must(t, "", "cat", "/memfs/"+n+" too"); got != n {
			t.Errorf("%q holds %q", n, got)
		}
		must(t, "", "rm", "/memfs/"+n, "/memfs/"+n+" too")
	}
	must(t, "x", "put", "-", "--", "/memfs/-")
	must(t, "", "put", "--", "-dash", "/memfs/")
	if got := must(t, "", "ls", "/memfs"); got != "-\n-dash\nREADME\n" {
		t.Errorf("ls printed %q", got)
	}
}

// What cannot be copied does not keep the rest from it.
func TestPartialCopies(t *testing.T) {
	clitest.Start(t)
	src := t.TempDir()
	t.Chdir(t.TempDir())
	for _, n := range []string{"a", `b\c`, "d"} { // no backslashes on the server
		if err := os.WriteFile(filepath.Join(src, n), []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := pfs(t, "", "cp", "-r", "local:"+src, "/memfs/copy")
	if r.Code != cli.ExitPartial || !clitest.Like("pfs: …backslash…\n2 files, 2 bytes\npfs: 1 of 3 failed\n", r.Stderr) {
		t.Errorf("%d %q", r.Code, r.Stderr)
	}
	if err := os.MkdirAll("back/a", 0o755); err != nil { // a directory where a file should go
		t.Fatal(err)
	}
	r = pfs(t, "", "-o", "json", "cp", "-r", "pfs:/memfs/copy/.", "back")
	if r.Code != cli.ExitPartial || !strings.Contains(r.Stdout, `"failed": 1`) || !strings.HasSuffix(r.Stderr, "pfs: 1 of 2 failed\n") {
		t.Errorf("%d %q %q", r.Code, r.Stdout, r.Stderr)
	}
	if got := tree(t, "back"); !slices.Equal(got, []string{"a/", `d 0 1 "d"`}) {
		t.Errorf("back holds %q", got)
	}
	must(t, "", "mkdir", "-p", "/memfs/clash/d") // and the other way
	r = pfs(t, "", "cp", "-r", "back/.", "pfs:/memfs/clash")
	if r.Code != cli.ExitFailure || !clitest.Like("pfs: …is a directory (is_directory)\n0 files, 0 bytes\npfs: 1 of 1 failed\n", r.Stderr) {
		t.Errorf("%d %q", r.Code, r.Stderr)
	}
}

// A queue is copied without its control files, and nothing is taken.
func TestCopyTakesNothing(t *testing.T) {
	clitest.Start(t)
	t.Chdir(t.TempDir())
	must(t, "job", "put", "-", "/queuefs/q/enqueue")
	r := pfs(t, "", "cp", "-r", "pfs:/queuefs/q", "q")
	for _, name := range []string{"enqueue", "dequeue", "peek", "clear", "take", "ack", "nack", "extend", "redrive", "ctl"} {
		if r.Code != 0 || !strings.Contains(r.Stderr, "/queuefs/q/"+name+" is there to command, not to hold content; left out\n") {
			t.Errorf("%s: %d %q", name, r.Code, r.Stderr)
		}
	}
	got := tree(t, "q")
	for i, line := range got {
		got[i], _, _ = strings.Cut(line, " ")
	}
	if !slices.Equal(got, []string{"dead/", "delayed/", "inflight/", "size", "stats.json"}) {
		t.Errorf("q holds %q", got)
	}
	if r := pfs(t, "", "cp", "/queuefs/q/dequeue", "local:taken"); r.Code != cli.ExitUsage {
		t.Errorf("%d %q", r.Code, r.Stderr)
	}
	if got := must(t, "", "cat", "/queuefs/q/size"); got != "1" {
		t.Errorf("%s left", got)
	}
}

// A local file is replaced whole or not at all, and keeps its mode.
func TestLocalFilesAreWhole(t *testing.T) {
	clitest.Start(t)
	must(t, "new", "put", "-", "/memfs/f")
	t.Chdir(t.TempDir())
	if err := os.WriteFile("f", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("f", 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", "link"); err != nil {
		t.Fatal(err)
	}
	good := os.Getenv("PFS_URL")
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stat") {
			_, _ = w.Write([]byte(`{"name":"f","size":10}`))
			return
		}
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer cut.Close()
	clitest.TalkTo(t, cut.URL)
	for _, args := range []string{"get /f f", "cp pfs:/f f", "get /f new"} {
		steps(t, []step{{args, "", 5, "", "pfs: read /f: unexpected EOF\n"}})
	}
	if got := tree(t, "."); !slices.Equal(got, []string{`f 0 3 "old"`, "link -> f"}) {
		t.Errorf("left %q", got)
	}
	clitest.TalkTo(t, good)
	must(t, "", "get", "/memfs/f", "link")
	if got := tree(t, "."); !slices.Equal(got, []string{`f 0 3 "new"`, "link -> f"}) {
		t.Errorf("left %q", got)
	}
	if st, err := os.Stat("f"); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	must(t, "", "get", "/memfs/f", os.DevNull)
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Errorf("%s is %v, %v", os.DevNull, st.Mode(), err)
	}
}

// Whatever names and links a server gives, nothing is written outside.
func TestHostileServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := map[string]string{
			"/d":       `[{"name":"../evil","meta":{}},{"name":"out","meta":{"Type":"symlink"}},{"name":"out/evil","meta":{}},{"name":"good","meta":{}},{"name":"..","isDir":true}]`,
			"/":        `[{"name":"evil","meta":{}}]`, // what /d/.. is
			"/d/../..": `[]`,
		}
		switch path := r.URL.Query().Get("path"); {
		case strings.HasSuffix(r.URL.Path, "/stat"):
			_, _ = w.Write([]byte(`{"name":"d","isDir":true}`))
		case strings.HasSuffix(r.URL.Path, "/directories"):
			_, _ = w.Write([]byte(`{"files":` + list[path] + `}`))
		case strings.HasSuffix(r.URL.Path, "/readlink"):
			_, _ = w.Write([]byte(`{"target":".."}`))
		default:
			_, _ = w.Write([]byte("x"))
		}
	}))
	defer srv.Close()
	clitest.TalkTo(t, srv.URL)
	t.Chdir(t.TempDir())
	r := pfs(t, "", "cp", "-r", "-j", "1", "pfs:/d/.", "in")
	if r.Code == 0 {
		t.Errorf("%d %q", r.Code, r.Stderr)
	}
	for _, line := range tree(t, ".") {
		if strings.Contains(line, "evil") && !strings.HasPrefix(line, "in/") || strings.Contains(line, "pfs-") {
			t.Errorf("the server made %s", line)
		}
	}
	if b, err := os.ReadFile("in/good"); string(b) != "x" || err != nil {
		t.Errorf("good holds %q, %v", b, err)
	}
}

// A dry run makes nothing on this machine, writes to no pipe, and removes nothing.
func TestDryRunWritesNothing(t *testing.T) {
	clitest.Start(t)
	left := "old/.pfs-" + strings.Repeat("A", 26) // of a copy that was killed
	local(t, map[string]string{left: "", "old/f": "old"})
	must(t, "", "mkdir", "/memfs/d")
	must(t, "", "write", "/memfs/d/f", "new")
	steps(t, []step{
		{"cp --dry-run /memfs/d/f -", "", 0, "copy -\n", "1 files, 0 bytes; nothing was done\n"},
		{"cp --dry-run --resume -r pfs:/memfs/d local:new/d", "", 0, "copy new/d/f\n", "1 files, 0 bytes; nothing was done\n"},
		{"cp --dry-run -r pfs:/memfs/d local:old", "", 0, "copy old/d/f\n", "1 files, 0 bytes; nothing was done\n"},
		{"sync --dry-run pfs:/memfs/d local:old", "", 0, "copy old/f\n", "1 files, 0 bytes, 0 unchanged; nothing was done\n"},
	})
	if got := strings.Join(tree(t, "."), " "); got != "old/ "+left+` 0 0 "" old/f 0 3 "old"` {
		t.Errorf("there is %s", got)
	}
}
