package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// stall is how long a body or an answer may stand still.
const stall = 30 * time.Second

// long is the length of a file that takes a while to read, in bytes.
const long = 64 << 20

// TestSlowClients has clients that send and read slowly, and clients that
// stand still. The first are served as long as they move; the others are cut
// off, and hold nobody up.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	n := harness.Start(t, harness.Options{}).Nodes[0]
	w := newWeb(t, n)
	w.put("/memfs/small", "small")
	if _, err := n.Client().Write(t.Context(), "/memfs/long", random(1, long), long); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup // all at once, however many tests may run in parallel
	null, endless, reader := dialNode(t, n), dialNode(t, n), dialNode(t, n)
	stopped := standStill(t, n)
	wg.Go(func() { endlessWriter(t, null, "/dev/null") })
	wg.Go(func() { endlessWriter(t, endless, "/memfs/endless") })
	wg.Go(func() { slowReader(t, reader) })
	wg.Go(func() { stalledClients(w, t, stopped, 3) })
	wg.Wait()
	w.want(404, "GET", "/stat?path=/memfs/half", "")
	if peak := n.PeakRSS(); peak > 256<<20 {
		t.Errorf("the server held %d MiB at its peak", peak>>20)
	}
}

// gauge returns a number that the node shows.
func (w web) gauge(name string) int {
	w.t.Helper()
	for line := range strings.Lines(w.metrics()) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				w.t.Error(err)
			}
			return int(f)
		}
	}
	w.t.Errorf("no %s in the metrics", name)
	return 0
}

// dialNode opens a connection that ends with the test.
func dialNode(t *testing.T, n *harness.Node) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say writes text, however the other side takes it.
func say(t *testing.T, c net.Conn, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		t.Error(err)
	}
}

// every calls f at intervals until d has passed or f is false.
func every(interval, d time.Duration, f func() bool) bool {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		if !f() {
			return false
		}
	}
	return true
}

// endlessWriter sends a body in pieces, slowly, for longer than every limit.
func endlessWriter(t *testing.T, c net.Conn, path string) {
	say(t, c, "PUT /api/v1/files?path=%s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", path)
	piece := strings.Repeat("x", 1024)
	sent := 0
	every(250*time.Millisecond, time.Duration(rounds(40, 600))*time.Second, func() bool {
		_, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(piece), piece)
		if err != nil {
			t.Errorf("%s: cut off after %d bytes: %v", path, sent, err)
		}
		sent += len(piece)
		return err == nil
	})
	say(t, c, "0\r\n\r\n")
	status, body := answerOn(t, c)
	if want := fmt.Sprintf("Written %d bytes", sent); status != 200 || !strings.Contains(body, want) {
		t.Errorf("%s: status %d, expected %q: %s", path, status, want, body)
	}
}

// answerOn reads one answer.
func answerOn(t *testing.T, c net.Conn) (int, string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(stall + 30*time.Second)); err != nil {
		t.Error(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("the answer breaks off: %v", err)
	}
	return resp.StatusCode, string(b)
}

// slowReader reads a long file a little at a time, for longer than every
// limit, and is not cut off.
func slowReader(t *testing.T, c net.Conn) {
	// A small buffer of its own makes the server feel how fast it is read.
	if err := c.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Error(err)
	}
	say(t, c, "GET /api/v1/files?path=/memfs/long HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil)
	if err != nil {
		t.Errorf("slow reader: %v", err)
		return
	}
	want := random(1, long)
	part, expected := make([]byte, 4096), make([]byte, 4096)
	read := 0
	every(200*time.Millisecond, time.Duration(rounds(45, 600))*time.Second, func() bool {
		_, err := io.ReadFull(resp.Body, part)
		_, _ = io.ReadFull(want, expected) // as long as the file
		if err != nil || !slices.Equal(part, expected) {
			t.Errorf("after %d bytes: cut off, or other bytes (%v)", read, err)
			return false
		}
		read += len(part)
		return true
	})
}

// stalledClients makes small requests beside clients that stand still; all are
// answered, and the clients are cut off. Others are connected, too, and move.
func stalledClients(w web, t *testing.T, s still, others int) {
	latency := beside(w)
	slices.Sort(latency)
	t.Logf("beside 200 clients that stand still: %d small reads, p50 %v, p99 %v",
		len(latency), latency[len(latency)/2], latency[len(latency)*99/100])
	for i, c := range s.heads {
		if status, _ := answerOn(t, c); status != 408 {
			t.Errorf("half a header, %d: status %d, expected 408", i, status)
		}
	}
	for i, c := range s.bodies {
		if status, _ := answerOn(t, c); status != 408 {
			t.Errorf("half a body, %d: status %d, expected 408", i, status)
		}
	}
	// Two of those that made the small reads are kept open, and one asks this.
	cut := func() bool { return w.gauge("pfs_http_connections") <= others+3 }
	if !harness.Poll(stall, cut) {
		t.Errorf("%d connections are open long after they stood still", w.gauge("pfs_http_connections"))
	}
	for i, c := range s.readers {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute)) // without it a read would only wait longer
		got, err := io.Copy(io.Discard, c)
		var ne net.Error
		if got >= long || errors.As(err, &ne) && ne.Timeout() {
			t.Errorf("reader %d got %d bytes after standing still (%v)", i, got, err)
		}
	}
}

// still are connections that stopped within a header, within a body, and
// within an answer.
type still struct{ heads, bodies, readers []net.Conn }

// standStill opens 200 of them.
func standStill(t *testing.T, n *harness.Node) (s still) {
	for i := range 200 {
		c := dialNode(t, n)
		switch i % 4 {
		case 0, 1:
			say(t, c, "GET /api/v1/files?path=/memfs/small HTTP/1.1\r\nHost")
			s.heads = append(s.heads, c)
		case 2:
			say(t, c, "PUT /api/v1/files?path=/memfs/half HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf")
			s.bodies = append(s.bodies, c)
		case 3:
			say(t, c, "GET /api/v1/files?path=/memfs/long HTTP/1.1\r\nHost: x\r\n\r\n")
			s.readers = append(s.readers, c)
		}
	}
	return s
}

// beside makes small reads and returns how long each took.
func beside(w web) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				start := time.Now()
				w.reads("/memfs/small", "small")
				d := time.Since(start)
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took
}
