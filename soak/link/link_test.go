package link_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/soak/link"
	"github.com/pfs-project/pfs/test/ports"
)

// echo answers every stream with what it hears, and counts that.
func echo(t *testing.T) (address string, heard *atomic.Int64) {
	t.Helper()
	heard = &atomic.Int64{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, io.TeeReader(c, counter{heard}))
				c.Close()
			}()
		}
	}()
	return ln.Addr().String(), heard
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// open dials a proxy as the node from does.
func open(t *testing.T, address, from string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	say(t, c, greeting(from))
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hears reports whether exactly text comes within a time.
func hears(t *testing.T, c net.Conn, text string, within time.Duration) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	n, err := io.ReadFull(c, b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	if n > 0 && !bytes.Equal(b[:n], []byte(text[:n])) {
		t.Fatalf("heard %q, want %q", b[:n], text)
	}
	return n == len(text)
}

const (
	soon = 10 * time.Second
	mute = 200 * time.Millisecond
)

func start(t *testing.T) (n *link.Net, address string, heard *atomic.Int64) {
	t.Helper()
	n = link.New()
	t.Cleanup(n.Close)
	target, heard := echo(t)
	address, err := n.Front("b", target)
	if err != nil {
		t.Fatal(err)
	}
	return n, address, heard
}

func greeting(from string) string {
	g := `{"v":1,"from":"` + from + `","to":"b"}`
	return string(binary.BigEndian.AppendUint16([]byte{'C'}, uint16(len(g)))) + g
}

// greeted reads back the greeting of a stream that a made.
func greeted(t *testing.T, c net.Conn) {
	t.Helper()
	if !hears(t, c, greeting("a"), soon) {
		t.Fatal("no echo of the greeting")
	}
}

func TestWays(t *testing.T) {
	n, addr, heard := start(t)
	a, c := open(t, addr, "a"), open(t, addr, "c")
	if !hears(t, a, greeting("a"), soon) || !hears(t, c, greeting("c"), soon) {
		t.Fatal("no echo")
	}
	n.Set("a", "b", link.Rule{Cut: true})
	say(t, a, "one")
	say(t, c, "two")
	if hears(t, a, "one", mute) || !hears(t, c, "two", soon) {
		t.Fatal("only a's bytes are to be held back")
	}
	n.Heal()
	if !hears(t, a, "one", soon) {
		t.Fatal("what was held back does not come")
	}
	n.Set("b", "a", link.Rule{Cut: true})
	before := heard.Load()
	say(t, a, "three")
	if hears(t, a, "three", mute) {
		t.Fatal("the answer came on a way that is cut")
	}
	for end := time.Now().Add(soon); heard.Load() != before+5; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the question did not pass, but only the answer's way is cut")
		}
	}
	fresh := open(t, addr, "a")
	if hears(t, fresh, greeting("a"), mute) {
		t.Fatal("a new stream answers on a way that is cut")
	}
	n.Both("a", "b", link.Rule{})
	if !hears(t, a, "three", soon) || !hears(t, fresh, greeting("a"), soon) {
		t.Fatal("healed, and nothing comes")
	}
}

// TestEnds holds back the end of a stream as well: who is cut off must not
// learn that the other side is gone.
func TestEnds(t *testing.T) {
	n := link.New()
	t.Cleanup(n.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr, err := n.Front("b", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, addr, "a")
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	n.Both("a", "b", link.Rule{Cut: true})
	b.Close()
	if err := a.SetReadDeadline(time.Now().Add(mute)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the end came through a cut: %v", err)
	}
	n.Heal()
	if err := a.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the end did not come: %v", err)
	}
}

func TestReset(t *testing.T) {
	n, addr, _ := start(t)
	a := open(t, addr, "a")
	greeted(t, a)
	n.Set("b", "a", link.Rule{Reset: true})
	for _, c := range []net.Conn{a, open(t, addr, "a")} {
		if err := c.SetReadDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the stream goes on")
		}
	}
	n.Heal()
	greeted(t, open(t, addr, "a"))
}

func TestSlow(t *testing.T) {
	n, addr, _ := start(t)
	a := open(t, addr, "a")
	greeted(t, a)
	n.Set("a", "b", link.Rule{Delay: 150 * time.Millisecond})
	begun := time.Now()
	say(t, a, "x")
	if !hears(t, a, "x", soon) || time.Since(begun) < 150*time.Millisecond {
		t.Fatalf("came after %v", time.Since(begun))
	}
	n.Set("a", "b", link.Rule{Rate: 10_000})
	begun = time.Now()
	text := strings.Repeat("y", 2000)
	say(t, a, text)
	if !hears(t, a, text, soon) || time.Since(begun) < 200*time.Millisecond {
		t.Fatalf("came after %v", time.Since(begun))
	}
}

// TestGone refuses streams to a node that is not there, and does not tell one
// that is cut off.
func TestGone(t *testing.T) {
	n := link.New()
	t.Cleanup(n.Close)
	addr, err := n.Front("b", ports.Free(t, 1)[0]) // where nobody else comes to listen
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []bool{false, true} {
		n.Set("b", "a", link.Rule{Cut: cut})
		a := open(t, addr, "a")
		within := soon
		if cut {
			within = mute
		}
		if err := a.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, a); errors.Is(err, os.ErrDeadlineExceeded) != cut {
			t.Fatalf("cut %v: %v", cut, err)
		}
	}
}
