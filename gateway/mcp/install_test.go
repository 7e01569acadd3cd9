package mcp_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/gateway/mcp"
	"github.com/pfs-project/pfs/vfs"
)

func places(t *testing.T) mcp.Places {
	d := t.TempDir()
	return mcp.Places{Project: filepath.Join(d, "project"), Home: filepath.Join(d, "home"), Config: filepath.Join(d, "config")}
}

func launch() mcp.Launch {
	return mcp.Launch{Name: "pfs", Command: `/opt/a "b"/pfs`, Args: []string{"mcp", "--root", "/a&b"}}
}

// TestInstallEach installs for every agent, where there is no file yet and then again.
func TestInstallEach(t *testing.T) {
	at := places(t)
	for _, agent := range mcp.Agents() {
		in, err := mcp.Plan(agent, at, launch())
		if err != nil || in.Same {
			t.Fatalf("%s: %v %+v", agent, err, in)
		}
		if err := in.Write(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(in.File)
		if err != nil || string(b) != in.Text {
			t.Fatalf("%s: %v %q", agent, err, b)
		}
		if agent == "codex" {
			if want := "[mcp_servers.pfs]\ncommand = \"/opt/a \\\"b\\\"/pfs\"\nargs = [\"mcp\", \"--root\", \"/a&b\"]\n"; in.Text != want {
				t.Errorf("codex: %s", in.Text)
			}
		} else {
			var all map[string]map[string]mcp.Launch
			if err := json.Unmarshal(b, &all); err != nil {
				t.Fatal(err)
			}
			key := "mcpServers"
			if agent == "vscode" {
				key = "servers"
			}
			if l := all[key]["pfs"]; l.Command != launch().Command || len(l.Args) != 3 {
				t.Errorf("%s: %s", agent, b)
			}
		}
		if in, err = mcp.Plan(agent, at, launch()); err != nil || !in.Same {
			t.Errorf("%s again: %v %+v", agent, err, in)
		}
	}
}

// TestInstallKeeps puts a server into a file that has others.
func TestInstallKeeps(t *testing.T) {
	at := places(t)
	file := filepath.Join(at.Home, ".cursor", "mcp.json")
	real := filepath.Join(at.Home, "dotfiles.json")
	old := `{"z":1.0e5,"mcpServers":{"other":{"command":"x","env":{"K":"<&>"}},"pfs":{"command":"old"},"last":{}},"a":[1,{"b":null}]}`
	for _, err := range []error{os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(real, []byte(old), 0o640), os.Symlink(real, file)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	in, err := mcp.Plan("cursor", at, launch())
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Write(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	at1 := -1
	for _, part := range []string{`"z": 1.0e5`, `"mcpServers"`, `"other"`, `"K": "<&>"`, `"pfs"`, `"command": "/opt`, `"last"`, `"a"`, `null`} {
		i := strings.Index(string(b), part)
		if i <= at1 {
			t.Errorf("%s is missing or out of place:\n%s", part, b)
		}
		at1 = i
	}
	if strings.Contains(string(b), `"old"`) {
		t.Errorf("the entry of before is there:\n%s", b)
	}
	if st, err := os.Lstat(file); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if st, err := os.Stat(real); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode: %v %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(at.Home, ".pfs-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestInstallRefuses leaves alone what it does not understand.
func TestInstallRefuses(t *testing.T) {
	at := places(t)
	for agent, files := range map[string][]string{
		"gemini": {"{", "[]", "// comment\n{}", `{"mcpServers": []}`, `{"mcpServers": "x"}`, "{} {}", "null", `{"a":1,}`, "\xff"},
		"codex":  {"[mcp_servers.pfs]\ncommand = \"x\"\n", "[ mcp_servers . \"pfs\" ] # x\n", "[mcp_servers.pfs.env]\nA = 1\n[mcp_servers.pfs]\n"},
	} {
		for _, old := range files {
			in, err := mcp.Plan(agent, at, launch())
			if err == nil {
				err = in.Write() // once, to have the directory
			}
			if err != nil && vfs.KindOf(err) != vfs.Invalid {
				t.Fatal(err)
			}
			if err := os.WriteFile(in.File, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			if in, err := mcp.Plan(agent, at, launch()); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "left as it is") {
				t.Errorf("%s %q: %v %+v", agent, old, err, in)
			}
		}
	}
	if _, err := mcp.Plan("cursr", at, launch()); err == nil || !strings.Contains(err.Error(), "did you mean cursor") {
		t.Errorf("an agent that is not there: %v", err)
	}
	l := launch()
	l.Name = "a b]"
	if _, err := mcp.Plan("codex", at, l); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("an odd name: %v", err)
	}
	keep := "model = \"x\"\n[tools]\na = 1"
	in, err := mcp.Plan("codex", at, launch())
	if err == nil {
		t.Fatal("the last file of codex is taken")
	}
	if err := os.WriteFile(in.File, []byte(keep), 0o600); err != nil {
		t.Fatal(err)
	}
	if in, err = mcp.Plan("codex", at, launch()); err != nil || !strings.HasPrefix(in.Text, keep+"\n\n[mcp_servers.pfs]\n") {
		t.Errorf("codex: %v %q", err, in.Text)
	}
}
