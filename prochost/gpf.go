package prochost

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

const (
	maxAddress   = 4 << 10     // bytes of the line that says where a program listens
	maxReply     = 16 << 20    // bytes of a body that is not asked for in another length
	maxHeader    = 64 << 10    // bytes
	mostSilent   = 8           // calls in a row without an answer
	shutdownTime = time.Second // for POST /shutdown
	idleTime     = time.Hour   // after which a program ends that has lost us
	socketDir    = "/tmp"      // not TMPDIR: that is how it is published
	socketEnd    = "-plugin.socket"
	lockEnd      = ".lock" // of the name of the lock beside it
	idLead       = "pfs-"  // of the ids that we give out, before our process id
)

// gpf is a process that listens for HTTP.
type gpf struct {
	child  *supervise.Child
	client *http.Client
	wires  wires  // for what is short
	site   string // the URL without a path
	socket string // "": it is a TCP port
	call   time.Duration

	silent atomic.Int32
	end    sync.Once
	mu     sync.Mutex
	asked  bool
	err    error
}

// startConfig is what --config says. The fields are those that programs read, which
// is not all that is written about them.
type startConfig struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Idle    any          `json:"idleTimeout"` // nanoseconds; written about as a duration in words
	Configs []typeConfig `json:"configTypes,omitempty"`
}

type typeConfig struct {
	Type string `json:"type"`
	Data any    `json:"data"` // base64; written about as JSON
}

// pluginID returns an id that no process had before: a socket that another one has
// left behind does not stand in the way.
func pluginID(name string) string {
	short := nameOf(name)
	short = short[:min(len(short), 24)]
	return fmt.Sprintf("%s%d-%s-%s", idLead, os.Getpid(), strings.ReplaceAll(short, ".", "-"), strings.ToLower(rand.Text()[:12]))
}

// newGPF starts a program: as programs read the configuration, and, if it does not
// start so, as it is written about.
func newGPF(ctx context.Context, c supervise.Command, o offer, settings map[string]any, call time.Duration) (*gpf, error) {
	config := startConfig{ID: pluginID(o.name), Type: "unix", Idle: int64(idleTime)}
	var text []byte
	if len(settings) > 0 {
		var err error
		if text, err = json.Marshal(settings); err != nil {
			return nil, vfs.Invalid.With(err.Error())
		}
		name := o.name
		if len(o.configs) > 0 {
			name = o.configs[0]
		}
		config.Configs = []typeConfig{{name, base64.StdEncoding.EncodeToString(text)}}
	}
	g, err := listening(ctx, c, config, call)
	if err == nil || !errors.Is(err, errNoAddress) || ctx.Err() != nil {
		return g, err
	}
	config.Idle = idleTime.String()
	if len(config.Configs) > 0 {
		config.Configs[0].Data = json.RawMessage(text)
	}
	if g, other := listening(ctx, c, config, call); other == nil {
		return g, nil
	}
	return nil, err
}

// errNoAddress is a program that ends without saying where it listens.
var errNoAddress = errors.New("the plugin does not say where it listens")

// listening starts a program and waits until it is healthy.
func listening(ctx context.Context, c supervise.Command, config startConfig, call time.Duration) (*gpf, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	c.Args = []string{"--config", string(text)}
	child, err := supervise.Start(c)
	if err != nil {
		return nil, vfs.Invalid.With(err.Error())
	}
	g := &gpf{child: child, call: call, socket: socketDir + "/" + config.ID + socketEnd}
	child.In.Close()
	if err = g.connect(ctx, c.Network); err == nil {
		err = g.healthy(ctx)
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// connect reads where the program listens.
func (g *gpf) connect(ctx context.Context, network bool) error {
	if at, ok := ctx.Deadline(); ok {
		_ = g.child.Out.SetReadDeadline(at) // a pipe takes deadlines
	}
	line, err := bufio.NewReaderSize(io.LimitReader(g.child.Out, maxAddress), maxAddress).ReadString('\n')
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return vfs.Timeout.With(errNoAddress.Error())
		}
		now, cancel := context.WithCancel(ctx)
		cancel()
		g.child.End(now) // one in the hands of the system is not waited for without an end
		return fmt.Errorf("%w: %w", vfs.Invalid.With(g.child.Report()), errNoAddress)
	}
	_ = g.child.Out.SetReadDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, g.child.Out) }() // ends with the pipe
	how, where, err := address(strings.TrimSpace(line))
	switch {
	case err != nil:
		return err
	case how == "tcp" && !network:
		return vfs.Invalid.With("the plugin listens on a TCP port, and is not granted the network")
	}
	g.site = "http://plugin"
	if how == "tcp" {
		g.socket, g.site = "", "http://"+where
	}
	g.wires.dial = func(ctx context.Context) (net.Conn, error) { return g.dial(ctx, how, where) }
	g.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return g.wires.dial(ctx) },
			MaxIdleConnsPerHost: 16, MaxConnsPerHost: 32, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// address reads the line: a socket, or a port without a scheme on all addresses,
// of which we only ever use the one of this machine.
func address(line string) (network, where string, err error) {
	rest, unix := line, false
	for _, scheme := range []string{"http+unix://", "unix://", "http://"} {
		if after, ok := strings.CutPrefix(line, scheme); ok {
			rest, unix = after, scheme != "http://"
			break
		}
	}
	if unix || strings.HasPrefix(rest, "/") {
		if !strings.HasPrefix(rest, "/") || len(rest) > 107 || strings.Contains(rest, "\x00") {
			return "", "", vfs.Invalid.Withf("the plugin listens on %.120q: that is no path of a socket", rest)
		}
		return "unix", rest, nil
	}
	host, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	if err != nil {
		return "", "", vfs.Invalid.Withf("the plugin's first line is %.120q: not where it listens", line)
	}
	if ip := net.ParseIP(host); host != "" && host != "localhost" && (ip == nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
		return "", "", vfs.Permission.Withf("the plugin listens on %.120q: not on this machine", host)
	}
	return "tcp", net.JoinHostPort("127.0.0.1", port), nil
}

// dial connects with the process that we have started, and with no other that
// listens at its place.
func (g *gpf) dial(ctx context.Context, network, where string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, where)
	for errors.Is(err, syscall.EAGAIN) { // more connections at once than it has accepted
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
			c, err = d.DialContext(ctx, network, where)
		}
	}
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UnixConn); ok {
		pid, err := peer(u)
		if err != nil || pid != g.child.Pid() {
			return nil, errors.Join(vfs.Crashed.Withf("process %d listens at %s, not the plugin", pid, where), err, c.Close())
		}
	}
	return c, nil
}

// healthy asks until the program is healthy.
func (g *gpf) healthy(ctx context.Context) error {
	for {
		err := g.Probe(ctx)
		if err == nil || vfs.KindOf(err) == vfs.Crashed { // somebody else is there
			return err
		}
		select {
		case <-g.child.Done():
			return vfs.Crashed.With(g.child.Report())
		case <-ctx.Done():
			return vfs.Timeout.Withf("the plugin is not healthy: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Done is closed once the process has ended.
func (g *gpf) Done() <-chan struct{} { return g.child.Done() }

// Err says why it has ended. How it exits tells nothing: programs of the framework
// exit with 1 when they are asked to.
func (g *gpf) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.asked:
		return nil
	case g.err != nil:
		return g.err
	}
	return vfs.Crashed.With(g.child.Report())
}

// Probe asks for its health.
func (g *gpf) Probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.site+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxHeader)) // to use the connection again
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz answers %s", resp.Status)
	}
	return nil
}

// Close asks the process to end, and ends it. What it leaves behind is removed: it
// does not do that itself.
func (g *gpf) Close() {
	g.end.Do(func() {
		g.mu.Lock()
		g.asked = true
		g.mu.Unlock()
		grace := time.Duration(0)
		if g.client != nil {
			ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
			if req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.site+"/shutdown", nil); err == nil {
				if resp, err := g.client.Do(req); err == nil { // most close without an answer
					resp.Body.Close()
				}
			}
			cancel()
			grace = closeTime
		}
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		g.child.End(ctx)
		if g.client != nil {
			g.client.CloseIdleConnections()
			g.wires.close()
		}
		if g.socket != "" {
			_ = os.Remove(g.socket) // it may not be there
			_ = os.Remove(g.socket + lockEnd)
		}
	})
}

// fail gives the process up.
func (g *gpf) fail(err error) {
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	g.mu.Unlock()
	g.child.Kill()
}

// request is one question to a program.
type request struct {
	method, path string
	query        url.Values
	body         []byte
	file         io.ReadSeeker // the body, instead, from its beginning
	kind         string        // of the body
	most         int64         // bytes of the answer; 0: maxReply
	change       bool          // it is sent to its end, whatever the client does
}

// ask makes one request and returns the body of the answer.
func (g *gpf) ask(ctx context.Context, r request) ([]byte, error) {
	if r.change {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, g.call)
	defer cancel()
	to := g.site + r.path
	if len(r.query) > 0 {
		to += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, to, bytes.NewReader(r.body))
	if err == nil && r.file != nil {
		err = streamed(req, r.file)
	}
	if err != nil {
		return nil, err
	}
	if r.kind == "" {
		r.kind = "application/json"
	}
	req.Header.Set("Content-Type", r.kind)
	req.Header.Set("Accept", "application/json")
	if at, ok := ctx.Deadline(); ok {
		req.Header.Set("X-Deadline-Ms", fmt.Sprint(max(1, time.Until(at).Milliseconds())))
	}
	most := func(status int) int64 {
		switch {
		case status/100 != 2:
			return maxErrorBody
		case r.most == 0:
			return maxReply
		}
		return r.most
	}
	do := g.long
	if r.file == nil && len(r.body) <= maxShort {
		do = func(req *http.Request, most func(int) int64) (int, []byte, error) {
			return g.wires.short(req, most, r.change)
		}
	}
	status, b, err := do(req, most)
	if err != nil {
		return nil, g.broken(ctx, err)
	}
	g.silent.Store(0)
	switch limit := most(status); {
	case status/100 != 2:
		return nil, statusError(status, b[:min(len(b), maxErrorBody)])
	case int64(len(b)) > limit:
		return nil, vfs.Crashed.Withf("the plugin is wrong: %s answers more than %d bytes", r.path, limit)
	}
	return b, nil
}

// long makes a request with a body of any length: the answer may come before its end.
func (g *gpf) long(req *http.Request, most func(status int) int64) (status int, body []byte, err error) {
	resp, err := g.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = upTo(resp, most(resp.StatusCode))
	return resp.StatusCode, body, err
}

// streamed makes a file the body of a request.
func streamed(req *http.Request, file io.ReadSeeker) (err error) {
	if req.ContentLength, err = file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if req.ContentLength == 0 {
		return nil // as it is
	}
	req.GetBody = func() (io.ReadCloser, error) { // again, on a connection that turns out to be closed
		_, err := file.Seek(0, io.SeekStart)
		return io.NopCloser(file), err
	}
	req.Body, err = req.GetBody()
	return err
}

// broken says what it means that a request has no answer.
func (g *gpf) broken(ctx context.Context, err error) error {
	var k vfs.Kind
	switch {
	case errors.As(err, &k):
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		if g.silent.Add(1) >= mostSilent {
			g.fail(errLate)
		}
		return vfs.Timeout.With("the plugin did not answer in time")
	case ctx.Err() != nil:
		return ctx.Err()
	}
	select {
	case <-g.child.Done():
		return vfs.Crashed.With(g.child.Report())
	case <-time.After(settleTime):
	}
	return vfs.Crashed.Withf("the plugin does not answer as a server does: %v", err)
}

const (
	maxErrorBody = 4 << 10
	settleTime   = 100 * time.Millisecond
)

// statuses are what plugins mean with a status.
var statuses = map[int]vfs.Kind{
	400: vfs.Invalid, 403: vfs.Permission, 404: vfs.NotFound, 405: vfs.Unsupported, 409: vfs.Exists, 410: vfs.Stale, 413: vfs.TooLarge,
	423: vfs.Locked, 429: vfs.Throttled, 501: vfs.Unsupported, 503: vfs.Unavailable, 504: vfs.Timeout, 507: vfs.NoSpace,
}

// codes are what plugins of our own contract say more exactly.
var codes = map[string]vfs.Kind{
	"not_found": vfs.NotFound, "exists": vfs.Exists, "not_dir": vfs.NotDirectory, "is_dir": vfs.IsDirectory, "not_empty": vfs.NotEmpty,
	"permission": vfs.Permission, "read_only": vfs.Permission, "invalid": vfs.Invalid, "unsupported": vfs.Unsupported, "too_large": vfs.TooLarge,
	"no_space": vfs.NoSpace, "stale_handle": vfs.Stale, "busy": vfs.Throttled, "timeout": vfs.Timeout, "unavailable": vfs.Unavailable,
}

// statusError is the error that a plugin means: JSON, or a text.
func statusError(status int, body []byte) error {
	kind, ok := statuses[status]
	if !ok {
		kind = vfs.Internal
	}
	var said struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	text := string(body)
	if json.Unmarshal(body, &said) == nil && (said.Message != "" || said.Code != "") {
		text = said.Message
		if k, ok := codes[said.Code]; ok {
			kind = k
		}
	}
	text = clip(strings.TrimSpace(text), maxErrorText)
	if text == "" || strings.EqualFold(text, kind.Error()) {
		return kind
	}
	return kind.With(text)
}
