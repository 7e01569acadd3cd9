package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// inNewHome moves the test to a project and a home of its own.
func inNewHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData", "USERPROFILE"} {
		t.Setenv(name, dir)
	}
	for _, name := range []string{"PFS_URL", "PFS_CONTEXT", "CODEX_HOME"} {
		t.Setenv(name, "")
	}
	return dir
}

// TestMCPExamples runs what the help shows.
func TestMCPExamples(t *testing.T) {
	clitest.Start(t)
	url := os.Getenv("PFS_URL")
	inNewHome(t)
	t.Setenv("PFS_URL", url)
	mcp := (&app{cli.New(nil, nil, nil)}).mcp()
	n := 0
	for _, text := range []string{mcp.Example, mcp.Commands()[0].Example} {
		for line := range strings.Lines(text) {
			command, _, _ := strings.Cut(strings.TrimSpace(line), "#")
			must(t, "", strings.Fields(command)[1:]...)
			n++
		}
	}
	if n != 6 {
		t.Errorf("%d examples", n)
	}
}

func TestMCPInstall(t *testing.T) {
	dir := inNewHome(t)
	steps(t, []step{
		{"mcp install claude-code", "", 0, "added server \"pfs\" (stdio: … mcp) to " + filepath.Join(dir, ".mcp.json") + "; 10 tools\n", ""},
		{"mcp install claude-code --read-only --root /a", "", 0, "added server \"pfs\" (stdio: … mcp --root /a --read-only) to …; 4 tools\n", ""},
		{"mcp install codex --agfs-tools --url http://h:1", "", 0, "added server \"pfs\" (stdio: … mcp --url http://h:1 --agfs-tools) to …config.toml; 16 tools\n", ""},
		{"mcp install codex", "", 2, "", "pfs: …config.toml: it has a table [mcp_servers.pfs] already: give that command = … and args = [\"mcp\"]; it is left as it is\n"},
		{"mcp install cursr", "", 2, "", "pfs: agent \"cursr\" is not known; there are claude-code, …; did you mean cursor?\n"},
		{"mcp install", "", 2, "", "pfs: …\nhint: see: pfs mcp install --help\n"},
		{"mcp --root /a\\b", "", 2, "", "pfs: root …\nhint: see: pfs mcp --help\n"},
		{"mcp surplus", "", 2, "", "pfs: …\nhint: …\n"},
	})
	t.Setenv("PFS_CONTEXT", "prod")
	if got := must(t, "", "mcp", "install", "vscode", "--print"); !strings.Contains(got, `"--context"`) || !strings.Contains(got, `"prod"`) {
		t.Errorf("under a context: %s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, ".vscode")); err == nil {
		t.Error("--print has written something")
	}
}

// TestMCPWithoutServer answers calls although nobody is there.
func TestMCPWithoutServer(t *testing.T) {
	inNewHome(t)
	in := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list","arguments":{"path":"/"}}}
`
	got := must(t, in, "mcp", "--url", "http://127.0.0.1:1")
	if !strings.Contains(got, `"isError":true`) || !strings.Contains(got, "(unavailable)") || strings.Count(got, "\n") != 2 {
		t.Errorf("without a server: %s", got)
	}
}
