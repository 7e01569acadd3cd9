package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// terminal is a program in a terminal of tmux.
type terminal struct {
	t      *testing.T
	socket string
}

// inTerminal starts a command in a terminal of 80 columns and 24 lines.
func inTerminal(t *testing.T, env []string, command string) *terminal {
	t.Helper()
	x := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	cmd := exec.Command("tmux", "-S", x.socket, "-f", "/dev/null", "new-session", "-d", "-s", "s", "-x", "80", "-y", "24", command)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", x.socket, "kill-server").Run() }) // it may have ended
	return x
}

// run runs a command of tmux.
func (x *terminal) run(args ...string) string {
	x.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// keys types.
func (x *terminal) keys(names ...string) {
	x.run(append([]string{"send-keys", "-t", "s"}, names...)...)
}

// screen is what the terminal shows, without what is empty.
func (x *terminal) screen() string {
	return strings.TrimRight(x.run("capture-pane", "-p", "-t", "s"), "\n ")
}

// shows waits until the last lines of the screen are like want, a regular
// expression.
func (x *terminal) shows(want string) string {
	x.t.Helper()
	re := regexp.MustCompile(`(?s)` + want + `\z`)
	var last string
	if !harness.Poll(30*time.Second, func() bool { last = x.screen(); return re.MatchString(last) }) {
		x.t.Fatalf("the screen does not show %s but\n%s", want, last)
	}
	return last
}

// TestShellTerminal drives the shell as a person does.
func TestShellTerminal(t *testing.T) {
	t.Parallel()
	bin := harness.Build(t)
	c := harness.Start(t, harness.Options{})
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".pfsrc"), []byte("greet() { echo hello from rc; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Run("x", "put", "-", "/memfs/alpha one.txt")
	c.Run("x", "put", "-", "/memfs/beta.txt")
	c.Run("", "mkdir", "/queuefs/jobs")
	c.Run("one\n", "put", "-", "/queuefs/jobs/enqueue")
	env := append(os.Environ(), "HOME="+home, "PFS_URL="+c.Nodes[0].URL, "PATH="+bin+":"+os.Getenv("PATH"), "TERM=screen-256color", "XDG_STATE_HOME=")
	x := inTerminal(t, env, "pfs sh")
	x.shows(`^pfs:/>`)
	x.keys("greet", "Enter")
	x.shows(`\nhello from rc\npfs:/>`)

	t.Log("completion of commands, of paths, of names with spaces, of flags")
	x.keys("cd /mem", "Tab")
	x.shows(`pfs:/> cd /memfs/`)
	x.keys("Enter")
	x.shows(`pfs:/memfs>`)
	x.keys("cat al", "Tab")
	x.shows(`cat alpha\\ one.txt`)
	x.keys("Enter")
	x.shows(`\nx\npfs:/memfs>`)
	x.keys("ls --rev", "Tab")
	x.shows(`ls --reverse`)
	x.keys("C-u")
	x.keys("cat ", "Tab")
	x.shows(`alpha\\ one.txt +beta.txt[^\n]*`)
	x.keys("C-c")
	x.shows(`cat[^\n]*\npfs:/memfs>`)
	x.keys("cat /queuefs/jobs/deq", "Tab")
	x.shows(`cat /queuefs/jobs/dequeue`)
	x.keys("C-u")
	x.keys("cat /queuefs/jobs/size", "Enter")
	x.shows(`jobs/size\n1\npfs:/memfs>`) // completion has taken nothing

	t.Log("a command that goes on")
	x.keys("if true", "Enter")
	x.shows(`if true\n>`)
	x.keys("then echo yes; fi", "Enter")
	x.shows(`\nyes\npfs:/memfs>`)

	t.Log("Ctrl-C in a pipeline, and at a wait")
	x.keys("echo on; yes | sort | cat", "Enter")
	x.shows(`cat\non`)
	x.keys("C-c")
	x.shows(`\npfs:/memfs>`)
	x.keys("echo status $?", "Enter")
	x.shows(`\nstatus 130\npfs:/memfs>`)
	x.keys("cat", "Enter")
	again := regexp.MustCompile(`\ntyped\ntyped\z`) // what is typed before cat reads may be lost
	if !harness.Poll(30*time.Second, func() bool {
		x.keys("typed", "Enter")
		return harness.Poll(2*time.Second, func() bool { return again.MatchString(x.screen()) })
	}) {
		t.Fatalf("cat does not say what was typed:\n%s", x.screen())
	}
	x.keys("C-c")
	x.shows(`pfs:/memfs>`)

	t.Log("history, its search, and in the next shell")
	x.keys("Up", "Up")
	x.shows(`pfs:/memfs> echo status \$\?`)
	x.keys("C-c")
	x.shows(`\npfs:/memfs>`)
	x.keys("C-r")
	x.shows(`inc-search.*`)
	x.keys("gree")
	x.shows(`pfs:/memfs> greet\n.*`)
	x.keys("Enter")
	x.shows(`\nhello from rc\npfs:/memfs>`)
	x.keys("exit", "Enter")
	if !harness.Poll(30*time.Second, func() bool {
		return exec.Command("tmux", "-S", x.socket, "has-session").Run() != nil
	}) {
		t.Fatal("exit does not leave")
	}
	if st, err := os.Stat(filepath.Join(home, ".pfs_history")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the history: %v, %v", st, err)
	}
	x = inTerminal(t, env, "pfs sh --norc")
	x.shows(`^pfs:/>`)
	x.keys("Up")
	x.shows(`pfs:/> exit`)
	x.keys("C-c")
	x.shows(`\npfs:/>`)

	t.Log("the window changes during a progress bar")
	big := filepath.Join(home, "big")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 3<<30); err != nil {
		t.Fatal(err)
	}
	x.keys("put local:"+big+" /memfs/big", "Enter")
	x.shows(`\d%[^\n]*`)
	x.run("resize-window", "-t", "s", "-x", "50", "-y", "20")
	narrow := x.shows(`\n *\d+%[^\n]*s\]`) // whole, in one line
	x.run("resize-window", "-t", "s", "-x", "120", "-y", "30")
	x.shows(`\n *\d+%[^\n]{60,}s\]`)
	x.keys("C-c")
	x.shows(`\npfs:/>`)
	x.keys("[ -e /memfs/big ] || echo not there", "Enter")
	wide := x.shows(`\nnot there\npfs:/>`)
	t.Logf("narrow:\n%s\nwide again:\n%s", narrow, wide)
	x.keys("C-d")
}
