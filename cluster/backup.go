package cluster

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// maxSaves bounds the backups under way on one node: each holds the disk space
// of all that is replaced or removed meanwhile.
const maxSaves = 2

// chunkWait is how long a backup waits for a chunk that no node gives.
const chunkWait = 30 * time.Second

// saves is the backups under way on this node.
type saves struct {
	mu    sync.RWMutex
	count int
	open  map[*save]struct{}
}

// want reports whether a backup under way has a chunk still to come.
func (s *saves) want(hash [32]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for b := range s.open {
		if fsm.Counted(b.state.View, hash) {
			return true
		}
	}
	return false
}

// enter makes room for one more.
func (s *saves) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == maxSaves {
		return vfs.Throttled.Withf("%d backups are under way on this node already", maxSaves)
	}
	s.count++
	return nil
}

// save is a backup of this node's state at one index.
type save struct {
	n     *Node
	state *fsm.Checkpoint
	head  backup.Header
	once  sync.Once
	err   error
}

// Backup freezes the state that this node has applied, for a backup of it. It
// reads the whole state before it returns. Two may be open at once; another is
// Throttled. Chunks that the backup needs are not swept from this node until it
// is closed.
func (n *Node) Backup(ctx context.Context) (_ backup.Source, err error) {
	if err := n.gate.enter(); err != nil {
		return nil, err
	}
	defer n.gate.leave()
	if err := n.saves.enter(); err != nil {
		return nil, err
	}
	s := &save{n: n}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.state, err = n.machine.Checkpoint(); err != nil {
		return nil, err
	}
	n.saves.mu.Lock()
	if n.saves.open == nil {
		n.saves.open = map[*save]struct{}{}
	}
	n.saves.open[s] = struct{}{}
	n.saves.mu.Unlock()
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// look reads the state once, to say in the header what it will be.
func (s *save) look(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, faultOf(recover())) }()
	c := s.state
	s.head = backup.Header{Format: backup.Format, Cluster: s.n.self.cluster(), Node: s.n.id, Version: s.n.c.Version, Time: time.Now().UTC(),
		Index: c.Index, Term: c.Term, Level: fsm.LevelOf(c.View), Seq: c.Seq, LogTime: c.Time.UnixNano()}
	sum := store.NewHasher()
	for k, v := range fsm.Rows(c.View) {
		if s.head.Rows++; s.head.Rows%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sum.Add(k, v)
		s.head.Bytes += int64(len(k) + len(v))
		if _, ok := fsm.CountedBy(k, v); ok {
			s.head.Chunks++
		}
	}
	digest := sum.Sum()
	s.head.Digest = hex.EncodeToString(digest[:])
	return nil
}

// faultOf makes an error of a fault of the store that a checkpoint is in. It
// ends the backup alone: the node's own store will find out for itself.
func faultOf(r any) error {
	if f, ok := r.(vfs.StoreFault); ok {
		return f
	}
	if r != nil {
		panic(r)
	}
	return nil
}

// Header returns what the backup is of.
func (s *save) Header() backup.Header { return s.head }

// Write writes the backup. A chunk that is not on this node is fetched from
// another.
func (s *save) Write(ctx context.Context, to io.Writer) (n int64, err error) {
	defer func() { err = errors.Join(err, faultOf(recover())) }()
	buffered := bufio.NewWriterSize(to, 256<<10)
	w, err := backup.NewWriter(buffered, s.head)
	if err != nil {
		return 0, err
	}
	for k, v := range fsm.Rows(s.state.View) {
		if err := errors.Join(w.Row(k, v), ctx.Err()); err != nil {
			return w.Bytes(), err
		}
	}
	if err := s.chunks(ctx, w); err != nil {
		return w.Bytes(), err
	}
	if err := w.End(); err != nil {
		return w.Bytes(), err
	}
	return w.Bytes(), buffered.Flush()
}

func (s *save) chunks(ctx context.Context, w *backup.Writer) error {
	b := s.n.buffers.get(vfs.ChunkSize)
	defer b.free()
	for hash, count := range fsm.Chunks(s.state.View) {
		if count == 0 {
			continue
		}
		size, err := s.n.wholeChunk(ctx, hash, b.b)
		if err == nil {
			err = w.Chunk(hash, b.b[:size])
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// wholeChunk reads a chunk into b, from this node or from another, for which it
// waits a while: a backup has come a long way when a node is started again.
func (n *Node) wholeChunk(ctx context.Context, hash [32]byte, b []byte) (int, error) {
	until := time.Now().Add(chunkWait)
	for fetched := false; ; {
		size, err := n.blobs.Size(hash)
		if err == nil && size > int64(len(b)) {
			err = errors.New("it is longer than a chunk")
		}
		if err == nil {
			err = n.blobs.ReadAt(hash, b[:size], 0)
		}
		if err == nil {
			return int(size), nil
		}
		if fetched || !lacking(err) {
			return 0, fmt.Errorf("chunk %x: %w", hash[:8], err)
		}
		data, err := n.missing.fetch(ctx, hash)
		if fetched = err == nil; !fetched && time.Now().Before(until) && pause(ctx, fetchDelay) {
			continue
		}
		if err != nil {
			return 0, vfs.Unavailable.Withf("chunk %x is not here and cannot be fetched: %v", hash[:8], err)
		}
		if data != nil && len(data) <= len(b) { // there is no space for it here
			return copy(b, data), nil
		}
	}
}

// Close lets go of the state.
func (s *save) Close() error {
	s.once.Do(func() {
		s.n.saves.mu.Lock()
		s.n.saves.count--
		delete(s.n.saves.open, s)
		s.n.saves.mu.Unlock()
		if s.state != nil {
			s.err = s.state.Close()
		}
	})
	return s.err
}

// Leads reports whether this node leads, as far as it knows.
func (n *Node) Leads() bool { return n.reign.Load() != nil }

// LastSaved returns the last scheduled backup of which the log was told.
func (n *Node) LastSaved() (fsm.SavedBackup, bool) {
	im := n.machine.Image()
	defer im.Release()
	return fsm.LastSaved(im.View)
}

// NoteSaved tells the log of a scheduled backup.
func (n *Node) NoteSaved(ctx context.Context, s fsm.SavedBackup) error {
	s.Node = n.id
	out, err := n.Propose(ctx, vfs.Request{Ops: []vfs.Op{{Verb: vfs.Saved, Path: vfs.Root, Data: fsm.EncodeSaved(s)}}})
	return errors.Join(err, out.Err)
}
