package volume

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// DefaultBallast is the size of the file that is given up when a write
	// finds no space, in bytes.
	DefaultBallast = 16 << 20

	maxReserve   = 1 << 30
	minReserve   = 48 << 20
	reservePart  = 20 // of the disk is kept free
	reserveMost  = 4  // the reserve is at most this part of the disk
	ballastFile  = "ballast"
	retryPause   = 100 * time.Millisecond
	hungryTime   = 2 * time.Second // after a write that found no space
	regainPart   = 8               // of the reserve more than it must be free again
	ballastRooms = 4               // ballasts that must be free beside the reserve to make one
)

// Options are the settings of a Volume.
type Options struct {
	FS  pebblevfs.FS // the disk; nil for that of the system
	Dir string       // a directory on it, of the node alone
	// Reserve is how many bytes are to stay free: with less, the volume is
	// Full. 0 for a twentieth of the disk, at least 48 MiB and at most 1 GiB,
	// and never more than a quarter of it.
	Reserve int64
	// Ballast is the size in bytes of a file in Dir that is given up at the
	// first write that finds no space, so that what frees space can be
	// written; 0 for [DefaultBallast], negative for none.
	Ballast int64
	// OnStarve is called when a write finds no space and none had just now.
	// Not blocking; nil for nobody.
	OnStarve func()
	// Usage replaces the question to the system, for tests; nil asks it.
	Usage func() (total, free int64, err error)
}

// Usage is what is known of the space on a volume, in bytes.
type Usage struct {
	Total, Free, Reserve int64
}

// Volume is a disk that is looked at. All methods are safe for concurrent use.
type Volume struct {
	o      Options
	closed chan struct{}
	once   sync.Once
	ops    ops

	mu     sync.Mutex // never held over a call to the disk, which may stand still
	usage  Usage
	full   bool
	hungry time.Time // when a write found no space last

	ballast struct {
		sync.Mutex
		there bool
	}
}

// Open looks at the disk for the first time and makes the ballast if there is
// room. A disk that does not tell its size is never full before a write finds
// no space.
func Open(o Options) (*Volume, error) {
	if o.FS == nil {
		o.FS = pebblevfs.Default
	}
	if o.Ballast == 0 {
		o.Ballast = DefaultBallast
	}
	v := &Volume{o: o, closed: make(chan struct{})}
	_, err := o.FS.Stat(v.ballastPath())
	v.ballast.there = err == nil
	return v, v.Look()
}

func (v *Volume) ballastPath() string { return v.o.FS.PathJoin(v.o.Dir, ballastFile) }

// Look asks how much is free. An error leaves what was known.
func (v *Volume) Look() error {
	total, free, err := v.ask()
	if err != nil || total <= 0 {
		return err
	}
	reserve := reserveOf(v.o.Reserve, total)
	v.mu.Lock()
	v.usage = Usage{total, free, reserve}
	switch {
	case free < reserve:
		v.full = true
	case free > reserve+reserve/regainPart:
		v.full = false
	}
	starving := v.starving()
	v.mu.Unlock()
	if v.o.Ballast > 0 && !starving && free > reserve+ballastRooms*v.o.Ballast {
		v.makeBallast()
	}
	return nil
}

func (v *Volume) ask() (total, free int64, err error) {
	if v.o.Usage != nil {
		return v.o.Usage()
	}
	u, err := v.o.FS.GetDiskUsage(v.o.Dir)
	if errors.Is(err, pebblevfs.ErrUnsupported) {
		return 0, 0, nil
	}
	return int64(u.TotalBytes), int64(u.AvailBytes), err
}

func reserveOf(asked, total int64) int64 {
	if asked > 0 {
		return asked
	}
	return min(max(min(total/reservePart, maxReserve), minReserve), total/reserveMost)
}

// makeBallast makes the file if it is not there. It is no loss if that fails.
func (v *Volume) makeBallast() {
	v.ballast.Lock()
	defer v.ballast.Unlock()
	if v.ballast.there {
		return
	}
	f, err := v.o.FS.Create(v.ballastPath(), pebblevfs.WriteCategoryUnspecified)
	if err != nil {
		return
	}
	err = errors.Join(f.Preallocate(0, v.o.Ballast), f.Close())
	if err != nil {
		_ = v.o.FS.Remove(v.ballastPath()) // should it stay, it is small
		return
	}
	v.ballast.there = true
}

// giveBallast removes the file; it reports whether that was done now.
func (v *Volume) giveBallast() bool {
	v.ballast.Lock()
	defer v.ballast.Unlock()
	gave := v.ballast.there && v.o.FS.Remove(v.ballastPath()) == nil
	v.ballast.there = v.ballast.there && !gave
	return gave
}

// Usage returns what the last look found; zero if the disk does not tell.
func (v *Volume) Usage() Usage {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.usage
}

// Full reports whether less than the reserve is free, or a write has found no
// space just now. Once full it takes an eighth more than the reserve to be so
// no more.
func (v *Volume) Full() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.full || v.starving()
}

// Starving reports whether a write has found no space just now, and so may be
// waiting for it.
func (v *Volume) Starving() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.starving()
}

func (v *Volume) starving() bool { return !v.hungry.IsZero() && time.Since(v.hungry) < hungryTime }

// NoSpace reports whether err says that the disk has no space.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Retry is asked with the error of a write. If that found no space, it gives
// up the ballast or waits a moment, and returns true: try again. It returns
// false for any other error, for that of a sync, and once the Volume is closed.
func (v *Volume) Retry(err error) bool {
	var at *fs.PathError
	if !NoSpace(err) || errors.As(err, &at) && (at.Op == "sync" || at.Op == "fsync") {
		return false
	}
	v.mu.Lock()
	first := !v.starving()
	v.hungry = time.Now()
	v.mu.Unlock()
	if first && v.o.OnStarve != nil {
		v.o.OnStarve()
	}
	pause := time.After(retryPause)
	if v.giveBallast() {
		pause = time.After(0)
	}
	select {
	case <-v.closed:
		return false
	case <-pause:
		return true
	}
}

// Close lets writes that wait for space fail with what they found.
func (v *Volume) Close() { v.once.Do(func() { close(v.closed) }) }
