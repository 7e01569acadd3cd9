package cluster

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/trace"
)

// Every call has a name in logs and metrics.
func TestCallNames(t *testing.T) {
	for method := range (&Node{}).handlers() {
		if name := callName(method); strings.HasPrefix(name, "call") {
			t.Errorf("call %d has no name", method)
		}
	}
	if callName(200) != "call 200" {
		t.Errorf("an unknown call is %q", callName(200))
	}
}

// The id of a client's request goes through a frame, and a bad one is refused.
func TestFrameCarriesTheRequest(t *testing.T) {
	for _, id := range []string{"", "a", strings.Repeat("x", trace.MaxID)} {
		here, there := net.Pipe()
		go func() {
			w := bufio.NewWriter(here)
			_ = writeFrame(here, w, &frame{id: 7, code: callPropose, request: id, payload: [][]byte{[]byte("pay"), []byte("load")}})
			_ = w.Flush() // what is missing, the reader misses
		}()
		r := bufio.NewReader(there)
		f, n, err := readHead(there, r)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		payload, err := f.follow(b)
		if err != nil || f.code != callPropose || f.id != 7 || f.request != id || !bytes.Equal(payload, []byte("payload")) {
			t.Errorf("%q came as %+v with %q, %v", id, f, payload, err)
		}
		here.Close()
		there.Close()
	}
	for _, bad := range []string{"", "\x00", "\x05abc", "\x03a\nb", "\xff" + strings.Repeat("x", 255)} {
		f := frame{code: callPropose | traced}
		if _, err := f.follow([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
