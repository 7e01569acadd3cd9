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
// stream's net.Conn, and the layer that gives it to its transport.
type inbound struct {
	net.Conn
	s    stream
	t    *network
	give chan net.Conn // the stream, once

	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	state  inboundState
	length int64 // of the request so far
	held   int64 // of the budget
	broken error // why reading ended
}

type inboundState int

const (
	idle       inboundState = iota // between two requests
	reading                        // a request
	installing                     // the content of a snapshot
	refused                        // hears no more
)

var (
	errRequest = &refusedError{becauseRequest, "request of raft is too long"}
	errHalt    = &refusedError{becauseRequest, "request of raft that does not go on"}
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
	if in.is(refused) { // what was sent behind a refused request
		rpc.Respond(nil, errRefused)
		return
	}
	if err := in.t.guard.check(ctx, in.s.from, rpc.Command); err != nil {
		in.t.guard.refused.add(because(err, becauseRequest), in.RemoteAddr(), in.s.from, err)
		in.turn(refused)
		rpc.Respond(nil, err)
		return
	}
	if rpc.Reader != nil {
		in.turn(installing)
		in.t.installing.Store(true)
		defer in.t.installing.Store(false)
	}
	if beat {
		if cb := in.t.beat.Load(); cb != nil {
			in.turn(idle)
			(*cb)(rpc)
			return
		}
	}
	if req, ok := rpc.Command.(*raft.InstallSnapshotRequest); ok {
		rpc.RespChan <- in.t.install(ctx, req, rpc.Reader, func() { _ = in.Close() })
		in.turn(refused) // a stream is for one snapshot
		return
	}
	if err := in.t.admit(ctx, rpc.Command); err != nil {
		in.turn(idle)
		rpc.Respond(nil, err)
		return
	}
	r := in.t.hand(rpc)
	in.turn(idle)
	rpc.RespChan <- r
}

const (
	// maxBacklog is how many bytes of entries may wait in memory to be folded
	// into the state: raft itself bounds their number alone.
	maxBacklog  = 64 << 20
	backlogTime = 2 * time.Second // that new entries wait for that
)

var errBacklog = errors.New("the state of this node is too far behind its log")

// admit holds entries back while too many wait to be folded.
func (t *network) admit(ctx context.Context, command any) error {
	if a, ok := command.(*raft.AppendEntriesRequest); !ok || len(a.Entries) == 0 {
		return nil
	}
	for until := time.Now().Add(backlogTime); t.backlog() > maxBacklog; {
		if time.Now().After(until) || !pause(ctx, retryPause) {
			return errBacklog
		}
	}
	return nil
}

// hand has raft answer a request, unless it is about to forget.
func (t *network) hand(rpc raft.RPC) raft.RPCResponse {
	t.order.RLock()
	defer t.order.RUnlock()
	return t.raftly(rpc)
}

// raftly has raft answer a request.
func (t *network) raftly(rpc raft.RPC) raft.RPCResponse {
	got := make(chan raft.RPCResponse, 1)
	select {
	case t.rpcs <- raft.RPC{Command: rpc.Command, Reader: rpc.Reader, RespChan: got}:
	case <-t.stop:
		return raft.RPCResponse{Error: raft.ErrTransportShutdown}
	}
	select {
	case r := <-got:
		return r
	case <-t.stop:
		return raft.RPCResponse{Error: raft.ErrTransportShutdown}
	}
}

func (in *inbound) is(s inboundState) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.state == s
}

// turn begins a state of the stream.
func (in *inbound) turn(s inboundState) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state == refused {
		return
	}
	in.state, in.length = s, 0
	if in.held > 0 {
		in.t.memory.give(in.held)
		in.held = 0
	}
}

// Read bounds the length and the slowness of what arrives.
func (in *inbound) Read(b []byte) (int, error) {
	var until time.Time
	in.mu.Lock()
	state := in.state
	in.mu.Unlock()
	switch state {
	case refused:
		return 0, io.EOF
	case reading, installing:
		until = time.Now().Add(in.t.slow)
	case idle: // as long as it likes
	}
	if err := in.SetReadDeadline(until); err != nil {
		return 0, in.note(err)
	}
	n, err := in.Conn.Read(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		in.t.guard.refused.add(becauseRequest, in.RemoteAddr(), in.s.from, errHalt)
	case err == nil && state != installing:
		err = in.count(n)
	}
	return n, in.note(err)
}

func (in *inbound) note(err error) error {
	if err != nil {
		in.mu.Lock()
		in.broken = err
		in.mu.Unlock()
	}
	return err
}

// count adds to the length of the request that is being read. A long one waits
// for memory.
func (in *inbound) count(n int) error {
	in.mu.Lock()
	if in.state == refused {
		in.mu.Unlock()
		return io.EOF
	}
	in.state = reading
	in.length += int64(n)
	length, held := in.length, in.held
	in.mu.Unlock()
	switch {
	case length > maxRequest:
		in.t.guard.refused.add(becauseRequest, in.RemoteAddr(), in.s.from, errRequest)
		return errRequest
	case length <= smallRequest || held > 0:
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), in.t.slow)
	defer cancel()
	if err := in.t.memory.take(ctx, maxRequest); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state == refused { // the stream ended meanwhile
		in.t.memory.give(maxRequest)
		return io.EOF
	}
	in.held = maxRequest
	return nil
}

// end gives back what is held, and tells of a stream that ended because its
// transport could not read it.
func (in *inbound) end() {
	in.mu.Lock()
	broken, state := in.broken, in.state
	in.mu.Unlock()
	in.turn(refused)
	select {
	case <-in.t.stop:
	default:
		if broken == nil && state != refused {
			in.t.guard.refused.add(becauseRequest, in.RemoteAddr(), in.s.from, errors.New("not a request of raft"))
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
