package cluster

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// The bounds of the log. Raft counts entries, which are a few bytes or half a
// megabyte; a node counts their bytes, too.
const (
	logKept  = 192 << 20 // bytes that stay behind a snapshot, at most
	logNew   = 64 << 20  // bytes after which there is another
	logHeld  = 1 << 30   // bytes in all that a node which lags may have kept
	logLeast = 64        // entries that stay
	logEvery = time.Second
	heldTime = time.Minute // that a node which lags may make no progress
	heldPart = 4           // of logKept: a node that lags by less is not held for any more
)

// shots is raft's snapshot store, and the book of the snapshots of this node.
// While a node is sent one, the log that it will need next is held.
type shots struct {
	raft.SnapshotStore
	n     *Node
	taken atomic.Uint64 // index of the last one

	mu   sync.Mutex
	next int
	held map[any]*hold  // by stream, and by the id of a node
	vain map[string]int // snapshots to a node since it made progress
}

// hold is an entry that the log must be kept behind.
type hold struct {
	index uint64
	at    time.Time // of the last progress
	open  bool      // being sent
}

func newShots(n *Node) *shots {
	s := &shots{SnapshotStore: n.machine.Snapshots(), n: n, held: map[any]*hold{}, vain: map[string]int{}}
	s.taken.Store(n.machine.Applied())
	return s
}

// Create is asked for one that is taken here, and for one that is installed.
func (s *shots) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration,
	confIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, err
	}
	return &shot{sink, s, index}, nil
}

// shot is a sink whose index is noted when it is done.
type shot struct {
	raft.SnapshotSink
	s     *shots
	index uint64
}

func (t *shot) Close() error {
	err := t.SnapshotSink.Close()
	if err == nil {
		t.s.taken.Store(t.index)
	}
	return err
}

var errCrammed = errors.New("the disk is too full to make a snapshot for another node")

// Open makes the snapshot that another node is sent.
func (s *shots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	list, err := s.List()
	if err != nil || len(list) == 0 || list[0].ID != id { // one that has arrived
		return s.SnapshotStore.Open(id)
	}
	if s.n.vol.Full() {
		return nil, nil, errCrammed
	}
	s.mu.Lock()
	s.next++
	key := s.next
	s.held[key] = &hold{list[0].Index, time.Now(), true}
	s.mu.Unlock()
	meta, r, err := s.SnapshotStore.Open(id)
	if err != nil {
		s.drop(key)
		return nil, nil, err
	}
	return meta, &heldStream{r, s, key}, nil
}

// heldStream is a snapshot being sent.
type heldStream struct {
	io.ReadCloser
	s   *shots
	key int
}

// WrappedReadCloser returns the stream of the state machine.
func (h *heldStream) WrappedReadCloser() io.ReadCloser { return h.ReadCloser }

func (h *heldStream) Close() error {
	h.s.drop(h.key)
	return h.ReadCloser.Close()
}

func (s *shots) drop(key any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, key)
}

// sending notes that a node is sent all up to index, and warns of one that
// takes one snapshot after another and makes no progress.
func (s *shots) sending(id string, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vain[id]++
	if s.vain[id] > 1 {
		s.n.metrics.repeats.Inc()
	}
	if s.vain[id] >= tooMany {
		s.n.c.Log.Warn("a node is sent one snapshot after another: look at its log", "node", id, "index", index, "snapshots", s.vain[id])
	}
}

// sent notes that a node has all up to index.
func (s *shots) sent(id string, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[id] = &hold{index, time.Now(), false}
}

// progress notes that a node for which the log is held has got to index. It
// is not held any more once the node is close to the end.
func (s *shots) progress(id string, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[id]
	if h != nil && index >= h.index {
		delete(s.vain, id)
	}
	switch {
	case h == nil:
	case s.n.logs.Bytes(index+1, s.n.raft.LastIndex()) < s.n.c.logKept/heldPart:
		delete(s.held, id)
	case index > h.index:
		h.index, h.at = index, time.Now()
	}
}

// hold returns the last entry that the log may be cut behind. What is held is
// bounded: a node that needs more gets another snapshot.
func (s *shots) hold() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	index := uint64(math.MaxUint64)
	for key, h := range s.held { // any order: the least of them
		if !h.open && time.Since(h.at) > heldTime {
			delete(s.held, key)
			continue
		}
		index = min(index, h.index)
	}
	last, err := s.n.logs.LastIndex()
	if err != nil || s.n.vol.Full() || s.n.logs.Bytes(index+1, last) > logHeld {
		return math.MaxUint64
	}
	return index
}

// keepLogShort takes a snapshot when the log has grown by so many bytes, and
// tells raft how many entries to keep.
func (n *Node) keepLogShort(ctx context.Context) {
	for pause(ctx, logEvery) {
		last, err := n.logs.LastIndex()
		if err != nil || last == 0 {
			continue
		}
		if n.logs.Bytes(n.shots.taken.Load()+1, last) < n.c.logNew {
			continue
		}
		if err := n.Snapshot(ctx); err != nil && ctx.Err() == nil {
			n.c.Log.Warn("no snapshot is taken: the log grows", "error", err)
			pause(ctx, 10*logEvery)
		}
	}
}

// Snapshot makes the state durable and cuts the log behind it, but for what
// nodes that lag may need.
func (n *Node) Snapshot(ctx context.Context) error {
	n.pacing.Lock()
	r := n.raft.ReloadableConfig()
	r.TrailingLogs = min(n.c.trailing, max(n.logs.Newest(n.c.logKept), logLeast))
	err := n.raft.ReloadConfig(r)
	n.pacing.Unlock()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := n.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return err
	}
	n.metrics.snapshot.Observe(time.Since(start).Seconds())
	return ctx.Err()
}
