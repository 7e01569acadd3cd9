package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// An empty path is a variable that was not set, not the directory that one is in.
func TestEmptyPaths(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"src/f": "f"})
	must(t, "", "mkdir", "-p", "/memfs/d")
	must(t, "", "write", "/memfs/d/a", "a")
	for _, args := range [][]string{{"rm", "-r", ""}, {"chmod", "-R", "700", ""}, {"find", "", "-delete"}, {"ls", ""}, {"cat", ""},
		{"mv", "", "/memfs/b"}, {"cp", "-r", "", "/memfs/b"}, {"sync", "--delete", "local:src", "pfs:"}, {"cp", "-r", "local:src", "pfs:"},
		{"get", "", "-"}, {"put", "-", ""}, {"write", "", "x"}, {"edit", ""}, {"diff", "/memfs/d/a", ""}, {"diff", "-r", "", "/memfs"},
		{"grep", "a", ""}, {"grep", "-r", "a", ""}, {"fsgrep", "-r", "a", ""}, {"tail", ""}, {"watch", ""}, {"ln", "-s", "", "/memfs/l"}, {"ln", "-s", "a", ""},
		{"stream", "put", ""}, {"stream", "cat", ""}, {"queue", "put", "", "x"}, {"mount", "memfs", ""},
		{"find", "/memfs", "-newer", "", "-delete"}, {"kv", "--mount", "", "list"}, {"kv", "put", "a", "b", "--mount="}, {"mcp", "--root", ""}, {"mcp", "install", "codex", "--print", "--root="},
		{"sh", "-c", `cd /memfs/d; put - "$nix"`}, {"sh", "-c", `cd /memfs/d; ln -s a "$nix"`}, {"sh", "-c", `cd /memfs/d; grep -r a "$nix"`},
		{"sh", "-c", `cd /memfs/d; rm -r "$nix"`}, {"sh", "-c", `cd /memfs/d; find "$nix" -delete`}, {"sh", "-c", `cd /memfs/d; rm -r pfs:`}} {
		if r := pfs(t, "", args...); r.Code != cli.ExitNoFile || r.Stdout != "" || !strings.Contains(r.Stderr, `": not found: the path is empty`) {
			t.Errorf("%q: %d %q %q", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	must(t, "", "sh", "-c", `cd /memfs/d; rm -rf "$nix"`) // as with any other that is not there
	steps(t, []step{{"ls /memfs/d", "", 0, "a\n", ""}, {"ls /memfs", "", 0, "README\nd/\n", ""}})
}

// What sync --delete removes is neither in another mount nor left out.
func TestSyncStaysInItsMount(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"src/f": "f", "src/cache": "a file"})
	must(t, "", "mkdir", "-p", "/memfs/d/cache")
	must(t, "", "write", "/memfs/d/cache/state", "state")
	must(t, "", "mount", "memfs", "/memfs/d/m")
	must(t, "", "write", "/memfs/d/m/x", "x")
	steps(t, []step{
		{"sync --delete --exclude .git/ local:src pfs:/", "", 2, "", "pfs: --delete would empty every mount of the server; name a directory below one\nhint: …\n"},
		{"sync --delete --exclude .git/ local:src pfs://localhost", "", 2, "", "pfs: --delete would empty every mount…\nhint: …\n"},
		{"sync -q --delete --exclude cache/ local:src /memfs/d", "", 10, "",
			"pfs: replace /memfs/d/cache: the filters leave it out\npfs: /memfs/d/m: is a mount, and is not emptied\npfs: 2 of 3 failed\n"},
		{"cat /memfs/d/cache/state /memfs/d/m/x /memfs/d/f", "", 0, "statexf", ""},
	})
}

// A slash at the end means a directory: nothing replaces what went before it.
func TestMoveIntoNoDirectory(t *testing.T) {
	clitest.Start(t)
	must(t, "", "write", "/memfs/a", "a")
	must(t, "", "mkdir", "/memfs/d")
	steps(t, []step{
		{"mv /memfs/a /memfs/new/", "", 2, "", "pfs: /memfs/new/ is not a directory\nhint: …\n"},
		{"mv /memfs/d /memfs/new/", "", 0, "", ""},
		{"mv /memfs/a /memfs/new/", "", 0, "", ""},
		{"mv /memfs/new/a /memfs/b", "", 0, "", ""},
		{"mv /memfs/new /memfs/b/", "", 1, "", "pfs: rename: /memfs/new: not a directory (not_directory)\n"},
		{"cat /memfs/b", "", 0, "a", ""},
	})
}

// What comes through a pipe are commands, to the last one: they do not read each other.
func TestPipedShell(t *testing.T) {
	clitest.Start(t)
	if got := must(t, "cat\necho hi > /memfs/x\ncat /memfs/x; echo last", "sh"); got != "hi\nlast\n" {
		t.Errorf("%q", got)
	}
}

// reading is what a terminal is whose user presses Ctrl-C at the first question.
type reading struct {
	interrupt func()
	end       <-chan struct{}
}

func (r reading) Read([]byte) (int, error) {
	r.interrupt()
	<-r.end
	return 0, io.EOF
}

// Ctrl-C at a question ends the command: no is no answer to it, and nothing else is asked.
func TestInterruptedQuestion(t *testing.T) {
	clitest.Start(t)
	must(t, "", "mkdir", "/memfs/d", "/memfs/d/d")
	for _, p := range []string{"/memfs/a", "/memfs/b", "/memfs/d/a", "/memfs/d/b"} {
		must(t, "", "write", p, "x")
	}
	local(t, map[string]string{"a": "x", "b": "x"})
	for args, asks := range map[string]string{
		"rm -i /memfs/a /memfs/b":             "remove /memfs/a? [y/N]\n",
		"mv -i /memfs/a /memfs/b /memfs/d":    "replace /memfs/d/a? [y/N]\n",
		"mv -i local:a local:b pfs:/memfs/d/": "replace what is at /memfs/d/? [y/N]\n",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var out, told bytes.Buffer
		if code := run(ctx, strings.Fields(args), reading{cancel, t.Context().Done()}, &out, &told); code != cli.ExitInterrupted || told.String() != asks {
			t.Errorf("pfs %s: %d %q", args, code, told.String())
		}
	}
}
