package streamfs

import (
	"context"
	_ "embed" // for the README
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.memory.md
var memoryReadme string

// Memory is a streamfs whose streams are in the memory of one node and nowhere
// else: it has no log and no file. All of them end with the node.
//
// Offsets are those of no other stream that had the name, on this node or before
// it was started: a stream begins at the clock's nanosecond of the moment when
// the mount was started or a stream was removed last, and its end never passes
// the clock. So an offset of a stream that is gone is below all that are there.
type Memory struct {
	keep    int64 // bytes of each stream
	held    budget
	started time.Time
	buffers sync.Pool // of *[pieceSize]byte

	mu      sync.Mutex
	root    *node
	next    int64  // offset at which the next stream begins
	version uint64 // of the last change
	awaited map[vfs.Path]*live
	closed  bool
}

// node is a directory or a stream.
type node struct {
	name    string
	mode    vfs.Mode
	changed time.Time
	version uint64
	below   map[string]*node // of a directory
	live    *live            // of a stream
}

// nodeCost is the memory that a name takes beside its letters, in bytes.
const nodeCost = 512

func (n *node) cost() int64 { return nodeCost + int64(len(n.name)) }

var (
	_ vfs.Device   = (*Memory)(nil)
	_ vfs.Putter   = (*Memory)(nil)
	_ vfs.Tuner    = (*Memory)(nil)
	_ vfs.Appender = (*Memory)(nil)
	_ vfs.Relayed  = (*Memory)(nil)
	_ io.Closer    = (*Memory)(nil)
)

func newMemory(s settings) *Memory {
	now := time.Now()
	m := &Memory{keep: s.ring, held: budget{most: s.budget}, started: now, awaited: map[vfs.Path]*live{},
		root: &node{name: "/", mode: vfs.ModeDir | 0o755, changed: now.UTC(), below: map[string]*node{}}}
	m.next = m.clock()
	m.version = uint64(m.next)
	m.root.version = m.version
	m.buffers.New = func() any { return new([pieceSize]byte) }
	return m
}

// clock is the time in nanoseconds since 2025, UTC. It never goes back while the
// process runs.
func (m *Memory) clock() int64 {
	return int64(m.started.Sub(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) + time.Since(m.started))
}

// find returns what is at p. The caller holds mu.
func (m *Memory) find(p vfs.Path) (*node, error) {
	at := m.root
	if p != readmePath && p.Under(readmePath) {
		return nil, vfs.NotDirectory
	}
	for _, name := range p.Elems() {
		if at.below == nil {
			return nil, vfs.NotDirectory
		}
		if at = at.below[name]; at == nil {
			return nil, vfs.NotFound
		}
	}
	return at, nil
}

func (m *Memory) info(n *node) vfs.Info {
	i := vfs.Info{Name: n.name, Mode: n.mode, ModTime: n.changed, Version: n.version, Meta: vfs.Meta{Name: pluginType}}
	if n == m.root {
		i.Meta.Content = map[string]string{"durability": "memory",
			"memory_used": strconv.FormatInt(m.held.used.Load(), 10), memoryBudget: strconv.FormatInt(m.held.most, 10)}
	}
	if n.live == nil {
		return i
	}
	oldest, end, readers := n.live.look()
	i.Size, i.Meta.Type = end-n.live.first, "stream"
	i.Meta.Content = map[string]string{
		"total_written": strconv.FormatInt(i.Size, 10), "oldest": strconv.FormatInt(oldest, 10), endKey: strconv.FormatInt(end, 10),
		"durability": "memory", readersKey: strconv.Itoa(readers), vfs.EndlessKey: "true",
	}
	return i
}

// Facts of a stream that a relay looks at.
const (
	endKey     = "end"
	readersKey = "active_readers"
)

func (m *Memory) readme() vfs.Info {
	return vfs.Info{Name: readmePath.Base(), Size: int64(len(memoryReadme)), Mode: 0o444, ModTime: m.started.UTC(), Version: 1,
		Meta: vfs.Meta{Name: pluginType, Type: "doc"}}
}

// Stat describes p. The size of a stream is how many bytes were ever written.
func (m *Memory) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	if p == readmePath {
		return m.readme(), nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(p)
	if err != nil {
		return vfs.Info{}, err
	}
	return m.info(n), nil
}

// List returns the entries of a directory, as Stat describes them.
func (m *Memory) List(_ context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if p == readmePath {
		return nil, vfs.NotDirectory
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(p)
	switch {
	case err != nil:
		return nil, err
	case n.below == nil:
		return nil, vfs.NotDirectory
	}
	names := slices.Collect(maps.Keys(n.below))
	if p.IsRoot() {
		names = append(names, readmePath.Base())
	}
	slices.Sort(names)
	from, there := slices.BinarySearch(names, after)
	if there {
		from++
	}
	if names = names[from:]; limit > 0 && len(names) > limit {
		names = names[:limit]
	}
	out := make([]vfs.Info, len(names))
	for i, name := range names {
		if below, ok := n.below[name]; ok {
			out[i] = m.info(below)
		} else {
			out[i] = m.readme()
		}
	}
	return out, nil
}

// ReadAt reads the README. A stream is only followed: an offset of a file that
// was opened before the node was started again would be one of other bytes.
func (m *Memory) ReadAt(_ context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	if p == readmePath {
		if off < 0 {
			return 0, vfs.Invalid.With("negative offset")
		}
		return strings.NewReader(memoryReadme).ReadAt(b, off)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(p)
	switch {
	case err != nil:
		return 0, err
	case n.below != nil:
		return 0, vfs.IsDirectory
	}
	return 0, vfs.Invalid.With("use stream mode for reading stream files: stream=true, or /stream of a handle")
}

// Appends reports whether p is or may be a stream.
func (m *Memory) Appends(p vfs.Path) bool { return p != readmePath }

// Tune follows the stream at p. One that is not there yet is waited for.
func (m *Memory) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	if p == readmePath {
		return nil, -1, vfs.Unsupported.With("not a stream")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, -1, errUnmounted
	}
	n, err := m.find(p)
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		return m.await(ctx, p, from)
	case err != nil:
		return nil, -1, err
	case n.live == nil:
		return nil, -1, vfs.IsDirectory
	}
	oldest, end, _ := n.live.look()
	off, err := place(from, oldest, end)
	if err != nil {
		return nil, off, err
	}
	return n.live.listen(off, ctx.Done(), nil), off, nil
}

// await follows a stream that is not there: when it is made it is the one that
// is awaited. The caller holds mu.
func (m *Memory) await(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	l := m.awaited[p]
	if l == nil {
		l = m.newLive()
	}
	off, err := place(from, l.first, l.first)
	if err != nil {
		return nil, off, err
	}
	m.awaited[p] = l
	return l.listen(off, ctx.Done(), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if _, _, readers := l.look(); readers == 0 && m.awaited[p] == l {
			delete(m.awaited, p)
		}
	}), off, nil
}

func (m *Memory) newLive() *live {
	return newLive(m.next, memRing{most: m.keep, held: &m.held})
}

var errUnmounted = vfs.Unavailable.With("unmounted")

// Close ends all streams: their readers are cut off.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.end(m.root, errUnmounted)
	for _, l := range m.awaited {
		l.finish(errUnmounted)
	}
	return nil
}
