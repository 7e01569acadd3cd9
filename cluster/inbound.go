package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

const (
	// maxRequest is the longest request of raft, a snapshot's content aside.
	maxRequest    = maxAppend*vfs.MaxEntry + 1<<20
	smallRequest  = 1 << 20 // bytes of one that need no budget
	requestMemory = 4 * maxRequest
	requestTime   = 10 * time.Second // between two parts of one
)

// inbound is the accepting side of one stream of raft: a transport of its own,
// so that every request is known to be of the node that greeted. It is the
// stream's net.Conn, and the layer that gives it to its transport. One goroutine
// at a time reads.
type inbound struct {
	net.Conn
	s    stream
	t    *network
	give chan net.Conn // the stream, once

	closed chan struct{}
	once   sync.Once

	// Of the reader.
	grammar grammar
	length  int64 // of the request so far
	content bool  // what comes now is a snapshot's

	mu      sync.Mutex
	refused bool  // hears no more
	broken  bool  // reading has ended
	held    int64 // of the budget
}

var (
	errLong    = &refusedError{becauseRequest, "request of raft is too long"}
	errHalt    = &refusedError{becauseRequest, "request of raft does not go on"}
	errNone    = &refusedError{becauseRequest, "not a request of raft"}
	errRefused = &refusedError{becauseRequest, "the stream is refused"}
)

// serve passes the requests of a stream on to raft until it ends.
func (t *network) serve(ctx context.Context, s stream) {
	in := &inbound{Conn: mutable{s.Conn, t.muted}, s: s, t: t, give: make(chan net.Conn, 1), closed: make(chan struct{})}
	tr := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: in, Timeout: raftTimeout, Logger: hclog.NewNullLogger(),
	})
	tr.SetHeartbeatHandler(func(rpc raft.RPC) { in.answer(ctx, rpc, true) })
	in.give <- in
	for {
		select {
		case rpc := <-tr.Consumer():
			in.answer(ctx, rpc, false)
			continue
		case <-in.closed:
		case <-t.stop:
		}
		break
	}
	_ = tr.Close() // it closes the stream, which is all there is
	in.end()
}

// answer has raft answer one request that has arrived whole, but for the
// content of a snapshot.
func (in *inbound) answer(ctx context.Context, rpc raft.RPC, beat bool) {
	if in.isRefused() { // what was sent behind a refused request
		rpc.Respond(nil, errRefused)
		return
	}
	if err := in.t.guard.check(ctx, in.s.from, rpc.Command); err != nil {
		in.turnAway(err)
		rpc.Respond(nil, err)
		return
	}
	if cb := in.t.beat.Load(); beat && cb != nil {
		in.free()
		(*cb)(rpc)
		return
	}
	if req, ok := rpc.Command.(*raft.InstallSnapshotRequest); ok {
		in.t.installing.Store(true)
		defer in.t.installing.Store(false)
		rpc.RespChan <- in.t.install(ctx, req, rpc.Reader, func() { _ = in.Close() })
		in.refuse() // a stream is for one snapshot
		return
	}
	if err := in.t.admit(ctx, rpc.Command); err != nil {
		in.free()
		rpc.Respond(nil, err)
		return
	}
	r := in.t.hand(ctx, rpc)
	in.free()
	rpc.RespChan <- r
}

// turnAway tells of a refusal, after which the stream hears no more.
func (in *inbound) turnAway(err error) {
	in.t.guard.refused.add(because(err, becauseRequest), in.RemoteAddr(), in.s.from, err)
	in.refuse()
}

func (in *inbound) refuse() {
	in.free()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.refused = true
}

func (in *inbound) isRefused() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.refused
}

// free gives back the memory of the request that was answered.
func (in *inbound) free() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.t.memory.give(in.held)
	in.held = 0
}

// Read bounds the length and the slowness of what arrives.
func (in *inbound) Read(b []byte) (int, error) {
	if in.isRefused() {
		return 0, io.EOF
	}
	var until time.Time // between two requests it may be silent as long as it likes
	if in.content || in.grammar.begun {
		until = time.Now().Add(in.t.slow)
	}
	err := in.SetReadDeadline(until)
	n := 0
	if err == nil {
		n, err = in.Conn.Read(b)
	}
	var no *refusedError
	if errors.Is(err, os.ErrDeadlineExceeded) {
		no = errHalt
	} else if err == nil {
		no = in.look(b[:n])
	}
	switch {
	case no == errRefused: // and told of already
		err = io.EOF
	case no != nil:
		in.turnAway(no)
		err = no
	}
	if err != nil {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.broken = true
		return 0, err
	}
	return n, nil
}

// look reads what has arrived before the transport does. A long request waits
// for memory.
func (in *inbound) look(b []byte) *refusedError {
	for len(b) > 0 && !in.content {
		n, whole, err := in.grammar.scan(b)
		if err != nil {
			return &refusedError{becauseRequest, "request of raft: " + err.Error()}
		}
		if in.length += int64(n); in.length > maxRequest {
			return errLong
		}
		if b = b[n:]; whole {
			in.length, in.content = 0, in.grammar.kind == requestInstall
		}
	}
	in.mu.Lock()
	wait := in.length > smallRequest && in.held == 0
	in.mu.Unlock()
	if !wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), in.t.slow)
	defer cancel()
	if err := in.t.memory.take(ctx, maxRequest); err != nil {
		return &refusedError{becauseRequest, "too many long requests of raft"}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refused { // meanwhile
		in.t.memory.give(maxRequest)
		return errRefused
	}
	in.held = maxRequest
	return nil
}

// end gives back what is held, and tells of a stream that ended because its
// transport made nothing of it.
func (in *inbound) end() {
	in.mu.Lock()
	odd := !in.broken && !in.refused
	in.mu.Unlock()
	in.refuse()
	select {
	case <-in.t.stop:
	default:
		if odd {
			in.t.guard.refused.add(becauseRequest, in.RemoteAddr(), in.s.from, errNone)
		}
	}
}

// Accept gives the stream, once.
func (in *inbound) Accept() (net.Conn, error) {
	select {
	case c := <-in.give:
		return c, nil
	case <-in.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the stream. As the layer's it does the same.
func (in *inbound) Close() error {
	in.once.Do(func() { close(in.closed) })
	return in.Conn.Close()
}

// Addr is never asked for.
func (in *inbound) Addr() net.Addr { return in.LocalAddr() }

// Dial is for the dialling side.
func (in *inbound) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, raft.ErrTransportShutdown
}
