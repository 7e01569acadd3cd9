package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// What a flag names is asked rather than what a variable names, and that rather than
// the current context.
func TestContexts(t *testing.T) {
	s := clitest.Start(t)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("PFS_URL", "")
	steps(t, []step{
		{"context list", "", 0, "", ""},
		{"context use lab", "", 4, "", "pfs: there is no context lab\nhint: see: pfs context list\n"},
		{"context add gone http://127.0.0.1:1", "", 0, "", ""},
		{"ls /", "", 5, "", "pfs: …\nhint: nothing listens at http://127.0.0.1:1; …\n"},
		{"context add lab " + s.URL, "", 0, "", ""},
		{"context list", "", 0, "* gone  http://127.0.0.1:1\n  lab   " + s.URL + "\n", ""},
		{"ls /memfs --context lab", "", 0, "README\n", ""},
		{"context use lab", "", 0, "", ""},
		{"ls /memfs", "", 0, "README\n", ""},
		{"ls /memfs --url http://127.0.0.1:1", "", 5, "", "pfs: …\nhint: …\n"},
		{"ls /memfs --context no", "", 2, "", "pfs: there is no context no\nhint: see: pfs context list\n"},
		{"context add bad ftp://x", "", 2, "", "pfs: …is not the URL of a node…\nhint: …\n"},
		{"context remove lab", "", 0, "", ""},
		{"context list", "", 0, "  gone  http://127.0.0.1:1\n", ""},
	})
	t.Setenv("PFS_CONTEXT", "gone")
	steps(t, []step{{"ls /", "", 5, "", "pfs: …\nhint: …\n"}})
	t.Setenv("PFS_URL", s.URL)
	steps(t, []step{{"ls /memfs", "", 0, "README\n", ""}})
	t.Setenv("PFS_URL", "")
	must(t, "", "context", "add", "lab", s.URL)
	if got := must(t, "", "--context", "lab", "sh", "-c", "ls /memfs; echo $PFS_CONTEXT"); got != "README\nlab\n" {
		t.Errorf("in the shell: %q", got)
	}
	file := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "pfs", "contexts.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PFS_URL", "")
	steps(t, []step{{"ls /", "", 2, "", "pfs: " + file + ": unexpected end of JSON input\nhint: mend the file, or remove it\n"}})
	t.Setenv("PFS_TIMEOUT", "soon")
	steps(t, []step{{"ls /", "", 2, "", "pfs: PFS_TIMEOUT: \"soon\" is no time such as 30s\nhint: see: pfs ls --help\n"}})
}

// What is asked for in vain is named as it may have been meant.
func TestSimilarNames(t *testing.T) {
	clitest.Start(t)
	must(t, "hi\n", "put", "-", "/memfs/hi.txt")
	steps(t, []step{
		{"cat /memfs/hii.txt", "", 4, "", "pfs: …not found…\nhint: similar: /memfs/hi.txt\n"},
		{"cat /mem/hi.txt", "", 4, "", "pfs: …not found…\n"},
		{"cat /memf", "", 4, "", "pfs: …not found…\nhint: similar: /memfs\n"},
		{"cat /memfs/other", "", 4, "", "pfs: …not found…\n"},
		{"sl", "", 2, "", "pfs: unknown command \"sl\" for \"pfs\"\nhint: did you mean: pfs ls\n"},
	})
}

// A shell of the machine completes paths on the server.
func TestCompletion(t *testing.T) {
	clitest.Start(t)
	must(t, "", "mkdir", "/memfs/dir", "/memfs/dir/sub")
	must(t, "x", "put", "-", "/memfs/dir/file")
	for begun, want := range map[string]string{
		"/me": "/memfs/\n", "/memfs/dir/": "/memfs/dir/file\n/memfs/dir/sub/\n", "/memfs/dir/f": "/memfs/dir/file\n", "/no/": "",
	} {
		got := must(t, "", "__complete", "cat", begun)
		if i := strings.LastIndex(got, ":"); got[:i] != want {
			t.Errorf("%q completes to %q, want %q", begun, got[:i], want)
		}
	}
	clitest.TalkTo(t, "http://127.0.0.1:1")
	if got := must(t, "", "__complete", "cat", "/me"); !strings.HasPrefix(got, ":") {
		t.Errorf("without a server: %q", got)
	}
	for _, sh := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := must(t, "", "completion", sh); len(got) < 1000 {
			t.Errorf("%s: %q", sh, got)
		}
	}
}

// Every command has a manual page.
func TestMan(t *testing.T) {
	if got := must(t, "", "man", "ls"); !strings.Contains(got, ".TH") || !strings.Contains(got, "PFS-LS") {
		t.Errorf("man ls: %.200q", got)
	}
	dir := t.TempDir()
	must(t, "", "man", "--dir", dir)
	pages, err := filepath.Glob(filepath.Join(dir, "pfs*.1"))
	if err != nil || len(pages) < len((&app{cli.New(nil, nil, nil)}).root().Commands()) {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	steps(t, []step{{"man nonsense", "", 2, "", "pfs: there is no command …\nhint: …\n"}})
}

// What a command runs talks to the server that the command talks to.
func TestJobsKnowTheServer(t *testing.T) {
	s := clitest.Start(t)
	must(t, "", "put", "-", "/memfs/f")
	told := `echo "$PFS_URL $PFS_CONTEXT"`
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, args := range [][]string{nil, {"--url", s.URL}, {"--context", "lab"}} {
		if args != nil {
			t.Setenv("PFS_URL", "http://127.0.0.1:1")
			must(t, "", "context", "add", "lab", s.URL)
		}
		want := s.URL + " \n"
		if len(args) > 0 && args[0] == "--context" {
			want = " lab\n"
		}
		must(t, "job", "--url", s.URL, "queue", "put", "/queuefs/q", "-")
		for _, runs := range [][]string{
			{"queue", "work", "-q", "/queuefs/q", "--until-empty", "--exec", told},
			{"find", "/memfs/f", "-exec", "sh", "-c", told, "sh", "{}", ";"},
			{"find", "/memfs/f", "-exec", "sh", "-c", told, "sh", "{}", "+"},
		} {
			if got := must(t, "", append(slices.Clone(args), runs...)...); got != want {
				t.Errorf("%v: %v: what runs is told %q, want %q", args, runs, got, want)
			}
		}
	}
}

// find goes on with the server that it began with, whatever context is chosen
// meanwhile.
func TestFindKeepsTheServer(t *testing.T) {
	chosen, other := twoContexts(t)
	must(t, "", "put", "-", "/memfs/a")
	must(t, "", "put", "-", "/memfs/b")
	got := must(t, "", "find", "/memfs/a", "/memfs/b", "-exec", "sh", "-c", `echo $PFS_CONTEXT; cp "$0" "$1"`, other, chosen, ";")
	if got != "lab\nlab\n" {
		t.Errorf("what runs is told %q", got)
	}
}

// And so does watch.
func TestWatchKeepsTheServer(t *testing.T) {
	chosen, other := twoContexts(t)
	s, err := cli.New(nil, nil, nil).ServerNow()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan clitest.Ran, 1)
	go func() {
		ended <- pfs(t, "", "watch", "-n", "2", "/memfs/f", "--timeout", "1m", "--exec", "echo $PFS_CONTEXT; cp "+other+" "+chosen)
	}()
	for n := 0; ; n++ { // it may not watch yet
		must(t, strconv.Itoa(n), "--url", s.URLs[0], "put", "-", "/memfs/f")
		select {
		case r := <-ended:
			if !clitest.Like("…\t/memfs/f\t…\nlab\nchanged\t/memfs/f\t…\nlab\n", r.Stdout) || r.Code != 0 {
				t.Errorf("%+v", r)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// twoContexts chooses the context lab, which is a server. The first file says so, the
// second one, in its place, would choose another.
func twoContexts(t *testing.T) (chosen, other string) {
	t.Helper()
	s := clitest.Start(t)
	t.Setenv("PFS_URL", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	must(t, "", "context", "add", "lab", s.URL)
	must(t, "", "context", "add", "other", "http://127.0.0.1:1")
	must(t, "", "context", "use", "other")
	chosen = filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "pfs", "contexts.json")
	b, err := os.ReadFile(chosen)
	if err != nil {
		t.Fatal(err)
	}
	other = filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(other, b, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "context", "use", "lab")
	return chosen, other
}
