package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// shellScript is one script of testdata/shell: its text, and what it prints and
// returns in any shell.
type shellScript struct {
	area, name string
	bash       bool // a name that ends with " bash": dash has not what it uses
	text       string
	out        string
	status     int
}

// scriptRan is what a script did.
type scriptRan struct {
	out    string
	status int
	errs   string
}

// TestShellCorpus runs every script of testdata/shell by dash or bash in a local
// directory, and by pfs sh in a directory of a server: output and exit status are
// equal, and what the file says. PFS_GOLDEN=write writes into the files what dash
// and bash did.
//
// later.txt names scripts whose commands pfs sh has not yet, and says why; they are
// run too, and told when they pass.
func TestShellCorpus(t *testing.T) {
	t.Parallel()
	root := harness.Root(t)
	dir := filepath.Join(root, "test", "testdata", "shell")
	scripts := readShellScripts(t, dir)
	if len(scripts) < 150 {
		t.Fatalf("%d scripts, at least 150 are wanted", len(scripts))
	}
	later := readLater(t, filepath.Join(dir, "later.txt"))
	c := harness.Start(t, harness.Options{})
	c.Run("", "mkdir", "/memfs/corpus")
	local := t.TempDir()
	var mu sync.Mutex
	var equal, postponed int
	work := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range work {
				s := &scripts[i]
				theirs := s.runLocally(t, filepath.Join(local, fmt.Sprint(i)))
				if os.Getenv("PFS_GOLDEN") == "write" {
					s.out, s.status = theirs.out, theirs.status
				}
				ours := s.runByPfs(t, c, fmt.Sprintf("/memfs/corpus/%d", i))
				mu.Lock()
				why, isLater := later[s.area+": "+s.name]
				delete(later, s.area+": "+s.name)
				same := s.judge(t, theirs, ours, isLater)
				switch {
				case same && isLater:
					t.Logf("%s: %s passes now: take it out of later.txt (%s)", s.area, s.name, why)
				case isLater:
					postponed++
				}
				if same {
					equal++
				}
				mu.Unlock()
			}
		})
	}
	for i := range scripts {
		work <- i
	}
	close(work)
	workers.Wait()
	for name := range later {
		t.Errorf("later.txt names %q, which is no script", name)
	}
	if os.Getenv("PFS_GOLDEN") == "write" {
		writeShellScripts(t, dir, scripts)
	}
	t.Logf("%d scripts: %d equal in pfs sh and in dash or bash, %d for later", len(scripts), equal, postponed)
}

// judge compares what two shells did with what was expected.
func (s *shellScript) judge(t *testing.T, theirs, ours scriptRan, later bool) bool {
	t.Helper()
	if theirs.out != s.out || theirs.status != s.status {
		t.Errorf("%s: %s\n%s\n%s printed %q, status %d, stderr %q\nexpected %q, status %d",
			s.area, s.name, s.text, s.shell(), theirs.out, theirs.status, theirs.errs, s.out, s.status)
	}
	if ours.out == s.out && ours.status == s.status {
		return true
	}
	if !later {
		t.Errorf("%s: %s\n%s\npfs sh printed %q, status %d, stderr %q\nexpected %q, status %d",
			s.area, s.name, s.text, ours.out, ours.status, ours.errs, s.out, s.status)
	}
	return false
}

func (s *shellScript) shell() string {
	if s.bash {
		return "bash"
	}
	return "dash"
}

// corpusTime bounds one script.
const corpusTime = 2 * time.Minute

// runLocally runs a script by dash or bash in a new directory.
func (s *shellScript) runLocally(t *testing.T, dir string) scriptRan {
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), corpusTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.shell(), "-c", s.text)
	cmd.Dir = dir
	return runCorpus(t, cmd)
}

// runByPfs runs a script by pfs sh in a new directory of the server.
func (s *shellScript) runByPfs(t *testing.T, c *harness.Cluster, dir string) scriptRan {
	ctx, cancel := context.WithTimeout(context.Background(), corpusTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, "pfs"), "--url", c.Nodes[0].URL, "sh", "-c", "mkdir "+dir+" && cd "+dir+"\n"+s.text)
	cmd.Dir = t.TempDir()
	got := runCorpus(t, cmd)
	if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) > 0 {
		t.Errorf("%s: %s left %v on the local machine (%v)", s.area, s.name, left, err)
	}
	return got
}

func runCorpus(t *testing.T, cmd *exec.Cmd) scriptRan {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/nowhere"}
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("%s: %v", cmd.Path, err)
	}
	status := -1
	if cmd.ProcessState != nil {
		status = cmd.ProcessState.ExitCode()
	}
	return scriptRan{out.String(), status, errs.String()}
}

// readShellScripts reads all areas. A script begins with "=== NAME"; "--- out" begins
// what it prints, "--- status N" is its exit status if it is not 0.
func readShellScripts(t *testing.T, dir string) (all []shellScript) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		area := strings.TrimSuffix(filepath.Base(file), ".txt")
		if area == "later" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq("\n"+string(text), "\n=== ") {
			name, body, ok := strings.Cut(part, "\n")
			if !ok {
				continue
			}
			s := shellScript{area: area}
			s.name, s.bash = strings.CutSuffix(name, " bash")
			s.text, s.out, s.status = takeApart(t, body)
			if seen[area+s.name] {
				t.Fatalf("%s has two scripts %q", area, s.name)
			}
			seen[area+s.name] = true
			all = append(all, s)
		}
	}
	return all
}

// takeApart splits a script from its output and its exit status. What is printed
// without a newline at its end is marked with "--- no newline".
func takeApart(t *testing.T, body string) (text, out string, status int) {
	body = strings.TrimSuffix(body, "\n") + "\n"
	if head, n, ok := strings.Cut(body, "\n--- status "); ok {
		if _, err := fmt.Sscan(n, &status); err != nil {
			t.Fatalf("%q is no status", n)
		}
		body = head + "\n"
	}
	body, open := strings.CutSuffix(body, "\n--- no newline\n")
	text, out, ok := strings.Cut(body, "\n--- out\n")
	if !ok {
		text, out, _ = strings.Cut(body, "\n--- out")
	}
	if !open && !ok {
		out = strings.TrimPrefix(out, "\n")
	}
	return strings.TrimSuffix(text, "\n"), out, status
}

// writeShellScripts writes the areas anew.
func writeShellScripts(t *testing.T, dir string, all []shellScript) {
	files := map[string]*strings.Builder{}
	for _, s := range all {
		b := files[s.area]
		if b == nil {
			b = &strings.Builder{}
			files[s.area] = b
		}
		fmt.Fprintf(b, "=== %s%s\n%s\n", s.name, map[bool]string{true: " bash"}[s.bash], s.text)
		if s.out != "" {
			fmt.Fprintf(b, "--- out\n%s", s.out)
		}
		if s.out != "" && !strings.HasSuffix(s.out, "\n") {
			b.WriteString("\n--- no newline\n")
		}
		if s.status != 0 {
			fmt.Fprintf(b, "--- status %d\n", s.status)
		}
	}
	for area, b := range files {
		if err := os.WriteFile(filepath.Join(dir, area+".txt"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// readLater reads "AREA: NAME  # why", one a line.
func readLater(t *testing.T, file string) map[string]string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, why, ok := strings.Cut(strings.TrimSpace(line), "  # ")
		if name == "" || name[0] == '#' {
			continue
		}
		if !ok || why == "" {
			t.Errorf("later.txt does not say why %q is for later", name)
		}
		out[name] = why
	}
	return out
}
