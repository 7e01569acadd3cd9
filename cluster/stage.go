package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// stager collects the references of an upload in order. Those that are too
// many for one Op, or older than a part of the grace period in which a chunk
// that nothing refers to is kept, go into the log as Stages.
type stager struct {
	n     *Node
	every time.Duration // the age at which a reference is staged
	done  chan struct{}
	turn  chan struct{} // held by who proposes a Stage

	mu     sync.Mutex
	refs   []vfs.ChunkRef // not staged yet, in order
	filled []bool
	times  []time.Time
	first  int // how many were staged
	id     uint64
	parts  int
}

// stageShare is which part of the grace period a reference waits for a Stage.
const stageShare = 4

func (s *stager) start(n *Node) {
	s.n, s.every = n, n.c.ChunkGrace/stageShare
	s.done, s.turn = make(chan struct{}), make(chan struct{}, 1)
}

func (s *stager) stop() { close(s.done) }

// reserve takes the next place in the content.
func (s *stager) reserve(size uint32) (place int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs = append(s.refs, vfs.ChunkRef{Len: size})
	s.filled = append(s.filled, false)
	s.times = append(s.times, time.Now())
	return s.first + len(s.refs) - 1
}

func (s *stager) fill(place int, hash [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs[place-s.first].Hash = hash
	s.filled[place-s.first] = true
}

// run stages what is due, until stop.
func (s *stager) run(ctx context.Context, fail context.CancelCauseFunc) {
	t := time.NewTicker(min(s.every/2, time.Second))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
		if err := s.stage(ctx, false); err != nil {
			fail(err)
			return
		}
	}
}

// due returns the references to stage now: a full Op of them, or all that are
// kept if the oldest has waited long.
func (s *stager) due(last bool) []vfs.ChunkRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := 0
	for kept < len(s.filled) && s.filled[kept] && kept < vfs.MaxRefs {
		kept++
	}
	old := kept > 0 && time.Since(s.times[0]) > s.every
	full := kept == vfs.MaxRefs && (len(s.refs) > kept || !last)
	if !old && !full {
		return nil
	}
	return append([]vfs.ChunkRef(nil), s.refs[:kept]...)
}

// stage proposes Stages until none is due. Each has a key, so that one whose
// outcome is unknown is tried again without harm.
func (s *stager) stage(ctx context.Context, last bool) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		refs := s.due(last)
		if len(refs) == 0 {
			return nil
		}
		if s.id == 0 {
			s.id = randomID()
		}
		key := fmt.Sprintf("stage-%016x-%d", s.id, s.parts)
		r := vfs.Request{Key: key, Ops: []vfs.Op{{Verb: vfs.Stage, Path: vfs.Root, File: s.id, Off: s.staged(), Refs: refs}}}
		out, err := s.n.propose(ctx, r)
		if err == nil {
			err = out.Err
		}
		if err != nil {
			return err
		}
		s.parts++
		s.mu.Lock()
		s.first += len(refs)
		s.refs, s.filled, s.times = s.refs[len(refs):], s.filled[len(refs):], s.times[len(refs):]
		s.mu.Unlock()
	}
}

// staged returns how many references the log has.
func (s *stager) staged() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.first)
}

// finish returns what is left for the Write itself.
func (s *stager) finish(ctx context.Context) (vfs.Content, error) {
	if err := s.stage(ctx, true); err != nil {
		return vfs.Content{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return vfs.Content{Refs: append([]vfs.ChunkRef(nil), s.refs...), Upload: s.id}, nil
}

// randomID returns an id that nobody else has, and is not zero.
func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

func randomText() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
