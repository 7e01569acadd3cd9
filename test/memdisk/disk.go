package memdisk

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/store"
)

// Kind is a kind of call that changes the disk.
type Kind string

// The kinds of calls that a fault can be asked for.
const (
	Create  Kind = "create"
	Mkdir   Kind = "mkdir"
	Link    Kind = "link"
	Rename  Kind = "rename"
	Remove  Kind = "remove"
	Write   Kind = "write"
	Sync    Kind = "sync"
	SyncDir Kind = "syncdir"
)

// Disk is a disk. Safe for concurrent use.
type Disk struct {
	// Fault is asked before every call that changes the disk; an error is the
	// call's. It may wait, but only in a Sync. Set it before the disk is used.
	Fault func(k Kind, name string) error

	mu     sync.Mutex
	root   *node
	locked map[string]bool
}

var _ store.FS = (*Disk)(nil)

// New returns an empty disk.
func New() *Disk { return &Disk{root: newDir(), locked: map[string]bool{}} }

// Cut returns the disk as a power cut at this moment leaves it: all that was
// synced, and of the rest keep percent. The disk itself goes on.
func (d *Disk) Cut(keep int, r *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := cutter{keep, r, map[*node]*node{}}
	return &Disk{root: c.node(d.root), locked: map[string]bool{}}
}

// Copy returns the disk as the next process finds it after this one was
// killed: all that was written is there, and what was not synced may still be
// lost in a power cut.
func (d *Disk) Copy() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := copier{}
	return &Disk{root: c.node(d.root), locked: map[string]bool{}}
}

func (d *Disk) ask(k Kind, name string) error {
	if d.Fault == nil {
		return nil
	}
	return d.Fault(k, name)
}

func missing(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// find returns the node of that name. The caller holds mu.
func (d *Disk) find(name string) (*node, error) {
	n := d.root
	for part := range strings.SplitSeq(strings.Trim(path.Clean(name), "/"), "/") {
		if part == "" || part == "." {
			continue
		}
		if n = n.names[part]; n == nil {
			return nil, missing("open", name)
		}
	}
	return n, nil
}

// parent returns the directory that holds name, and the last element.
func (d *Disk) parent(name string) (*node, string, error) {
	dir, err := d.find(path.Dir(path.Clean("/" + name)))
	if err == nil && !dir.dir {
		err = &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
	}
	return dir, path.Base(name), err
}

// Create makes a new file, in the place of one of that name.
func (d *Disk) Create(name string, _ pebblevfs.DiskWriteCategory) (store.File, error) {
	if err := d.ask(Create, name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, last, err := d.parent(name)
	if err != nil {
		return nil, err
	}
	n := &node{changed: time.Now()}
	dir.set(last, n)
	return &file{d: d, n: n, name: name}, nil
}

// Open opens a file or a directory.
func (d *Disk) Open(name string, _ ...pebblevfs.OpenOption) (store.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return &file{d: d, n: n, name: name}, nil
}

// OpenReadWrite opens a file, made if it is missing.
func (d *Disk) OpenReadWrite(name string, c pebblevfs.DiskWriteCategory, _ ...pebblevfs.OpenOption) (store.File, error) {
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.Create(name, c)
	}
	return f, err
}

// OpenDir opens a directory to be synced.
func (d *Disk) OpenDir(name string) (store.File, error) { return d.Open(name) }

// Link gives a file a second name.
func (d *Disk) Link(from, to string) error {
	return d.change(Link, from, func() error {
		n, err := d.find(from)
		if err != nil {
			return err
		}
		dir, last, err := d.parent(to)
		if err != nil {
			return err
		}
		if dir.names[last] != nil {
			return &fs.PathError{Op: "link", Path: to, Err: fs.ErrExist}
		}
		dir.set(last, n)
		return nil
	})
}

// Rename moves a file or a directory, replacing a file.
func (d *Disk) Rename(from, to string) error {
	return d.change(Rename, from, func() error {
		a, old, err := d.parent(from)
		if err != nil {
			return err
		}
		b, last, err := d.parent(to)
		if err != nil {
			return err
		}
		n := a.names[old]
		switch {
		case n == nil:
			return missing("rename", from)
		case n.dir && b.names[last] != nil && len(b.names[last].names) > 0:
			return &fs.PathError{Op: "rename", Path: to, Err: syscall.ENOTEMPTY}
		case a == b:
			a.move(old, last)
		default:
			b.set(last, n)
			a.set(old, nil)
		}
		return nil
	})
}

// ReuseForWrite renames a file and opens it for writing from its start.
func (d *Disk) ReuseForWrite(from, to string, _ pebblevfs.DiskWriteCategory) (store.File, error) {
	if err := d.Rename(from, to); err != nil {
		return nil, err
	}
	return d.Open(to)
}

// Remove removes a file or an empty directory.
func (d *Disk) Remove(name string) error {
	return d.change(Remove, name, func() error {
		dir, last, err := d.parent(name)
		if err != nil {
			return err
		}
		n := dir.names[last]
		if n == nil {
			return missing("remove", name)
		}
		if len(n.names) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
		}
		dir.set(last, nil)
		return nil
	})
}

// RemoveAll removes a file, or a directory with all that is in it.
func (d *Disk) RemoveAll(name string) error {
	return d.change(Remove, name, func() error {
		dir, last, err := d.parent(name)
		if err == nil && dir.names[last] != nil {
			dir.set(last, nil)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
}

// MkdirAll makes a directory and its missing parents.
func (d *Disk) MkdirAll(name string, _ fs.FileMode) error {
	return d.change(Mkdir, name, func() error {
		n := d.root
		for part := range strings.SplitSeq(strings.Trim(path.Clean(name), "/"), "/") {
			if n.names[part] == nil {
				n.set(part, newDir())
			}
			if n = n.names[part]; !n.dir {
				return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
			}
		}
		return nil
	})
}

func (d *Disk) change(k Kind, name string, f func() error) error {
	if err := d.ask(k, name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return f()
}

// Lock takes a lock by name, until it is closed.
func (d *Disk) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	taken := d.locked[name]
	d.locked[name] = true
	d.mu.Unlock()
	if taken {
		return nil, syscall.EAGAIN
	}
	f, err := d.Create(name, pebblevfs.WriteCategoryUnspecified)
	if err != nil {
		d.unlock(name)
		return nil, err
	}
	return &lock{f, d, name}, nil
}

func (d *Disk) unlock(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.locked, name)
}

type lock struct {
	store.File
	d    *Disk
	name string
}

// Close gives the lock back.
func (l *lock) Close() error {
	l.d.unlock(l.name)
	return l.File.Close()
}

// List returns the names in a directory, sorted.
func (d *Disk) List(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(n.names))
	for name := range n.names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// Stat describes a file or a directory.
func (d *Disk) Stat(name string) (pebblevfs.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return n.info(name), nil
}

// PathBase returns the last element.
func (d *Disk) PathBase(p string) string { return path.Base(p) }

// PathJoin joins elements.
func (d *Disk) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir returns all but the last element.
func (d *Disk) PathDir(p string) string { return path.Dir(p) }

// GetDiskUsage says that there is room.
func (d *Disk) GetDiskUsage(string) (pebblevfs.DiskUsage, error) {
	return pebblevfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41, UsedBytes: 1 << 40}, nil
}

// Unwrap returns nil: there is no disk below.
func (d *Disk) Unwrap() store.FS { return nil }
