package apitest

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// Config says what a Server serves. Node and Env of API are filled in.
type Config struct {
	API     api.Config
	Plugins []vfs.Plugin
	Mounts  map[string]string // path → type, mounted from the start
	Level   bool              // at the newest feature level, not at none
}

// Server is a running API over a Node in memory. It ends with its test.
type Server struct {
	Node *Node
	API  *api.Server
	URL  string // http://127.0.0.1:port
	Addr string

	docs    map[string]string // by type
	faultMu sync.Mutex
	faults  []error
}

// StartUsual starts a Server with the mounts that tests of its clients take: /memfs,
// /kvfs, /queuefs and /dev.
func StartUsual(t testing.TB) *Server {
	t.Helper()
	return Start(t, Config{Plugins: plugins.Builtin(nil),
		Mounts: map[string]string{"/memfs": "memfs", "/kvfs": "kvfs", "/queuefs": "queuefs", "/dev": "devfs"}})
}

// Start starts a Server; its test fails if the state machine does.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	st, err := store.Open("state", store.Options{FS: pebblevfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{docs: map[string]string{}, Node: &Node{chunks: map[[32]byte][]byte{}, number: 1}}
	all := vfs.Env{Chunks: s.Node, Node: "test", Version: c.API.Version, Log: c.API.Log}
	env := func(vfs.Mounted) vfs.Env { return all }
	secrets := &secret.Box{}
	secrets.SetKey(secret.NewKey())
	s.Node.Machine, err = fsm.Open(fsm.Options{Store: st, Plugins: c.Plugins, Secrets: secrets,
		Env: env, Fatal: s.fault})
	if err != nil {
		t.Fatal(err)
	}
	c.API.Node, c.API.Env, c.API.Plugins, c.API.Secrets = s.Node, env, c.Plugins, secrets
	if c.API.Fatal == nil {
		c.API.Fatal = s.fault
	}
	for _, p := range c.Plugins {
		s.docs[p.Type] = p.Doc
	}
	s.API = api.New(c.API)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = ln.Addr().String()
	s.URL = "http://" + s.Addr
	served := make(chan error, 1)
	go func() { served <- s.API.Serve(ln) }()
	t.Cleanup(func() { s.end(t, served) })
	if c.Level {
		op := vfs.Op{Verb: vfs.Begin, Path: vfs.Root, Data: fsm.EncodeBegin(fsm.BeginSpec{Cluster: "test", Level: fsm.Level})}
		if out, err := s.Node.Propose(t.Context(), vfs.Request{Ops: []vfs.Op{op}}); err != nil || out.Err != nil {
			t.Fatalf("feature level: %v %v", err, out.Err)
		}
	}
	for path, kind := range c.Mounts {
		s.Mount(t, path, kind, nil)
	}
	return s
}

func (s *Server) end(t testing.TB, served chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.API.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if err := s.Node.Machine.Close(); err != nil {
		t.Errorf("close state: %v", err)
	}
	for _, err := range s.Faults() {
		t.Errorf("fault: %v", err)
	}
}

func (s *Server) fault(err error) {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	s.faults = append(s.faults, err)
}

// Faults returns and forgets what would have ended the node.
func (s *Server) Faults() []error {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	f := s.faults
	s.faults = nil
	return f
}

// Mount mounts a plugin past the API.
func (s *Server) Mount(t testing.TB, path, kind string, config vfs.Config) {
	t.Helper()
	p, err := vfs.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Node.Propose(t.Context(), vfs.Request{Ops: []vfs.Op{{Verb: vfs.Mount, Path: p,
		Data: fsm.EncodeMount(fsm.MountSpec{Type: kind, Config: config, Doc: s.docs[kind]})}}})
	if err == nil {
		err = out.Err
	}
	if err != nil {
		t.Fatalf("mount %s at %s: %v", kind, path, err)
	}
}

// Digest returns the hash of the replicated state.
func (s *Server) Digest(t testing.TB) string {
	t.Helper()
	d, err := s.Node.Machine.Sums(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(d.State[:])
}

// Answer is an answer of the API with its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request; target is what follows the host. header is pairs of name
// and value.
func (s *Server) Do(t testing.TB, method, target, body string, header ...string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, target, err)
	}
	return Answer{resp.StatusCode, resp.Header, string(b)}
}

// Raw sends bytes as they are, with end also the end of them, and returns all
// that comes back until the server closes or wait has passed without a byte.
func (s *Server) Raw(t testing.TB, wait time.Duration, end bool, parts ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			break // refused already: the answer tells why
		}
	}
	if tc, ok := c.(*net.TCPConn); ok && end {
		if err := tc.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	r := bufio.NewReader(c)
	for {
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		b, err := r.ReadByte()
		if err != nil {
			return out.String()
		}
		out.WriteByte(b)
	}
}
