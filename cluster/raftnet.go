package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	raftTimeout = 5 * time.Second // of one request between rafts
	raftDial    = time.Second
	// pipelineTime is how long a pipeline may have no room for a request.
	pipelineTime = 2 * time.Second
	raftPool     = 4       // idle streams to each node
	everyRequest = 1 << 20 // of those that raft may have at once
)

// network is raft's transport over the mux. It passes on what guard lets
// through, and keeps pre-vote: raft finds that by the method set.
type network struct {
	*raft.NetworkTransport // the dialling side
	guard                  *guard
	log                    *logBridge
	rpcs                   chan raft.RPC
	memory                 *budget                        // of long requests on their way in
	slow                   time.Duration                  // that they may pause
	beat                   atomic.Pointer[func(raft.RPC)] // raft's way around its queue
	installing             atomic.Bool                    // raft takes a snapshot from its leader
	muted                  *atomic.Bool                   // nothing that raft says is sent any more
	shots                  *shots
	order                  *budget // one for each request that raft has, all while raft forgets
	install                func(context.Context, *raft.InstallSnapshotRequest, io.Reader, func()) raft.RPCResponse
	backlog                func() int64 // bytes that wait to be folded
	pace                   *pacer       // of snapshots to other nodes
	stop                   chan struct{}
	once                   sync.Once
}

var (
	_ raft.Transport   = (*network)(nil)
	_ raft.WithPreVote = (*network)(nil)
	_ raft.WithClose   = (*network)(nil)
)

func newNetwork(m *mux, muted *atomic.Bool, addresses raft.ServerAddressProvider, log *logBridge) *network {
	return &network{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: raftLayer{m, muted}, MaxPool: raftPool, Timeout: raftTimeout, Logger: log.named("raft.net"),
			ServerAddressProvider: addresses,
		}),
		log:    log,
		muted:  muted,
		rpcs:   make(chan raft.RPC),
		memory: newBudget(requestMemory),
		order:  newBudget(everyRequest),
		slow:   requestTime,
		stop:   make(chan struct{}),
	}
}

// Consumer returns the requests that raft is to answer.
func (t *network) Consumer() <-chan raft.RPC { return t.rpcs }

// SetHeartbeatHandler takes raft's way around its queue.
func (t *network) SetHeartbeatHandler(cb func(raft.RPC)) { t.beat.Store(&cb) }

// EncodePeer leaves out the id that addresses carry on their way to Dial.
func (t *network) EncodePeer(_ raft.ServerID, addr raft.ServerAddress) []byte { return []byte(addr) }

// AppendEntriesPipeline opens a pipeline that cannot wedge. Raft's own stops
// reading answers after one that it does not like, and may then wait for room
// to send, which only the answers that it does not read would make.
func (t *network) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, to)
	if err != nil {
		return nil, err
	}
	return &pipeline{p, t.shots, string(id)}, nil
}

// pipeline closes itself when a request cannot be sent for long; raft falls
// back to single requests then.
type pipeline struct {
	raft.AppendPipeline
	shots *shots
	id    string
}

// AppendEntries sends one request.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	guard := time.AfterFunc(pipelineTime, func() { _ = p.Close() })
	defer guard.Stop()
	p.shots.progress(p.id, args.PrevLogEntry) // a pipeline begins where the node is
	return p.AppendPipeline.AppendEntries(args, resp)
}

// Close ends the transport and its idle streams.
func (t *network) Close() error {
	t.once.Do(func() { close(t.stop) })
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	return err
}

// book is where nodes are dialled: what they said themselves wins over what
// raft's configuration has. Safe for concurrent use.
type book struct {
	mu     sync.Mutex
	known  map[string]string
	config func() raft.Configuration // may be nil
}

func (b *book) learn(id, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = map[string]string{}
	}
	b.known[id] = address
}

func (b *book) find(id string) (target, bool) {
	b.mu.Lock()
	addr, ok := b.known[id]
	config := b.config
	b.mu.Unlock()
	if ok {
		return target{id, addr}, true
	}
	if config != nil {
		for _, s := range config().Servers {
			if string(s.ID) == id {
				return target{id, string(s.Address)}, true
			}
		}
	}
	return target{}, false
}

// ServerAddr gives raft's transport the address of a node, with its id.
func (b *book) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	t, ok := b.find(string(id))
	if !ok {
		return "", fmt.Errorf("no address of node %s", id)
	}
	return raft.ServerAddress(t.id + idMark + t.address), nil
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

// hand has raft answer a request, once it does not forget.
func (t *network) hand(ctx context.Context, rpc raft.RPC) raft.RPCResponse {
	if err := t.order.take(ctx, 1); err != nil {
		return raft.RPCResponse{Error: err}
	}
	defer t.order.give(1)
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
