package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// python is the interpreter for which the packages of the system are.
const python = "/usr/bin/python3"

// pythonClient is the Python client, installed as its users do.
type pythonClient struct{ source, site string }

func installPython(t *testing.T) *pythonClient {
	t.Helper()
	p := &pythonClient{filepath.Join(t.TempDir(), "python"), filepath.Join(t.TempDir(), "site")}
	// Building leaves files in the source.
	if err := os.CopyFS(p.source, os.DirFS(filepath.Join(harness.Root(t), "clients", "python"))); err != nil {
		t.Fatal(err)
	}
	p.run(t, nil, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", p.site, ".")
	if _, err := os.Stat(filepath.Join(p.site, "pfs_client", "py.typed")); err != nil {
		t.Errorf("what is installed has no types: %v", err)
	}
	// The tests beside it are to find what was installed.
	if err := os.RemoveAll(filepath.Join(p.source, "pfs_client")); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs python in the copy of the source, with what was installed, and
// returns what it prints.
func (p *pythonClient) run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := p.command(env, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("python3 %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (p *pythonClient) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(python, args...)
	cmd.Dir = p.source
	cmd.Env = append(append(os.Environ(), "PYTHONPATH="+p.site, "PIP_ROOT_USER_ACTION=ignore"), env...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// nodes tells the tests where the cluster is.
func (p *pythonClient) nodes(c *harness.Cluster) []string {
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	return []string{"PFS_TEST_URLS=" + strings.Join(urls, ",")}
}

var unittestRan = regexp.MustCompile(`Ran (\d+) tests? in`)

// suite runs the client's own tests against a cluster.
func (p *pythonClient) suite(t *testing.T, c *harness.Cluster, env ...string) {
	t.Helper()
	out := p.run(t, append(env, p.nodes(c)...), "-W", "error::ResourceWarning", "-m", "unittest", "discover", "-t", p.source, "-s", filepath.Join(p.source, "tests"))
	m := unittestRan.FindStringSubmatch(out)
	if m == nil || m[1] == "0" || strings.Contains(out, "skipped=") {
		t.Fatalf("not all tests ran:\n%s", out)
	}
	t.Logf("%s tests of the Python client passed on %d nodes", m[1], len(c.Nodes))
}

// TestPython runs the test suite of the Python client, as it is installed,
// against one node and three.
func TestPython(t *testing.T) {
	t.Parallel()
	p := installPython(t)
	for _, nodes := range []int{1, 3} {
		t.Run(strconv.Itoa(nodes), func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Nodes: nodes})
			p.suite(t, c, tlsFront(t, c.Nodes[0].URL)...)
		})
	}
}

// tlsFront is what stands before a node that others reach: it speaks TLS and
// wants a token. It returns where it is, for the client's tests.
func tlsFront(t *testing.T, node string) (env []string) {
	t.Helper()
	to, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	const token = "a-token"
	pass := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, `{"error":"unauthenticated","code":"unauthenticated"}`, http.StatusUnauthorized)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // handshakes that a client ends
	front.StartTLS()
	t.Cleanup(front.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"PFS_TEST_TLS_URL=" + front.URL, "PFS_TEST_TLS_CA=" + ca, "PFS_TEST_TOKEN=" + token}
}

// TestPythonFailover kills the leader with -9 while the Python client writes,
// again and again. What was acknowledged must be there, once, and no call may
// fail.
func TestPythonFailover(t *testing.T) {
	t.Parallel()
	p := installPython(t)
	c := harness.Start(t, harness.Options{Nodes: 3})
	load := p.load(t, c)
	kills := rounds(2, 50)
	for round := range kills {
		leader := c.Leader()
		if leader == nil {
			t.Fatalf("round %d: no leader", round)
		}
		load.more(60)
		leader.Kill()
		load.more(60)
		leader.Start()
		leader.Ready()
	}
	r := load.end()
	if len(r.Lost)+len(r.Doubled)+len(r.Unknown)+len(r.Errors) > 0 {
		t.Errorf("lost %q\ndoubled %q\nunknown %q\nfailed %q", r.Lost, r.Doubled, r.Unknown, r.Errors)
	}
	if r.Files == 0 || r.Lines == 0 || r.Messages == 0 || r.Worked < r.Messages || r.Heard == 0 {
		t.Errorf("too little was done: %+v", r)
	}
	c.SameDigest()
	t.Logf("%d kills: %d files, %d lines and %d messages were acknowledged, %d messages worked off, %d lines of a stream heard; nothing lost or doubled",
		kills, r.Files, r.Lines, r.Messages, r.Worked, r.Heard)
}

// pythonLoad is tests/load.py at work.
type pythonLoad struct {
	t     *testing.T
	stdin io.Closer
	lines chan string
	acked int
}

func (p *pythonClient) load(t *testing.T, c *harness.Cluster) *pythonLoad {
	t.Helper()
	cmd := p.command(p.nodes(c), "-m", "tests.load")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &pythonLoad{t: t, stdin: stdin, lines: make(chan string)}
	go func() {
		defer close(l.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			l.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		for range l.lines {
		}
		_ = cmd.Wait() // what it printed tells
	})
	return l
}

// more waits until n more changes are acknowledged.
func (l *pythonLoad) more(n int) {
	l.t.Helper()
	want, late := l.acked+n, time.After(3*time.Minute)
	for l.acked < want {
		select {
		case line, ok := <-l.lines:
			var err error
			if l.acked, err = strconv.Atoi(line); err != nil || !ok {
				l.t.Fatalf("the load ended: %q", line)
			}
		case <-late:
			l.t.Fatalf("%d changes were acknowledged; %d are needed", l.acked, want)
		}
	}
}

// pythonReport is what the load found when it read everything back.
type pythonReport struct {
	Files, Lines, Messages, Worked, Heard int
	Lost, Doubled, Unknown, Errors        []string
}

// end stops the load and returns what it found.
func (l *pythonLoad) end() (r pythonReport) {
	l.t.Helper()
	if err := l.stdin.Close(); err != nil {
		l.t.Fatal(err)
	}
	last := ""
	for line := range l.lines {
		last = line
	}
	if err := json.Unmarshal([]byte(last), &r); err != nil {
		l.t.Fatalf("%v in %q", err, last)
	}
	return r
}

// TestPythonTypes checks the types of the Python client and its tests.
func TestPythonTypes(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("mypy", "--strict", "--cache-dir", t.TempDir(), "pfs_client", "tests")
	cmd.Dir = filepath.Join(harness.Root(t), "clients", "python")
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Success")) {
		t.Fatalf("mypy: %v\n%s", err, out)
	}
}
