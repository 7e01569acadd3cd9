package test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// helpElsewhere are examples of help texts that want more than one fresh node, by
// how they begin, and what runs them, or the like of them.
var helpElsewhere = map[string]string{
	"pfs cluster add":                           "TestOperations: wants a fourth node",
	"pfs cluster transfer":                      "TestOperations: wants a second node",
	"pfs --url http://127.0.0.1:8080 cluster t": "TestOperations: wants a second node",
	"pfs cluster recover":                       "TestOperations: wants a stopped node and its id",
	"pfs cluster backup - | ssh":                "TestBackup: wants another machine",
	"pfs --url localhost:8081":                  "TestBenchWrite: wants three nodes",
	"pfs plugin":                                "TestPluginTools, TestExamples: want a compiler's output",
	"pfs sync pfs:/memfs/site pfs://":           "TestSync: wants a second server",
	"make -C":                                   "TestPluginTools: wants a compiler's output",
	"pfs man --dir /usr":                        "TestPluginDocs/cli.md: writes to the machine",
	"pfs debug log-dump":                        "TestLogDump: wants a stopped node",
	"pfs debug state":                           "TestLogDump: wants a stopped node",
}

// helpEndless are commands that end when they are told to.
var helpEndless = []string{"tail -f", "tail -F", "--stream", "watch ", "queue work", "pfs mcp", "pfs server", "pfs sh"}

// Every example of every help text runs, on a node with the files that they speak of.
func TestHelpExamples(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	h := &helps{t: t, bin: harness.Build(t), url: c.Nodes[0].URL, dir: t.TempDir()}
	h.command(nil)
	if h.ran < 40 {
		t.Errorf("%d examples ran, want 40 or more", h.ran)
	}
	t.Logf("%d commands with %d examples: %d ran, %d are run elsewhere", h.commands, h.ran+h.elsewhere, h.ran, h.elsewhere)
}

// helps walks the help texts.
type helps struct {
	t                        *testing.T
	bin, url, dir            string
	commands, ran, elsewhere int
}

// command runs the examples of one command and of those below it.
func (h *helps) command(path []string) {
	h.commands++
	text := h.pfs(append([]string{"help"}, path...)...)
	dir := ""
	for _, line := range section(text, "Examples:") {
		line = strings.TrimSpace(line)
		switch {
		case !strings.Contains(line, "pfs"):
			continue
		case ranElsewhere(line):
			h.elsewhere++
			continue
		case dir == "":
			dir = h.setup()
		}
		h.example(dir, line)
	}
	for _, line := range section(text, "Available Commands:") {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] != "help" && f[0] != "completion" {
			h.command(append(slices.Clone(path), f[0]))
		}
	}
}

// section returns the lines below a heading, as far as the next empty one.
func section(text, heading string) []string {
	_, rest, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		return nil
	}
	body, _, _ := strings.Cut(rest, "\n\n")
	return strings.Split(body, "\n")
}

func (h *helps) pfs(args ...string) string {
	h.t.Helper()
	out, err := exec.Command(filepath.Join(h.bin, "pfs"), args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("pfs %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func ranElsewhere(line string) bool {
	for begin := range helpElsewhere {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return false
}

// setup makes a directory, and a tree on the server, as testdata/help/setup.sh does.
func (h *helps) setup() string {
	h.t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", "help", "setup.sh"))
	if err != nil {
		h.t.Fatal(err)
	}
	dir := filepath.Join(h.dir, fmt.Sprint(h.commands))
	if err := os.Mkdir(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if out, code := h.bash(dir, "set -e; . "+script, 5*time.Minute); code != 0 {
		h.t.Fatalf("setup: %d\n%s", code, out)
	}
	return dir
}

// example runs one line.
func (h *helps) example(dir, line string) {
	h.t.Helper()
	h.ran++
	endless := slices.ContainsFunc(helpEndless, func(s string) bool { return strings.Contains(line, s) })
	within := 5 * time.Minute
	if endless {
		within = time.Second
	}
	out, code := h.bash(dir, line, within)
	differs := strings.HasPrefix(line, "pfs diff") && code == 1
	if code != 0 && !differs && !(endless && (code == 130 || code == 143)) {
		h.t.Errorf("%s\nexit code %d\n%s", line, code, out)
	}
}

// bash runs a script; after a while it is interrupted.
func (h *helps) bash(dir, script string, within time.Duration) (string, int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+h.bin+":"+os.Getenv("PATH"), "PFS_URL="+h.url, "XDG_CONFIG_HOME="+dir, "HOME="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return out.String(), 128 + int(ws.Signal())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}
