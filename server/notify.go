package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

const (
	notifyEvery = time.Second
	// notifyGrace is how much more time to start a living node asks for.
	notifyGrace = 30 * time.Second
)

// supervisor is a service manager that wants to hear how the node is, as
// systemd does (sd_notify(3)). Without one, nothing is sent.
type supervisor struct {
	conn     net.Conn      // nil: none
	watchdog time.Duration // how often it wants a sign of life; 0: not
	every    time.Duration // how often the node is looked at
	log      *slog.Logger
	ready    bool // it was told so
	said     string
	beat     time.Time
}

// findSupervisor looks for who wants to hear, in the environment.
func findSupervisor(getenv func(string) string, pid int, log *slog.Logger) *supervisor {
	s := &supervisor{log: log, every: notifyEvery}
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return s
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		log.Warn("the service manager cannot be told how the node is", "error", err)
		return s
	}
	s.conn = conn
	if of := getenv("WATCHDOG_PID"); of == "" || of == strconv.Itoa(pid) {
		us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
		if err == nil && us > 0 {
			s.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	return s
}

func (s *supervisor) send(text string) {
	if s.conn == nil {
		return
	}
	if _, err := s.conn.Write([]byte(text)); err != nil {
		s.log.Debug("the service manager was not told", "error", err)
	}
}

// status says in words how the node is, if that is news.
func (s *supervisor) status(text string) {
	if text != s.said {
		s.said = text
		s.send("STATUS=" + text)
	}
}

// follow tells the supervisor how the node is until ctx is done: while it is
// not ready that it needs more time, once that it is ready, and from then on
// that it is alive. A node that is not alive says nothing: it is up to the
// supervisor to end it.
func (s *supervisor) follow(ctx context.Context, alive, serves func() error) {
	if s.conn == nil {
		return
	}
	t := time.NewTicker(s.every)
	defer t.Stop()
	for ; ; s.turn(alive, serves) {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *supervisor) turn(alive, serves func() error) {
	if err := alive(); err != nil {
		s.status(err.Error())
		return
	}
	err := serves()
	switch {
	case !s.ready && err == nil:
		s.ready = true
		s.send("READY=1")
	case !s.ready:
		s.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", notifyGrace.Microseconds()))
	}
	if err != nil {
		s.status("not ready: " + err.Error())
	} else {
		s.status("ready")
	}
	if s.watchdog > 0 && time.Since(s.beat) >= s.watchdog/3 {
		s.beat = time.Now()
		s.send("WATCHDOG=1")
	}
}

// stopping says that the node ends because it was asked to.
func (s *supervisor) stopping() { s.send("STOPPING=1\nSTATUS=stopping") }
