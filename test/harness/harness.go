// Package harness starts real PFS processes for black-box tests, hurts them,
// and reads what they cost. It talks to them over real sockets only.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/ports"
)

// BinEnv names the environment variable with a directory that holds the two
// programs already, so that a test process builds them once.
const BinEnv = "PFS_TEST_BIN"

// Build returns a directory that holds the programs, with build tags if
// any are given: that of BinEnv where it fits, or a fresh one.
func Build(t testing.TB, tags ...string) string {
	t.Helper()
	if err := lookAtSources(Root(t)); err != nil {
		t.Fatal(err)
	}
	if bin := os.Getenv(BinEnv); bin != "" && len(tags) == 0 {
		return bin
	}
	dir := t.TempDir()
	if err := Compile(Root(t), dir, tags...); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lookAtSources opens every folder of the checkout. The go command notes what
// a test looks at, and so does not answer from its cache when the programs
// have changed, which the test does not import.
func lookAtSources(root string) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build") {
			return filepath.SkipDir
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		}
		return err
	})
}

// Compile compiles the programs of the checkout root into dir.
func Compile(root, dir string, tags ...string) error {
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", dir + "/"}
	if len(tags) > 0 {
		args = append(args, "-tags", strings.Join(tags, ","))
	}
	cmd := exec.Command("go", append(args, "./cmd/pfs-server", "./cmd/pfs", "./cmd/pfs-plugin-host")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Root returns the checkout's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the working directory")
	return ""
}

// Options say what cluster to start. The zero value is one node.
type Options struct {
	Nodes   int
	Bin     string                // from Build; empty builds
	Dir     func(node int) string // data directory of a node; nil: below the test's
	Args    []string              // further flags for every node
	Config  func(node int) string // YAML of a node, or ""; nil: none
	Env     []string              // further environment of every node
	NoReady bool                  // do not wait
	// Front returns the address that others dial in the place of the one that a
	// node listens on; nil: that one.
	Front func(node int, raft string) string
}

// Cluster is a set of nodes on loopback.
type Cluster struct {
	t     testing.TB
	Nodes []*Node
	Bin   string
}

// Node is one pfs-server process and where it lives.
type Node struct {
	t             testing.TB
	ID, URL, Raft string
	Peer          string // address that others dial
	Dir, Log      string
	bin           string
	args, env     []string
	mu            sync.Mutex
	cmd           *exec.Cmd
	exited        chan struct{}
}

// Start starts the nodes, waits until each is ready, and kills them when the
// test ends.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	o.Nodes = max(o.Nodes, 1)
	if o.Bin == "" {
		o.Bin = Build(t)
	}
	c := &Cluster{t: t, Bin: o.Bin}
	addrs := ports.Free(t, 2*o.Nodes)
	var join []string
	for i := range o.Nodes {
		join = append(join, addrs[2*i+1])
		if o.Front != nil {
			join[i] = o.Front(i, join[i])
		}
	}
	for i := range o.Nodes {
		dir := filepath.Join(t.TempDir(), "data")
		if o.Dir != nil {
			dir = o.Dir(i)
		}
		n := &Node{t: t, ID: fmt.Sprintf("n%d", i+1), URL: "http://" + addrs[2*i], Raft: addrs[2*i+1], Peer: join[i], Dir: dir, bin: o.Bin, env: o.Env}
		n.Log = filepath.Join(t.TempDir(), n.ID+".log")
		n.args = []string{"-addr", addrs[2*i], "-raft-addr", n.Raft, "-data-dir", dir, "-node-id", n.ID}
		if o.Front != nil {
			n.args = append(n.args, "-raft-advertise", join[i])
		}
		if o.Nodes > 1 {
			n.args = append(n.args, "-bootstrap-expect", fmt.Sprint(o.Nodes), "-join", strings.Join(join, ","))
		}
		if o.Config != nil {
			if y := o.Config(i); y != "" {
				file := filepath.Join(t.TempDir(), "config.yaml")
				if err := os.WriteFile(file, []byte(y), 0o600); err != nil {
					t.Fatal(err)
				}
				n.args = append(n.args, "-c", file)
			}
		}
		n.args = append(n.args, o.Args...)
		c.Nodes = append(c.Nodes, n)
	}
	t.Cleanup(func() { c.KillAll() })
	c.StartAll()
	if !o.NoReady {
		c.Ready()
	}
	return c
}

// Start starts the process if it does not run.
func (n *Node) Start() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		return
	}
	log, err := os.OpenFile(n.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(n.bin, "pfs-server"), n.args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), n.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmd, n.exited = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(done)
	}(n.exited)
}

// Signal sends a signal to the process, if it runs.
func (n *Node) Signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(s) // it may be gone already
	}
}

// Kill ends the process with SIGKILL and waits.
func (n *Node) Kill() { n.end(syscall.SIGKILL, time.Minute) }

// Stop ends the process with SIGTERM, waits, and returns its exit code.
func (n *Node) Stop() int { return n.end(syscall.SIGTERM, longer(20*time.Second)) }

func (n *Node) end(s syscall.Signal, within time.Duration) int {
	n.mu.Lock()
	cmd, exited := n.cmd, n.exited
	n.cmd = nil
	n.mu.Unlock()
	if cmd == nil {
		return 0
	}
	_ = cmd.Process.Signal(s) // it may be gone already
	select {
	case <-exited:
	case <-time.After(within):
		_ = cmd.Process.Kill()
		<-exited
		n.t.Errorf("%s did not end within %s of %s\n%s", n.ID, within, s, n.Tail())
	}
	return cmd.ProcessState.ExitCode()
}

// Revive starts the process again if it has ended by itself, as a supervisor
// would, and returns its exit code; false if it runs.
func (n *Node) Revive() (code int, ended bool) {
	if n.Alive() {
		return 0, false
	}
	code = n.end(syscall.SIGKILL, 10*time.Second) // it is gone: this reaps it
	n.Start()
	return code, true
}

// Alive reports whether the process still runs.
func (n *Node) Alive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// Pid returns the process id; 0 if it does not run.
func (n *Node) Pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return 0
	}
	return n.cmd.Process.Pid
}

// Tail returns the end of the node's log.
func (n *Node) Tail() string {
	b, _ := os.ReadFile(n.Log) // none is none
	return n.ID + ": " + string(b[max(0, len(b)-4000):])
}

// Ready waits until the node is ready, at most 2 minutes.
func (n *Node) Ready() {
	n.t.Helper()
	ok := Poll(2*time.Minute, func() bool {
		resp, err := http.Get(n.URL + "/api/v1/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if !ok {
		n.t.Fatalf("not ready after 2 minutes\n%s", n.Tail())
	}
}

// Client returns a client of this node alone, which does not retry.
func (n *Node) Client() *client.Client { return newClient(n.t, []string{n.URL}, -1) }

// StartAll starts every node that does not run.
func (c *Cluster) StartAll() {
	for _, n := range c.Nodes {
		n.Start()
	}
}

// KillAll ends every node with SIGKILL, all at once.
func (c *Cluster) KillAll() {
	var wg sync.WaitGroup
	for _, n := range c.Nodes {
		wg.Go(n.Kill)
	}
	wg.Wait()
}

// Ready waits until every node is ready.
func (c *Cluster) Ready() {
	c.t.Helper()
	for _, n := range c.Nodes {
		n.Ready()
	}
}

// Client returns a client of all nodes that retries, starting at node i.
func (c *Cluster) Client(i int) *client.Client {
	var urls []string
	for j := range c.Nodes {
		urls = append(urls, c.Nodes[(i+j)%len(c.Nodes)].URL)
	}
	return newClient(c.t, urls, 20)
}

func newClient(t testing.TB, urls []string, retries int) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URLs: urls, Retries: retries})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Leader returns the node that a live node names as the leader; nil if there
// is none within a minute.
func (c *Cluster) Leader() *Node {
	var found *Node
	Poll(time.Minute, func() bool {
		for _, n := range c.Nodes {
			if !n.Alive() {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			s, err := n.Client().Cluster(ctx)
			cancel()
			if err != nil {
				continue
			}
			for _, l := range c.Nodes {
				if l.ID == s.LeaderID && l.Alive() {
					found = l
					return true
				}
			}
		}
		return false
	})
	return found
}

// SameDigest waits until all nodes have applied the same index and fails
// unless their digests are equal; it returns index and digest.
func (c *Cluster) SameDigest() (uint64, string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longer(60*time.Second))
	defer cancel()
	var last string
	for ctx.Err() == nil {
		at := map[uint64]map[string]bool{}
		var index uint64
		var digest, own string
		for _, n := range c.Nodes {
			s, err := n.Client().Sums(ctx, index)
			if err != nil {
				last = n.ID + ": " + err.Error()
				time.Sleep(20 * time.Millisecond) // it may refuse at once
				continue
			}
			index, digest, own = s.Index, s.Digest, s.Own
			if at[index] == nil {
				at[index] = map[string]bool{}
			}
			at[index][n.ID+" "+own+" "+digest] = true
		}
		b, _ := json.Marshal(at) // for the message only
		last = string(b)
		if len(at[index]) == len(c.Nodes) {
			for k := range at[index] {
				if !strings.HasSuffix(k, own+" "+digest) {
					c.t.Fatalf("digests differ at index %d: %s", index, last)
				}
			}
			return index, digest
		}
	}
	c.t.Fatalf("the nodes did not settle at one index: %s", last)
	return 0, ""
}

// Run runs the pfs program with arguments against the cluster and returns
// stdout; it fails the test if the program fails.
func (c *Cluster) Run(stdin string, args ...string) string {
	c.t.Helper()
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	cmd := exec.Command(filepath.Join(c.Bin, "pfs"), args...)
	cmd.Env = append(os.Environ(), "PFS_URL="+strings.Join(urls, ","))
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("pfs %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// Output runs a program and returns what it prints, on stderr too.
func Output(program string, args ...string) (string, error) {
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

// longer is d, or three times d in CI, where many clusters share the processors.
func longer(d time.Duration) time.Duration {
	if os.Getenv("CI") != "" {
		d *= 3
	}
	return d
}

// Poll calls f every 20 ms until it is true, at most for d, or three times d in CI;
// it returns whether it became true.
func Poll(d time.Duration, f func() bool) bool {
	deadline := time.Now().Add(longer(d))
	for {
		if f() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
}
