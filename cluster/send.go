package cluster

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	sendPiece = 64 << 10         // bytes that a snapshot is sent in
	sendStall = 15 * time.Second // that one write to another raft may hang
	// sendEnd is how long a node may take to install what it has received.
	sendEnd = 30 * time.Minute
	// tooMany snapshots to one node without progress are a sign that something
	// is wrong.
	tooMany = 3
)

// pacer spreads bytes over time. Safe for concurrent use.
type pacer struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	next time.Time // when the next may go
}

// wait returns when n more bytes may go, or false once stop is closed.
func (p *pacer) wait(n int, stop <-chan struct{}) bool {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	at := p.next
	p.next = at.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	p.mu.Unlock()
	select {
	case <-time.After(time.Until(at)):
		return true
	case <-stop:
		return false
	}
}

var errDeposed = errors.New("this node does not lead any more")

// paced is a snapshot on its way out: no faster than the pacer lets it, and no
// longer than the node leads.
type paced struct {
	io.Reader
	t    *network
	term uint64
}

func (p *paced) Read(b []byte) (int, error) {
	if len(b) > sendPiece {
		b = b[:sendPiece]
	}
	if !p.t.pace.wait(len(b), p.t.stop) {
		return 0, raft.ErrTransportShutdown
	}
	if p.t.guard.term() != p.term {
		return 0, errDeposed
	}
	n, err := p.Reader.Read(b)
	p.t.shots.n.metrics.shipped.Add(float64(n))
	return n, err
}

// InstallSnapshot sends a snapshot to a node.
func (t *network) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	n, start := t.shots.n, time.Now()
	t.shots.sending(string(id), args.LastLogIndex)
	log := n.c.Log.With("node", string(id), "index", args.LastLogIndex, "bytes", args.Size)
	log.Info("a node is sent a snapshot")
	err := t.NetworkTransport.InstallSnapshot(id, to, args, resp, &paced{data, t, args.Term})
	if err != nil || !resp.Success {
		n.metrics.sends.WithLabelValues("failed").Inc()
		log.Warn("a snapshot is not taken", "error", err)
		return err
	}
	n.metrics.sends.WithLabelValues("taken").Inc()
	log.Info("a node has taken a snapshot", "took", time.Since(start).Round(time.Millisecond))
	t.shots.sent(string(id), args.LastLogIndex)
	return nil
}

// AppendEntries sends one request; what the node then has is noted.
func (t *network) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	err := t.NetworkTransport.AppendEntries(id, to, args, resp)
	if err == nil && resp.Success && args.PrevLogEntry > 0 {
		t.shots.progress(string(id), args.PrevLogEntry+uint64(len(args.Entries)))
	}
	return err
}

// steady is a stream to another raft on which no write hangs for long, and no
// answer is waited for for ever, whatever raft allows for a long snapshot.
type steady struct {
	net.Conn
	mu          sync.Mutex
	read, write time.Time // raft's deadlines; zero for none
}

// SetDeadline is raft's, as the two below.
func (s *steady) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *steady) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	s.read = t
	s.mu.Unlock()
	return s.Conn.SetReadDeadline(t)
}

func (s *steady) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	s.write = t
	s.mu.Unlock()
	return s.Conn.SetWriteDeadline(t)
}

// sooner returns raft's deadline, or d from now if that is sooner.
func (s *steady) sooner(raftly *time.Time, d time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := time.Now().Add(d); raftly.IsZero() || at.Before(*raftly) {
		return at
	}
	return *raftly
}

func (s *steady) Write(b []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(s.sooner(&s.write, sendStall)); err != nil {
		return 0, err
	}
	return s.Conn.Write(b)
}

func (s *steady) Read(b []byte) (int, error) {
	if err := s.Conn.SetReadDeadline(s.sooner(&s.read, sendEnd)); err != nil {
		return 0, err
	}
	return s.Conn.Read(b)
}
