package prochost

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	maxShort   = 64 << 10 // bytes of a body that a socket takes before it is read
	wireBuffer = 16 << 10 // bytes of a request that are sent at once: its head, and a short body
	mostIdle   = 16       // connections that are kept
	mostBefore = 5        // answers with 1xx before the one that counts
)

// wire is a connection on which one goroutine writes a request and reads the answer:
// http.Transport has two more for each, to hand it to which is most of what a short
// call costs.
type wire struct {
	net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	left int64 // bytes that are read of it at most, now
}

// Read reads an answer, as far as it is wanted: of a head, only what one may have.
func (w *wire) Read(b []byte) (int, error) {
	if w.left <= 0 {
		return 0, errLongHead
	}
	n, err := w.Conn.Read(b[:min(int64(len(b)), w.left)])
	w.left -= int64(n)
	return n, err
}

var errLongHead = errors.New("the head of its answer is too long")

// wires are the connections with one process. Safe for concurrent use.
type wires struct {
	dial func(context.Context) (net.Conn, error)
	mu   sync.Mutex
	idle []*wire
	over bool
}

// get returns a connection; old: it was used before.
func (s *wires) get(ctx context.Context) (w *wire, old bool, err error) {
	for {
		s.mu.Lock()
		n := len(s.idle)
		if n > 0 {
			w = s.idle[n-1]
			s.idle = slices.Delete(s.idle, n-1, n)
		}
		s.mu.Unlock()
		if n == 0 {
			break
		}
		if w.r.Buffered() == 0 && silent(w.Conn) {
			return w, true, nil
		}
		w.Close() // the other side has closed it, or says what nobody has asked
	}
	c, err := s.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	w = &wire{Conn: c, w: bufio.NewWriterSize(c, wireBuffer)}
	w.r = bufio.NewReader(w)
	return w, false, nil
}

// put keeps a connection for the next request.
func (s *wires) put(w *wire) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || len(s.idle) >= mostIdle {
		w.Close()
		return
	}
	s.idle = append(s.idle, w)
}

// close closes what is kept, and what is put back later.
func (s *wires) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.idle {
		w.Close()
	}
	s.idle, s.over = nil, true
}

// short makes a request whose body is maxShort bytes at most, so that it is sent
// whatever the other side does first, and returns up to most+1 bytes of the answer. One
// that changes nothing is made again if a connection that was kept turns out to be
// closed.
func (s *wires) short(req *http.Request, most func(status int) int64, change bool) (status int, body []byte, err error) {
	for {
		w, old, err := s.get(req.Context())
		if err != nil {
			return 0, nil, err
		}
		status, body, err = s.ask(w, req, most)
		if errors.Is(err, errNoAnswer) && old && !change && req.Context().Err() == nil {
			if req.Body, err = req.GetBody(); err == nil {
				continue
			}
		}
		return status, body, err
	}
}

// errNoAnswer is a connection that ends without a byte of an answer.
var errNoAnswer = errors.New("the plugin has closed the connection")

// ask makes a request on a connection, which is kept if it can be used again.
func (s *wires) ask(w *wire, req *http.Request, most func(status int) int64) (status int, body []byte, err error) {
	stop := context.AfterFunc(req.Context(), func() { _ = w.SetDeadline(time.Unix(1, 0)) }) // ends what waits for it
	again := false
	defer func() {
		if stop() && again {
			s.put(w)
		} else {
			w.Close()
		}
	}()
	werr := req.Write(w.w)
	if werr == nil {
		werr = w.w.Flush()
	}
	w.left = maxHeader
	if _, err := w.r.Peek(1); err != nil {
		return 0, nil, errors.Join(errNoAnswer, werr, err)
	}
	resp, err := head(w, req)
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		w.left = 0 // Close would read what is left of it, which may have no end
		resp.Body.Close()
	}()
	limit := most(resp.StatusCode)
	w.left = math.MaxInt64 // of the body, limit is read
	body, err = upTo(resp, limit)
	again = werr == nil && err == nil && int64(len(body)) <= limit && !resp.Close && resp.StatusCode >= 200
	return resp.StatusCode, body, err
}

// head reads the head of the answer that counts.
func head(w *wire, req *http.Request) (*http.Response, error) {
	for range mostBefore {
		resp, err := http.ReadResponse(w.r, req)
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, errors.New("it only says that it goes on")
}

// upTo reads the body of an answer, at most one byte more than limit.
func upTo(resp *http.Response, limit int64) ([]byte, error) {
	if n := resp.ContentLength; n >= 0 && n <= limit {
		b := make([]byte, n)
		_, err := io.ReadFull(resp.Body, b)
		return b, err
	}
	return io.ReadAll(io.LimitReader(resp.Body, limit+1))
}
