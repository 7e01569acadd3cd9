package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestOperations runs every console block of docs/operations.md, in order, in
// one shell and against real nodes, and compares what it prints; numbers and
// hashes may be others.
func TestOperations(t *testing.T) {
	root := harness.Root(t)
	steps := readSteps(t, filepath.Join(root, "docs", "operations.md"))
	if len(steps) < 45 {
		t.Fatalf("docs/operations.md has %d commands in console blocks", len(steps))
	}
	sh := startShell(t, harness.Build(t))
	for _, st := range steps {
		out, code, err := sh.patient(st)
		if err != nil {
			t.Fatalf("docs/operations.md:%d: %s\n%v\n%s\n%s", st.line, st.command, err, out, sh.logs())
		}
		if !resembles(out, st.want) {
			t.Errorf("docs/operations.md:%d: %s\ngot (%d)\n%swant\n%s", st.line, st.command, code, out, strings.Join(st.want, "\n"))
		}
	}
	if t.Failed() {
		t.Log(sh.logs())
	}
	t.Logf("%d commands of docs/operations.md ran as printed", len(steps))
}

// resembles is matches where numbers, sizes, hashes and the width of columns
// may differ.
func resembles(out string, want []string) bool {
	hash := regexp.MustCompile(`\b[0-9a-f]{12,}\b`)
	size := regexp.MustCompile(`\b[0-9]+(\.[0-9]+)?[BKMG]\b`)
	number := regexp.MustCompile(`[0-9]+`)
	space := regexp.MustCompile(` +`)
	loose := func(s string) string {
		s = hash.ReplaceAllString(s, "HASH")
		s = size.ReplaceAllString(s, "0")
		s = number.ReplaceAllString(s, "0")
		return space.ReplaceAllString(s, " ")
	}
	var lines []string
	for _, line := range want {
		lines = append(lines, loose(line))
	}
	return matches(loose(out), lines)
}

// shell is a bash that keeps its variables and background jobs between
// commands.
type shell struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	mark  int
}

// commandTime is what a command of the documentation is given: it may start nodes and
// have a module compiled, beside other tests.
const commandTime = 4 * time.Minute

// startShell starts it in an empty directory with the programs in its path.
func startShell(t *testing.T, bin string) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir(), lines: make(chan string, 1000)}
	// In a network of its own, where that is allowed, its addresses are in
	// nobody's way.
	script := "exec bash --norc"
	if exec.Command("unshare", "-n", "ip", "link", "set", "lo", "up").Run() == nil {
		script = "exec unshare -n bash -c 'ip link set lo up && exec bash --norc'"
	}
	s.cmd = exec.Command("bash", "-c", script)
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PFS_URL=", "PFS_SOURCE="+harness.Root(t))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() { // ends with the last process that has the pipe
		defer close(s.lines)
		in := bufio.NewScanner(r)
		for in.Scan() {
			s.lines <- in.Text()
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // the nodes, too
		_ = s.cmd.Wait()                                      // how it ended does not matter
	})
	return s
}

// run runs one command and returns what it printed and its exit code.
func (s *shell) run(command string, within time.Duration) (out string, code int, err error) {
	s.mark++
	end := fmt.Sprintf("end of command %d: ", s.mark)
	if _, err := fmt.Fprintf(s.in, "%s\nprintf '\\n%s%%d\\n' $?\n", command, end); err != nil {
		return "", 0, err
	}
	var b bytes.Buffer
	late := time.After(within)
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				return b.String(), 0, fmt.Errorf("the shell has ended")
			}
			if rest, ok := strings.CutPrefix(line, end); ok {
				code, err = strconv.Atoi(rest)
				// The mark began a line of its own.
				return strings.TrimSuffix(b.String(), "\n"), code, err
			}
			b.WriteString(line + "\n")
		case <-late:
			return b.String(), 0, fmt.Errorf("not done within %v", within)
		}
	}
}

// patient runs the command of a step, and again, for two minutes, while it prints what
// is not wanted but asks for patience: a leader is elected, or a module compiled.
func (s *shell) patient(st step) (out string, code int, err error) {
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		out, code, err = s.run(st.command, commandTime)
		asks := strings.Contains(out, `"code":"unavailable"`) || strings.Contains(out, "(unavailable)")
		if err != nil || resembles(out, st.want) || !asks || strings.Contains(out, `"outcome"`) || time.Now().After(until) {
			return out, code, err
		}
		s.t.Logf("%s is run again: %.200s", st.command, out)
	}
}

// logs returns the end of each node's log.
func (s *shell) logs() string {
	var b strings.Builder
	names, _ := filepath.Glob(filepath.Join(s.dir, "*.log"))
	for _, name := range names {
		text, _ := os.ReadFile(name) // none is none
		fmt.Fprintf(&b, "%s:\n%s\n", filepath.Base(name), text[max(0, len(text)-3000):])
	}
	return b.String()
}
