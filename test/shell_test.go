package test

import (
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

// TestShellDocs runs the console blocks of docs/shell.md and compares what they
// print.
func TestShellDocs(t *testing.T) {
	t.Parallel()
	bin := harness.Build(t)
	c := harness.Start(t, harness.Options{})
	dir := t.TempDir()
	steps := readSteps(t, filepath.Join(harness.Root(t), "docs", "shell.md"))
	if len(steps) < 9 {
		t.Fatalf("docs/shell.md has %d commands", len(steps))
	}
	for _, st := range steps {
		cmd := exec.Command("bash", "-c", st.command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PFS_URL="+c.Nodes[0].URL)
		out, err := cmd.CombinedOutput()
		if !matches(string(out), st.want) && !(len(out) == 0 && len(strings.TrimSpace(strings.Join(st.want, ""))) == 0) {
			t.Errorf("docs/shell.md:%d: %s\ngot  %s(%v)\nwant %s", st.line, st.command, out, err, strings.Join(st.want, "\n"))
		}
	}
	t.Logf("%d commands of docs/shell.md ran as printed", len(steps))
}

// TestShellProgram has the program itself, as scripts and pipes use it: by a shebang,
// from a pipe, ended by signals, and through another node once the first has died.
func TestShellProgram(t *testing.T) {
	t.Parallel()
	bin := harness.Build(t)
	c := harness.Start(t, harness.Options{Nodes: 3})
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PFS_URL="+strings.Join(urls, ","))
	run := func(stdin, name string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput() // the exit code is looked at
		return string(out), cmd.ProcessState.ExitCode()
	}
	pfs := filepath.Join(bin, "pfs")
	script := filepath.Join(t.TempDir(), "script")
	text := "#!/usr/bin/env -S pfs sh -e\ncd /memfs\nseq 1 300000 > big\nsort -n < big | sed -n '$p'\necho $1\n[ $# = 2 ]\nfalse\necho not here\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, code := run("", script, "a b", "c"); out != "300000\na b\n" || code != 1 {
		t.Errorf("the script: %q, %d", out, code)
	}
	if out, code := run("cd /memfs\necho piped > p\ncat p\nexit 5\n", pfs, "sh"); out != "piped\n" || code != 5 {
		t.Errorf("stdin: %q, %d", out, code)
	}
	c.SameDigest() // the next command is another client: it asks for no more than a node has
	leaderLast := slices.Clone(c.Nodes)
	leaderLast[0].Kill()
	if out, code := run("", pfs, "sh", "-c", "cd /memfs; cat p; for i in 1 2 3; do echo $i >> q; done; cat q"); out != "piped\n1\n2\n3\n" || code != 0 {
		t.Errorf("with a node down: %q, %d", out, code)
	}
	leaderLast[0].Start()
	c.Ready()
	c.SameDigest()

	began := time.Now()
	const times = 10
	for range times {
		if out, code := run("", pfs, "sh", "-c", "echo hi"); out != "hi\n" || code != 0 {
			t.Fatalf("echo: %q, %d", out, code)
		}
	}
	t.Logf("pfs sh -c 'echo hi' takes %v", time.Since(began)/times)

	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		cmd := exec.Command(pfs, "sh", "-c", "trap 'echo bye > /memfs/bye' EXIT; echo ready; yes > /memfs/never")
		cmd.Env = env
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := stdout.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the exit code is looked at
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%v: exit code %d, want %d", signal, code, want)
		}
		c.SameDigest() // as above
		if out, code := run("", pfs, "sh", "-c", "cd /memfs; cat bye; rm bye; [ ! -e never ]"); out != "bye\n" || code != 0 {
			t.Errorf("after %v: %q, %d", signal, out, code)
		}
	}
}
