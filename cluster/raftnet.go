package cluster

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// maxTermLead is how far above ours the term of a peer may be. No cluster gets
// there by itself; raft would follow any number that it is told.
const maxTermLead = 1_000_000

const (
	raftTimeout = 5 * time.Second // of one request between rafts
	raftDial    = time.Second
	// pipelineTime is how long a pipeline may have no room for a request.
	pipelineTime = 2 * time.Second
	raftPool     = 4 // idle streams to each node
)

// network is raft's transport over the mux. It turns down requests with an
// impossible term, and keeps pre-vote: raft finds that by the method set.
type network struct {
	*raft.NetworkTransport
	rpcs chan raft.RPC
	term atomic.Pointer[func() uint64] // ours
	// installing is set while raft takes a snapshot from its leader.
	installing atomic.Bool
	stop       chan struct{}
	once       sync.Once
	wg         sync.WaitGroup
}

var (
	_ raft.Transport   = (*network)(nil)
	_ raft.WithPreVote = (*network)(nil)
	_ raft.WithClose   = (*network)(nil)
)

// newNetwork returns a transport that starts to take requests with run.
func newNetwork(m *mux, addresses raft.ServerAddressProvider, log *logBridge) *network {
	return &network{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: raftLayer{m}, MaxPool: raftPool, Timeout: raftTimeout, Logger: log.named("raft.net"),
			ServerAddressProvider: addresses,
		}),
		rpcs: make(chan raft.RPC),
		stop: make(chan struct{}),
	}
}

// run passes requests on to raft until Close.
func (t *network) run(term func() uint64) {
	t.term.Store(&term)
	t.wg.Go(func() {
		for {
			select {
			case rpc := <-t.NetworkTransport.Consumer():
				if err := t.check(rpc); err != nil {
					rpc.Respond(nil, err)
					continue
				}
				select {
				case t.rpcs <- t.watchInstall(rpc):
				case <-t.stop:
					rpc.Respond(nil, raft.ErrTransportShutdown)
				}
			case <-t.stop:
				return
			}
		}
	})
}

func (t *network) check(rpc raft.RPC) error {
	var term uint64
	switch c := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		term = c.Term
	case *raft.RequestVoteRequest:
		term = c.Term
	case *raft.RequestPreVoteRequest:
		term = c.Term
	case *raft.InstallSnapshotRequest:
		term = c.Term
	case *raft.TimeoutNowRequest:
		return nil
	default:
		return fmt.Errorf("unknown request %T", c)
	}
	mine := t.term.Load()
	if mine == nil {
		return raft.ErrTransportShutdown
	}
	if ours := (*mine)(); term > ours && term-ours > maxTermLead {
		return errors.New("term is out of bounds")
	}
	return nil
}

// Consumer returns the requests that raft is to answer.
func (t *network) Consumer() <-chan raft.RPC { return t.rpcs }

// SetHeartbeatHandler takes raft's way around its queue, with the same guard.
func (t *network) SetHeartbeatHandler(cb func(raft.RPC)) {
	t.NetworkTransport.SetHeartbeatHandler(func(rpc raft.RPC) {
		if err := t.check(rpc); err != nil {
			rpc.Respond(nil, err)
			return
		}
		cb(rpc)
	})
}

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
	return &pipeline{p}, nil
}

// pipeline closes itself when a request cannot be sent for long; raft falls
// back to single requests then.
type pipeline struct{ raft.AppendPipeline }

// AppendEntries sends one request.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	guard := time.AfterFunc(pipelineTime, func() { _ = p.Close() })
	defer guard.Stop()
	return p.AppendPipeline.AppendEntries(args, resp)
}

// Close ends the transport and its idle streams.
func (t *network) Close() error {
	t.once.Do(func() { close(t.stop) })
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	t.wg.Wait()
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
