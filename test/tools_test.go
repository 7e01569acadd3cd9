package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/client"
)

// soak reports whether the long form was asked for.
func soak() bool { return os.Getenv("PFS_SOAK") != "" }

// rounds returns short, or long in the long form.
func rounds(short, long int) int {
	if soak() {
		return long
	}
	return short
}

// randomReader gives n pseudo-random bytes, the same for the same seed; it can
// be read again.
type randomReader struct {
	seed   uint64
	n, off int64
	src    io.Reader
}

func random(seed uint64, n int64) *randomReader {
	r := &randomReader{seed: seed, n: n}
	r.rewind()
	return r
}

func (r *randomReader) rewind() {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%032d", r.seed))
	r.off, r.src = 0, io.LimitReader(rand.NewChaCha8(key), r.n)
}

func (r *randomReader) Read(b []byte) (int, error) {
	n, err := r.src.Read(b)
	r.off += int64(n)
	return n, err
}

// Seek goes back to the start, which is all that a repeated request needs.
func (r *randomReader) Seek(off int64, whence int) (int64, error) {
	if off != 0 || whence != io.SeekStart {
		return 0, fmt.Errorf("seek to %d from %d: only the start", off, whence)
	}
	r.rewind()
	return 0, nil
}

// idleConnections opens n connections that have each made one request.
func idleConnections(t *testing.T, url string, n int) []net.Conn {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	var conns []net.Conn
	for i := range n {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, c)
		if _, err := fmt.Fprintf(c, "GET /api/v1/version HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(c, 1024), nil)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the answer itself is of no interest
		resp.Body.Close()
	}
	return conns
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// putFile writes a small file and fails the test if that fails.
func putFile(t *testing.T, c *client.Client, path, content string) {
	t.Helper()
	if _, err := c.WriteFile(context.Background(), path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}
