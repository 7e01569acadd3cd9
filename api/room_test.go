package api_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/vfs"
)

// A small answer lies in a buffer that is used again once it is sent. Here each
// write to a client first overwrites what has been given back: an answer whose
// buffer was among it would arrive spoilt.
func TestAnswersKeepTheirBufferUntilSent(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{memfs.Plugin()}, Mounts: map[string]string{"/m": "memfs"}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.API.Serve(spoiling{ln}) }() // ends with the server, below
	t.Cleanup(func() {
		ln.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	url := "http://" + ln.Addr().String() + "/api/v1/files?path=/m/f"
	for _, size := range []int{0, 1, 5 << 10, 32 << 10, 32<<10 + 1, 12 << 10} {
		want := strings.Repeat("pfs.", size/4+1)[:size]
		exchange(t, "PUT", url, want)
		for range 20 { // the race detector has pools forget now and then
			if got := exchange(t, "GET", url, ""); got != want {
				t.Fatalf("a file of %d bytes comes as %d others", size, len(got))
			}
		}
	}
}

func exchange(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", method, resp.Status, err)
	}
	return string(b)
}

type spoiling struct{ net.Listener }

func (l spoiling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return spoilingConn{c}, nil
}

type spoilingConn struct{ net.Conn }

// Write runs in the goroutine that has made the answer, where a pool gives first
// what came back last.
func (c spoilingConn) Write(b []byte) (int, error) {
	var all []*fasthttp.Response
	for range 8 {
		r := fasthttp.AcquireResponse()
		old := r.SwapBody(nil)
		copy(old[:cap(old)], bytes.Repeat([]byte{0xdb}, cap(old)))
		r.SwapBody(old[:0])
		all = append(all, r)
	}
	for _, r := range all {
		fasthttp.ReleaseResponse(r) // its buffer goes back as well
	}
	return c.Conn.Write(b)
}
