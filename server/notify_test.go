package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listener is a socket that a node tells how it is.
type listener struct{ heard chan string }

func newListener(t *testing.T, watchdog string) (*listener, func(string) string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &listener{make(chan string, 10_000)}
	go func() { // ends when c is closed
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.heard <- string(b[:n])
		}
	}()
	t.Cleanup(func() { c.Close() })
	env := map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": watchdog, "WATCHDOG_PID": "7"}
	return m, func(key string) string { return env[key] }
}

// next returns what was heard up to the message that is wanted.
func (m *listener) next(t *testing.T, want string) (before []string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case s := <-m.heard:
			if s == want {
				return before
			}
			before = append(before, s)
		case <-late:
			t.Fatalf("%q was not said, but %q", want, before)
		}
	}
}

// A node asks for time while it is not ready, says once that it is, gives signs
// of life as long as it lives, and says that it stops.
func TestSupervisorHearsHowTheNodeIs(t *testing.T) {
	m, env := newListener(t, "150000")
	var ready, dead atomic.Bool
	failing := func(b *atomic.Bool, is bool, text string) func() error {
		return func() error {
			if b.Load() == is {
				return errors.New(text)
			}
			return nil
		}
	}
	s := findSupervisor(env, 7, slog.New(slog.DiscardHandler))
	s.every = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.follow(ctx, failing(&dead, true, "stands still"), failing(&ready, false, "no leader"))
	}()
	m.next(t, "EXTEND_TIMEOUT_USEC=30000000")
	m.next(t, "STATUS=not ready: no leader")
	ready.Store(true)
	for _, s := range m.next(t, "READY=1") {
		if strings.HasPrefix(s, "READY") {
			t.Errorf("heard %q", s)
		}
	}
	m.next(t, "STATUS=ready")
	m.next(t, "WATCHDOG=1")
	m.next(t, "WATCHDOG=1")
	ready.Store(false) // a lost quorum is no reason to end it
	m.next(t, "STATUS=not ready: no leader")
	m.next(t, "WATCHDOG=1")
	dead.Store(true)
	m.next(t, "STATUS=stands still")
	time.AfterFunc(3*s.watchdog, cancel)
	<-done
	s.stopping()
	if said := m.next(t, "STOPPING=1\nSTATUS=stopping"); len(said) != 0 {
		t.Errorf("a node that is not alive said %q", said)
	}
}

func TestSupervisorIsFound(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	if s := findSupervisor(none, 7, log); s.conn != nil {
		t.Error("there is one without NOTIFY_SOCKET")
	}
	_, env := newListener(t, "3000000")
	if s := findSupervisor(env, 8, log); s.conn == nil || s.watchdog != 0 {
		t.Errorf("the watchdog of another process counts: %v", s.watchdog)
	}
	_, env = newListener(t, "")
	if s := findSupervisor(env, 7, log); s.watchdog != 0 {
		t.Errorf("without WATCHDOG_USEC it is every %v", s.watchdog)
	}
	lost := func(string) string { return "/no/such/socket" }
	if s := findSupervisor(lost, 7, log); s.conn != nil {
		t.Error("a socket that is not there")
	}
	findSupervisor(none, 7, log).follow(context.Background(), nil, nil) // returns at once
}
