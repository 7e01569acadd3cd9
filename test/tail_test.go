package test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// program is a command of pfs that runs beside the test. What it prints comes
// line by line.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan printedLine
	stderr *syncBuffer
}

type printedLine struct {
	text string
	at   time.Time
}

// begin starts pfs against nodes, which it asks in that order.
func begin(t *testing.T, bin string, nodes []*harness.Node, args ...string) *program {
	t.Helper()
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.URL)
	}
	p := &program{t: t, cmd: exec.Command(filepath.Join(bin, "pfs"), args...), lines: make(chan printedLine, 10_000), stderr: &syncBuffer{}}
	p.cmd.Env = append(os.Environ(), "PFS_URL="+strings.Join(urls, ","))
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- printedLine{s.Text(), time.Now()}
		}
	}()
	return p
}

// line waits for the next line.
func (p *program) line() printedLine {
	p.t.Helper()
	select {
	case l, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("pfs has ended: %s", p.stderr)
		}
		return l
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("no line comes: %s", p.stderr)
		return printedLine{}
	}
}

// kill ends it with no chance to do anything.
func (p *program) kill() { _ = p.end(syscall.SIGKILL) }

// end sends it a signal and returns its exit code, -1 if it was killed.
func (p *program) end(s syscall.Signal) int {
	_ = p.cmd.Process.Signal(s) // it may be gone already
	for range p.lines {         // as Wait asks for
	}
	_ = p.cmd.Wait() // what counts is the code
	return p.cmd.ProcessState.ExitCode()
}

// requests returns how many requests of clients a node has answered, and how
// many wait at it.
func requests(t *testing.T, n *harness.Node) (answered, waiting int) {
	t.Helper()
	resp, err := http.Get(n.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), " ")
		v, _ := strconv.ParseFloat(value, 64) // of comments it is nothing
		switch {
		case strings.HasPrefix(name, `pfs_http_requests_total{`) && strings.Contains(name, `route="/api/v1/files"`):
			answered += int(v)
		case name == "pfs_http_waiting_requests":
			waiting = int(v)
		}
	}
	return answered, waiting
}

// idle has a command that waits at a node be idle for a while, in which it must
// not ask again and again.
func idle(t *testing.T, n *harness.Node, what string) {
	t.Helper()
	if !harness.Poll(30*time.Second, func() bool { _, w := requests(t, n); return w == 1 }) {
		t.Fatalf("%s does not wait", what)
	}
	long, most := 3*time.Second, 1
	if os.Getenv("PFS_SOAK") != "" {
		long, most = 2*time.Minute, 4
	}
	before, _ := requests(t, n)
	pauseFor(t.Context(), long)
	after, _ := requests(t, n)
	t.Logf("%s: %d requests in %v of idleness", what, after-before, long)
	if after-before > most {
		t.Errorf("%s asks again and again: %d requests in %v", what, after-before, long)
	}
}

// TestTail appends to a file while tail -f follows it at a node that does not
// lead, and goes on when that node is killed: each line comes once, in order.
func TestTail(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			c := harness.Start(t, harness.Options{Nodes: nodes})
			order := slices.Clone(c.Nodes)
			if leader := c.Leader(); order[0] == leader {
				slices.Reverse(order)
			}
			asked := order[0]
			cl := c.Client(0)
			if _, err := cl.WriteFile(t.Context(), "/memfs/log", []byte("first\n")); err != nil {
				t.Fatal(err)
			}
			c.SameDigest() // a node without the file would end it
			p := begin(t, c.Bin, order, "tail", "-f", "/memfs/log")
			if l := p.line(); l.text != "first" {
				t.Fatalf("%q", l.text)
			}
			idle(t, asked, "tail -f")
			n := 0
			appends := func(cl *client.Client, many int) (took []time.Duration) {
				for range many {
					text := fmt.Sprint("line ", n)
					n++
					if _, err := cl.WriteFile(t.Context(), "/memfs/log", []byte(text+"\n"), client.Append()); err != nil {
						t.Fatal(err)
					}
					acked := time.Now()
					l := p.line()
					if l.text != text {
						t.Fatalf("%q, want %q\n%s", l.text, text, p.stderr)
					}
					took = append(took, max(l.at.Sub(acked), 0))
				}
				return took
			}
			took := appends(cl, 100)
			slices.Sort(took)
			t.Logf("from the acknowledgement of an append to the line on stdout: p50 %v, p99 %v, most %v",
				took[len(took)/2].Round(10*time.Microsecond), took[len(took)*99/100].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
			asked.Kill()
			if nodes == 1 {
				asked.Start()
				asked.Ready()
			}
			appends(c.Client(slices.Index(c.Nodes, order[nodes-1])), 20)
			if code := p.end(syscall.SIGINT); code != 130 {
				t.Errorf("exit code %d: %s", code, p.stderr)
			}
		})
	}
}

// TestTailStream follows a stream by each of the commands that do, at a node that
// does not lead, and goes on when that node is killed: each line comes once, in order.
func TestTailStream(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 3})
	order := slices.Clone(c.Nodes)
	if leader := c.Leader(); order[0] == leader {
		slices.Reverse(order)
	}
	cl := c.Client(slices.Index(c.Nodes, order[2]))
	write := func(line string) {
		t.Helper()
		if _, err := cl.WriteFile(t.Context(), "/streamfs/log", []byte(line+"\n"), client.Append()); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	c.SameDigest() // a node without the stream would end them
	var all []*program
	for _, args := range [][]string{{"cat", "--stream", "/streamfs/log"}, {"stream", "cat", "/streamfs/log"}, {"tail", "-f", "/streamfs/log"}} {
		all = append(all, begin(t, c.Bin, order, args...))
	}
	hear := func(line string) {
		t.Helper()
		for _, p := range all {
			if l := p.line(); l.text != line {
				t.Fatalf("%q, want %q\n%s", l.text, line, p.stderr)
			}
		}
	}
	hear("first")
	for i := range 20 {
		if i == 10 {
			order[0].Kill()
		}
		line := fmt.Sprint("line ", i)
		write(line)
		hear(line)
	}
	if err := cl.Remove(t.Context(), "/streamfs/log"); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if l, ok := <-p.lines; ok {
			t.Errorf("%q came after the end", l.text)
		}
		if code := p.end(syscall.SIGINT); code != 0 || !strings.Contains(p.stderr.String(), "trying again") {
			t.Errorf("exit code %d: %s", code, p.stderr)
		}
	}
}

// TestTailOutside follows a file of a mount that has no versions: the server is
// asked again and again.
func TestTailOutside(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	dir := t.TempDir()
	newWeb(t, c.Nodes[0]).mount("localfs", "/disk", `{"local_dir":"`+dir+`"}`)
	file := filepath.Join(dir, "log")
	if err := os.WriteFile(file, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := begin(t, c.Bin, c.Nodes, "tail", "-F", "-s", "50ms", "/disk/log")
	for i, do := range []func() error{
		func() error { return nil },
		func() error {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				defer f.Close()
				_, err = f.WriteString("second\n")
			}
			return err
		},
		func() error { return os.WriteFile(file, []byte("cut\n"), 0o600) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if l, want := p.line(), []string{"first", "second", "cut"}[i]; l.text != want {
			t.Fatalf("%q, want %q", l.text, want)
		}
	}
	// Its two outputs are read beside each other.
	if !harness.Poll(10*time.Second, func() bool { return strings.Contains(p.stderr.String(), "the file was cut") }) {
		t.Error(p.stderr)
	}
}
