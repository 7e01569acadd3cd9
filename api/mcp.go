package api

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// maxToolAnswer is how many bytes one answer to an agent may have.
const maxToolAnswer = 8 << 20

// tools hands a request of the Model Context Protocol to what serves it. Its body
// and the answer are small, and are held whole.
func (c *call) tools() error {
	if c.s.cfg.MCP == nil {
		return c.unknownRoute()
	}
	b, err := c.all()
	if err != nil {
		return err
	}
	if b := bytes.TrimLeft(b, " \t\r\n"); len(b) > 0 && b[0] == '[' {
		return vfs.Invalid.With("batches are no part of the protocol: send one message a request")
	}
	seat, err := c.s.newSeat()
	if err != nil {
		return err
	}
	defer seat.leave()
	ctx, cancel := context.WithCancel(context.WithValue(c.context(), http.LocalAddrContextKey, c.fc.LocalAddr()))
	defer cancel()
	left, stop := c.left()
	defer stop()
	done := make(chan struct{})
	defer close(done)
	go func() { // what is asked for a client that leaves ends
		select {
		case <-left:
		case <-c.s.waits.over:
		case <-done:
		}
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, c.method(), c.route.path, bytes.NewReader(b))
	if err != nil {
		return vfs.Invalid.With(err.Error())
	}
	req.Host = string(c.fc.Host())
	for name, value := range c.fc.Request.Header.All() {
		req.Header.Add(string(name), string(value))
	}
	w := answer{call: c, seat: seat, header: http.Header{}, status: http.StatusOK}
	since := time.Now()
	c.s.cfg.MCP.ServeHTTP(&w, req)
	c.waited += time.Since(since) // what it asks of the node is counted and told by itself
	return w.send()
}

// answer is an http.ResponseWriter that keeps what is written.
type answer struct {
	*call
	*seat
	header http.Header
	status int
	body   []byte
	err    error
}

// Header returns the header to be sent.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sets the status.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write keeps p, as long as there is room for it.
func (a *answer) Write(p []byte) (int, error) {
	if a.err == nil && len(a.body)+len(p) > maxToolAnswer {
		a.err = vfs.Internal.With("answer of a tool is too long")
	}
	if a.err == nil {
		a.err = a.hold(len(p))
	}
	if a.err != nil {
		return 0, a.err
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

// send answers; a refusal in plain words becomes one of ours.
func (a *answer) send() error {
	if a.err != nil {
		return a.err
	}
	for name, values := range a.header {
		a.set(name, strings.Join(values, ", "))
	}
	if a.status >= 400 && strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		code := codes[a.status]
		if code == "" {
			code = vfs.Invalid.Code()
		}
		if a.status == http.StatusForbidden {
			code = vfs.Permission.Code()
		}
		a.problem(a.status, problem{Error: strings.TrimSpace(string(a.body)), Code: code})
		return nil
	}
	a.fc.SetStatusCode(a.status)
	a.fc.Response.SetBodyRaw(a.body)
	return nil
}
