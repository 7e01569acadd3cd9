package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// step is one command of the README and what it should print; "…" there
// stands for anything, a line of "…" alone for any lines.
type step struct {
	line    int
	command string
	want    []string
}

// TestReadme runs every console block of the README, in order, against the
// real binary, and compares what it prints.
func TestReadme(t *testing.T) {
	root := harness.Root(t)
	steps := readSteps(t, filepath.Join(root, "README.md"))
	if len(steps) < 30 {
		t.Fatalf("the README has %d commands in console blocks; the walk-through needs 30", len(steps))
	}
	dir := checkout(t, root)
	s := &session{t: t, dir: dir}
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	for _, st := range steps {
		switch st.command {
		case "make run":
			s.start(st.want)
		case "make test": // .ci/run runs it before this test
			requireInCI(t, root, st.command)
		default:
			cmd := exec.Command("bash", "-c", st.command)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if !matches(string(out), st.want) {
				t.Errorf("README.md:%d: %s\ngot  %s (%v)\nwant %s", st.line, st.command, out, err, strings.Join(st.want, "\n"))
			}
		}
	}
	before := s.tree()
	s.end(syscall.SIGINT)
	s.start(nil)
	if after := s.tree(); after != before {
		t.Errorf("the tree after Ctrl-C and start differs:\n%s\nbefore:\n%s", after, before)
	}
	s.end(syscall.SIGKILL)
	s.start(nil)
	if after := s.tree(); after != before {
		t.Errorf("the tree after kill -9 and start differs:\n%s\nbefore:\n%s", after, before)
	}
	t.Logf("%d commands of the README ran as printed", len(steps))
}

// checkout makes a clean copy of what git knows, so that the README's own
// ./pfs-data and build/ do not touch the real ones.
func checkout(t *testing.T, root string) string {
	dir := filepath.Join(t.TempDir(), "pfs")
	script := `set -e; mkdir -p "$1"; git ls-files -co --exclude-standard -z | tar --null -T - -cf - | tar -C "$1" -xf -`
	cmd := exec.Command("bash", "-c", script, "bash", dir)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy of the checkout: %v\n%s", err, out)
	}
	return dir
}

func requireInCI(t *testing.T, root, command string) {
	b, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil || !bytes.Contains(b, []byte(command)) {
		t.Errorf(".ci/run does not run %q (%v)", command, err)
	}
}

func readSteps(t *testing.T, file string) []step {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	in := false
	for i, line := range strings.Split(string(b), "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			in = line == "```console"
		case in && strings.HasPrefix(line, "$ "):
			steps = append(steps, step{line: i + 1, command: line[2:]})
		case in && len(steps) > 0:
			st := &steps[len(steps)-1]
			st.want = append(st.want, line)
		}
	}
	return steps
}

// matches compares output with what the README shows.
func matches(out string, want []string) bool {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for _, line := range want {
		if line == "…" {
			re.WriteString(`.*`)
			continue
		}
		re.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`) + `\n`)
	}
	re.WriteString(`\z`)
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return regexp.MustCompile(re.String()).MatchString(out)
}

// session is the server that the README starts.
type session struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	out *syncBuffer
}

func (s *session) start(want []string) {
	s.t.Helper()
	s.out = &syncBuffer{}
	s.cmd = exec.Command("make", "run")
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	up := harness.Poll(3*time.Minute, func() bool {
		return exec.Command("curl", "-fs", "127.0.0.1:8080/api/v1/ready").Run() == nil
	})
	if !up {
		s.t.Fatalf("make run did not get ready:\n%s", s.out)
	}
	if want != nil && !harness.Poll(20*time.Second, func() bool { return matches(s.out.String(), want) }) {
		s.t.Errorf("make run printed:\n%s\nwant:\n%s", s.out, strings.Join(want, "\n"))
	}
}

// end sends a signal to the server and all that make started, as a terminal
// does, and waits.
func (s *session) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, sig) // it may be gone already
	_ = s.cmd.Wait()                          // how it ended does not matter here
	s.cmd = nil
}

// tree prints the whole tree with contents, consuming files left out.
func (s *session) tree() string {
	script := `walk() { ./build/pfs ls "$1" | while read -r n; do case $n in
	  */) echo "$1$n"; walk "$1$n";;
	  dequeue|take|uptime|stats|server_info|traffic) ;;
	  ack|clear|enqueue|extend|nack|redrive) echo "$1$n";;
	  *) echo "$1$n $(./build/pfs cat "$1$n" | sha256sum)";; esac; done; }; walk /`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) == 0 {
		s.t.Fatalf("walk: %v\n%s", err, out)
	}
	return fmt.Sprintf("%s", out)
}
