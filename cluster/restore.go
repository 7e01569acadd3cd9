package cluster

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	holdEvery = 2 * time.Second  // between two signs of life of a restore
	loadLife  = 30 * time.Second // without a sign of life, after which it is given up
)

// restore is one Restore under way. It goes through the log like every other
// change: nobody has the state of the backup before a quorum has agreed on all
// of it.
type restore struct {
	n      *Node
	id     uint64
	cancel context.CancelCauseFunc
	slots  chan struct{} // chunks under way
	turn   chan struct{} // held by who holds chunks in the log
	wg     sync.WaitGroup
	spool  *spool
	begun  bool // or perhaps

	mu   sync.Mutex
	kept []vfs.ChunkRef // on a quorum, and not in the log yet
}

// Restore takes in a backup that it reads from r. The cluster must be empty, or
// it is NotEmpty; another restore under way is Locked; a stream that is no whole
// backup is Invalid. Nothing of it shows before all of it was verified and is on
// a quorum, and after an error the cluster is as empty as before. Any node takes
// it, with memory for a few chunks and space on its disk for the rows of the
// backup.
func (n *Node) Restore(ctx context.Context, from io.Reader) (backup.Restored, error) {
	if err := n.gate.enter(); err != nil {
		return backup.Restored{}, err
	}
	defer n.gate.leave()
	r, err := backup.NewReader(bufio.NewReaderSize(from, 64<<10), fsm.CountedBy)
	if err != nil {
		return backup.Restored{}, badBackup(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &restore{n: n, id: randomID(), cancel: cancel, slots: make(chan struct{}, chunksOut), turn: make(chan struct{}, 1)}
	defer cancel(errUploadOver)
	done, err := s.run(ctx, r)
	cancel(errUploadOver)
	s.wg.Wait()
	if err != nil {
		if s.begun {
			s.drop(ctx, err)
		}
		return backup.Restored{}, err
	}
	n.c.Log.Info("backup restored", "index", done.Index, "digest", done.Digest, "cluster", done.Backup.Cluster)
	return done, nil
}

// levelWait is how long a new cluster may take to agree on its feature level.
const levelWait = 4 * levelEvery

// reachLevel waits until the cluster is at the feature level of a backup: one
// that has just formed will be soon.
func (n *Node) reachLevel(ctx context.Context, want uint64) error {
	for until := time.Now().Add(levelWait); ; {
		level := n.level()
		if level >= want {
			return nil
		}
		if time.Now().After(until) || !pause(ctx, levelEvery/20) {
			return vfs.Conflict.Withf("the backup is of a cluster at feature level %d and this one is at %d: upgrade all its nodes first", want, level)
		}
	}
}

// badBackup is the answer to a stream that cannot be read to its end.
func badBackup(err error) error {
	if errors.Is(err, backup.ErrDamaged) || errors.Is(err, backup.ErrNewer) {
		return vfs.Invalid.With(err.Error())
	}
	return bodyError(err)
}

func (s *restore) run(ctx context.Context, r *backup.Reader) (done backup.Restored, err error) {
	if err := s.n.reachLevel(ctx, r.Header().Level); err != nil {
		return done, err
	}
	begin := fsm.RestoreSpec{Step: fsm.StepBegin, Node: s.n.id, Run: s.n.nonce}
	out, err := s.step(ctx, s.op(begin))
	s.begun = out.Err == nil
	if err != nil {
		return done, err
	}
	s.n.c.Log.Info("restoring a backup", "cluster", r.Header().Cluster, "index", r.Header().Index)
	if s.spool, err = newSpool(s.n.c); err != nil {
		return done, diskError(err)
	}
	defer s.spool.remove()
	s.wg.Go(func() { s.live(ctx) })
	if err := s.receive(ctx, r); err != nil {
		return done, err
	}
	parts, err := s.load(ctx)
	if err != nil {
		return done, err
	}
	h := r.Header()
	if err := s.check(ctx, h.Digest); err != nil {
		return done, err
	}
	out, err = s.step(ctx, s.op(fsm.RestoreSpec{Step: fsm.StepEnd, Parts: parts, Seq: h.Seq, Time: h.LogTime}))
	if err != nil {
		return done, err
	}
	t := r.Trailer()
	return backup.Restored{Index: out.Index, Seq: out.Results[0].Version, Digest: h.Digest,
		Rows: t.Rows, Chunks: t.Chunks, Bytes: t.Bytes, Backup: h}, nil
}

func (s *restore) op(spec fsm.RestoreSpec, refs ...vfs.ChunkRef) vfs.Op {
	return vfs.Op{Verb: vfs.Restore, Path: vfs.Root, File: s.id, Data: fsm.EncodeRestore(spec), Refs: refs}
}

// step has Ops applied, each of which may be repeated, and returns once they
// are, also on this node.
func (s *restore) step(ctx context.Context, ops ...vfs.Op) (vfs.Outcome, error) {
	until := time.Now().Add(s.n.c.loadLife * 4 / 5)
	for {
		out, err := s.n.propose(ctx, vfs.Request{Ops: ops})
		if err == nil {
			return out, out.Err
		}
		again := vfs.KindOf(err) == vfs.Unavailable || vfs.KindOf(err) == vfs.Throttled
		if !again || time.Now().After(until) || !pause(ctx, retryPause) {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return out, err
		}
	}
}

// receive brings the chunks to a quorum and the rows into the spool, until the
// backup has ended and was found to be whole.
func (s *restore) receive(ctx context.Context, r *backup.Reader) error {
	for {
		rec, err := r.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == io.EOF:
			return s.settle(ctx)
		case err != nil:
			return badBackup(err)
		case rec.Rows != nil:
			err = s.rows(rec.Rows)
		default:
			err = s.keep(ctx, rec.Data)
		}
		if err != nil {
			return err
		}
	}
}

func (s *restore) rows(rows []backup.Pair) error {
	for _, p := range rows {
		if err := fsm.CheckRow(p.Key, p.Value); err != nil {
			return err
		}
		if err := s.spool.add(p.Key, p.Value); err != nil {
			return diskError(err)
		}
	}
	if s.n.vol.Full() {
		return errNoSpaceHere
	}
	return nil
}

// keep has one chunk kept in the background.
func (s *restore) keep(ctx context.Context, data []byte) error {
	var b *buffer
	for {
		var err error
		if b, err = s.n.chunkBuffer(ctx, len(data)); err == nil {
			break
		}
		if vfs.KindOf(err) != vfs.Throttled { // there will be room again
			return err
		}
	}
	size := copy(b.b, data)
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		b.free()
		return context.Cause(ctx)
	}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		hash, err := s.n.spread(ctx, b, size)
		if err != nil {
			s.cancel(err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.kept = append(s.kept, vfs.ChunkRef{Hash: hash, Len: uint32(size)})
	})
	return nil
}

// settle waits until all chunks are kept, and held.
func (s *restore) settle(ctx context.Context) error {
	for range chunksOut {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		more, err := s.hold(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// live shows every other second that the restore is alive, and holds the chunks
// that have been kept meanwhile.
func (s *restore) live(ctx context.Context) {
	for pause(ctx, holdEvery) {
		if _, err := s.hold(ctx); err != nil {
			s.cancel(err)
			return
		}
	}
}

// hold has the log keep the chunks that a quorum has.
func (s *restore) hold(ctx context.Context) (more bool, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	s.mu.Lock()
	n := min(len(s.kept), vfs.MaxRefs)
	refs := s.kept[:n:n]
	s.kept = s.kept[n:]
	more = len(s.kept) > 0
	s.mu.Unlock()
	_, err = s.step(ctx, s.op(fsm.RestoreSpec{Step: fsm.StepHold}, refs...))
	return more, err
}

// load brings the rows of the spool through the log into the state of all
// nodes, and returns in how many parts.
func (s *restore) load(ctx context.Context) (uint64, error) {
	l := fsm.NewLoader(s.id, func(ops []vfs.Op) error {
		_, err := s.step(ctx, ops...)
		return err
	})
	err := s.spool.each(l.Add)
	if err == nil {
		err = l.Flush()
	}
	return l.Parts(), err
}

// check compares what this node has now with what the backup is of.
func (s *restore) check(ctx context.Context, digest string) error {
	got, err := s.n.machine.Sums(ctx)
	if err == nil && hex.EncodeToString(got.State[:]) != digest {
		err = vfs.Internal.Withf("the rows were loaded, but their digest is %x and not %s", got.State, digest)
	}
	return err
}

// drop gives the restore up. If nobody hears of it, the leader will do so for
// lack of signs of life.
func (s *restore) drop(ctx context.Context, why error) {
	s.n.c.Log.Warn("restore given up", "error", why)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), proposeTime)
	defer cancel()
	if _, err := s.step(ctx, s.op(fsm.RestoreSpec{Step: fsm.StepDrop})); err != nil {
		s.n.c.Log.Warn("restore is not taken back yet", "error", err)
	}
}

// watchedLoad is a restore as a leader sees it.
type watchedLoad struct {
	id, steps uint64
	since     time.Time // without a step
}

// watchLoad gives up a restore whose node shows no sign of life.
func (c *clockwork) watchLoad(ctx context.Context) {
	if !c.n.machine.Loading() {
		c.load = watchedLoad{}
		return
	}
	im := c.n.machine.Image()
	l, _ := fsm.RestoreOf(im.View)
	im.Release()
	switch {
	case l.ID != c.load.id || l.Steps != c.load.steps:
		c.load = watchedLoad{l.ID, l.Steps, time.Now()}
	case !l.Done && time.Since(c.load.since) > c.n.c.loadLife:
		c.n.c.Log.Warn("a restore shows no sign of life", "node", l.Node)
		c.n.giveUp(ctx, l)
	}
}

func (n *Node) giveUp(ctx context.Context, l fsm.Loading) {
	op := vfs.Op{Verb: vfs.Restore, Path: vfs.Root, File: l.ID, Data: fsm.EncodeRestore(fsm.RestoreSpec{Step: fsm.StepDrop})}
	if _, err := n.propose(ctx, vfs.Request{Ops: []vfs.Op{op}}); err != nil && ctx.Err() == nil {
		n.c.Log.Warn("restore is not taken back yet", "error", err)
	}
}

// disown gives up a restore that an earlier process of this node had begun.
func (n *Node) disown(ctx context.Context) {
	for pause(ctx, watchEvery) {
		if _, id := n.raft.LeaderWithID(); id == "" || n.lag() > 0 {
			continue
		}
		im := n.machine.Image()
		l, _ := fsm.RestoreOf(im.View)
		mine := im.Loading && l.Node == n.id && l.Run != n.nonce
		im.Release()
		if !mine {
			return
		}
		n.giveUp(ctx, l)
	}
}
