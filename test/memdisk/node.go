package memdisk

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

const block = 4096 // bytes that a cut keeps or loses at once

// node is a file or a directory. The disk's mu guards all of it.
type node struct {
	dir     bool
	changed time.Time

	// Of a file: what is read, and what is durable. They differ in lo to hi at
	// most. shared says that another disk may have the same bytes.
	data, safe []byte
	lo, hi     int
	shared     bool

	// Of a directory: names as they are, as they were synced, and how the one
	// came from the other.
	names, synced map[string]*node
	since         []change
}

// change is one step of a directory: it takes a name away, or gives it to a
// node, or both at once.
type change struct {
	gone, name string
	n          *node
}

func newDir() *node {
	return &node{dir: true, names: map[string]*node{}, synced: map[string]*node{}}
}

func (c change) apply(names map[string]*node) {
	if c.gone != "" {
		delete(names, c.gone)
	}
	if c.name != "" {
		names[c.name] = c.n
	}
}

func (n *node) do(c change) {
	c.apply(n.names)
	n.since = append(n.since, c)
}

// set gives a name to a node; nil takes it away.
func (n *node) set(name string, to *node) {
	if to == nil {
		n.do(change{gone: name})
		return
	}
	n.do(change{name: name, n: to})
}

func (n *node) move(from, to string) {
	n.do(change{gone: from, name: to, n: n.names[from]})
}

func (n *node) write(b []byte, off int) {
	if n.shared { // from here on the disks differ
		n.data, n.safe, n.shared = bytes.Clone(n.data), bytes.Clone(n.safe), false
	}
	if n.lo == n.hi {
		n.lo, n.hi = off, off
	}
	n.lo, n.hi = min(n.lo, off), max(n.hi, off+len(b))
	if gap := off - len(n.data); gap > 0 {
		n.lo = min(n.lo, len(n.data))
		n.data = append(n.data, make([]byte, gap)...)
	}
	over := copy(n.data[off:], b)
	n.data = append(n.data, b[over:]...)
	n.changed = time.Now()
}

func (n *node) sync() {
	if n.dir {
		if len(n.since) > 0 {
			n.synced, n.since = maps.Clone(n.names), nil
		}
		return
	}
	if n.lo < n.hi {
		over := copy(n.safe[n.lo:], n.data[n.lo:n.hi])
		n.safe = append(n.safe, n.data[n.lo+over:n.hi]...)
	}
	n.lo, n.hi = 0, 0
}

// cutter makes what a power cut leaves. A node that two directories hold stays
// one.
type cutter struct {
	keep int
	r    *rand.Rand
	done map[*node]*node
}

func (c *cutter) kept() bool { return c.keep >= 100 || c.keep > 0 && c.r.IntN(100) < c.keep }

func (c *cutter) node(n *node) *node {
	if out := c.done[n]; out != nil {
		return out
	}
	out := &node{dir: n.dir, changed: n.changed}
	c.done[n] = out
	if !n.dir {
		c.file(n, out)
		return out
	}
	names := maps.Clone(n.synced)
	for _, step := range n.since {
		if !c.kept() {
			break
		}
		step.apply(names)
	}
	out.names = make(map[string]*node, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out.names[name] = c.node(names[name])
	}
	out.synced = maps.Clone(out.names)
	return out
}

func (c *cutter) file(n, out *node) {
	out.shared = true
	if n.lo == n.hi { // nothing is at stake: both disks have the same bytes
		n.shared = true
		out.data, out.safe = n.data, n.safe
		return
	}
	b := bytes.Clone(n.safe)
	for i := n.lo / block * block; i < n.hi; i += block {
		if !c.kept() {
			continue
		}
		end := min(i+block, len(n.data))
		if gap := end - len(b); gap > 0 {
			b = append(b, make([]byte, gap)...)
		}
		copy(b[i:end], n.data[i:end])
	}
	out.data, out.safe = b, b
}

// copier makes a second disk of one.
type copier map[*node]*node

func (c copier) node(n *node) *node {
	if out := c[n]; out != nil {
		return out
	}
	out := &node{dir: n.dir, changed: n.changed}
	c[n] = out
	if !n.dir {
		n.shared = true
		out.data, out.safe, out.lo, out.hi, out.shared = n.data, n.safe, n.lo, n.hi, true
		return out
	}
	out.names, out.synced = c.names(n.names), c.names(n.synced)
	for _, step := range n.since {
		if step.n != nil {
			step.n = c.node(step.n)
		}
		out.since = append(out.since, step)
	}
	return out
}

func (c copier) names(names map[string]*node) map[string]*node {
	out := make(map[string]*node, len(names))
	for name, n := range names {
		out[name] = c.node(n)
	}
	return out
}

// info describes a node.
type info struct {
	name    string
	size    int64
	mode    fs.FileMode
	changed time.Time
}

func (n *node) info(name string) info {
	i := info{path.Base(name), int64(len(n.data)), 0o644, n.changed}
	if n.dir {
		i.mode = fs.ModeDir | 0o755
	}
	return i
}

// Name returns the last element.
func (i info) Name() string { return i.name }

// Size returns the length in bytes.
func (i info) Size() int64 { return i.size }

// Mode says whether it is a directory.
func (i info) Mode() fs.FileMode { return i.mode }

// ModTime returns when it was written last.
func (i info) ModTime() time.Time { return i.changed }

// IsDir reports whether it is a directory.
func (i info) IsDir() bool { return i.mode.IsDir() }

// Sys returns nil.
func (i info) Sys() any { return nil }

// DeviceID returns none.
func (i info) DeviceID() pebblevfs.DeviceID { return pebblevfs.DeviceID{} }

// file is an open file or directory. Its position belongs to one goroutine.
type file struct {
	d      *Disk
	n      *node
	name   string
	pos    int
	closed bool
}

// Close closes it; a second time is an error.
func (f *file) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

// Read reads from the position.
func (f *file) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, int64(f.pos))
	f.pos += n
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt reads from an offset.
func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Write writes at the position.
func (f *file) Write(b []byte) (int, error) {
	n, err := f.WriteAt(b, int64(f.pos))
	f.pos += n
	return n, err
}

// WriteAt writes at an offset.
func (f *file) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.ask(Write, f.name); err != nil {
		return 0, err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.n.write(b, int(off))
	return len(b), nil
}

// Sync makes the bytes of a file, or the names of a directory, durable.
func (f *file) Sync() error {
	kind := Sync
	if f.n.dir {
		kind = SyncDir
	}
	if err := f.d.ask(kind, f.name); err != nil {
		return err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.n.sync()
	return nil
}

// SyncData is Sync.
func (f *file) SyncData() error { return f.Sync() }

// SyncTo promises nothing.
func (f *file) SyncTo(int64) (bool, error) { return false, nil }

// Preallocate does nothing.
func (f *file) Preallocate(int64, int64) error { return nil }

// Prefetch does nothing.
func (f *file) Prefetch(int64, int64) error { return nil }

// Fd returns no file descriptor.
func (f *file) Fd() uintptr { return pebblevfs.InvalidFd }

// Stat describes the file.
func (f *file) Stat() (pebblevfs.FileInfo, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return f.n.info(f.name), nil
}
