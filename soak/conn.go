//go:build linux

package soak

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// wire is a client's connection to one node. It sends each request once:
// net/http repeats some by itself, and a history that does not know of it would
// be wrong.
type wire struct {
	host string
	c    net.Conn
	r    *bufio.Reader
}

// errUnsent says that no byte of the request has left.
var errUnsent = errors.New("not sent")

// errLeft is the end of a request whose client has hung up on purpose.
var errLeft = errors.New("the client has left")

const dialTime = time.Second

func newWire(url string) *wire { return &wire{host: strings.TrimPrefix(url, "http://")} }

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request and reads the answer, within a time. With leave it hangs
// up once the request is sent. After an error the connection is made afresh.
func (w *wire) do(method, target, body string, header http.Header, within time.Duration, leave bool) (*reply, error) {
	if err := w.dial(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	re, err := w.exchange(method, target, body, header, within, leave)
	if err != nil {
		w.close()
	}
	return re, err
}

// dial connects, unless that was done and the node has not hung up since.
func (w *wire) dial() error {
	if w.c != nil {
		if err := w.c.SetReadDeadline(time.Now().Add(time.Microsecond)); err == nil {
			if _, err = w.r.Peek(1); errors.Is(err, io.EOF) {
				w.close()
			} else {
				w.r.Reset(w.c) // forgets the deadline that has passed
			}
		}
	}
	if w.c != nil {
		return nil
	}
	c, err := net.DialTimeout("tcp", w.host, dialTime)
	if err != nil {
		return err
	}
	w.c, w.r = c, bufio.NewReader(c)
	return nil
}

func (w *wire) exchange(method, target, body string, header http.Header, within time.Duration, leave bool) (*reply, error) {
	if err := w.c.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, "http://"+w.host+target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	if err := req.Write(w.c); err != nil {
		return nil, err
	}
	if leave {
		return nil, errLeft
	}
	resp, err := http.ReadResponse(w.r, req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.Close {
		w.close()
	}
	return &reply{resp.StatusCode, resp.Header, string(b)}, nil
}

func (w *wire) close() {
	if w.c != nil {
		_ = w.c.Close() // nothing more is expected of it
		w.c = nil
	}
}
