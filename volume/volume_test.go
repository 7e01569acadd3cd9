package volume

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// gauge is a disk whose free space a test sets.
type gauge struct{ total, free atomic.Int64 }

func (g *gauge) ask() (int64, int64, error) { return g.total.Load(), g.free.Load(), nil }

func open(t *testing.T, o Options, total, free int64) (*Volume, *gauge) {
	t.Helper()
	g := &gauge{}
	g.total.Store(total)
	g.free.Store(free)
	o.Usage = g.ask
	if o.FS == nil {
		o.FS = pebblevfs.NewMem()
	}
	v, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return v, g
}

func TestReserve(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ asked, total, want int64 }{
		{0, 100 << 30, 1 << 30}, {0, 10 << 30, 512 * mib}, {0, 512 * mib, 48 * mib},
		{0, 100 * mib, 25 * mib}, {7 * mib, 100 << 30, 7 * mib},
	} {
		if got := reserveOf(c.asked, c.total); got != c.want && got/mib != c.want/mib {
			t.Errorf("of %d MiB, %d asked for: %d MiB, want %d", c.total/mib, c.asked, got/mib, c.want/mib)
		}
	}
}

// TestFull goes below the reserve and comes back over it.
func TestFull(t *testing.T) {
	v, g := open(t, Options{Reserve: 800}, 10000, 5000)
	for _, c := range []struct {
		free int64
		full bool
	}{{800, false}, {799, true}, {850, true}, {900, true}, {901, false}, {800, false}} {
		g.free.Store(c.free)
		if err := v.Look(); err != nil {
			t.Fatal(err)
		}
		if v.Full() != c.full || v.Usage().Free != c.free {
			t.Errorf("%d free: full is %v, %+v", c.free, v.Full(), v.Usage())
		}
	}
}

// TestBallast is made when there is room, given up once, and made again.
func TestBallast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // pauses of the machine are none of its clock
		mem := pebblevfs.NewMem()
		there := func() bool { _, err := mem.Stat("d/" + ballastFile); return err == nil }
		if err := mem.MkdirAll("d", 0o755); err != nil {
			t.Fatal(err)
		}
		v, g := open(t, Options{FS: mem, Dir: "d", Reserve: 10, Ballast: 100}, 1000, 410)
		if there() {
			t.Fatal("a ballast without room for it")
		}
		g.free.Store(411)
		if err := v.Look(); err != nil || !there() {
			t.Fatalf("no ballast: %v", err)
		}
		start := time.Now()
		if !v.Retry(syscall.ENOSPC) || time.Since(start) >= retryPause || there() || !v.Full() || !v.Starving() {
			t.Error("it is not given up at once")
		}
		if err := v.Look(); err != nil || there() {
			t.Errorf("a ballast while writes find no space: %v", err)
		}
		if !v.Retry(&fs.PathError{Op: "write", Err: syscall.EDQUOT}) || time.Since(start) < retryPause {
			t.Error("no pause before the next try")
		}
		for _, err := range []error{nil, errors.New("other"), syscall.EIO, &fs.PathError{Op: "sync", Err: syscall.ENOSPC}} {
			if v.Retry(err) {
				t.Errorf("%v is tried again", err)
			}
		}
		v.Close()
		if v.Retry(syscall.ENOSPC) {
			t.Error("tried again after Close")
		}
	})
}

// full fails writes for want of space while it is set, after half of them.
type full struct {
	pebblevfs.File
	no *atomic.Bool
}

func (f full) Write(b []byte) (int, error) {
	if !f.no.Load() {
		return f.File.Write(b)
	}
	n, err := f.File.Write(b[:len(b)/2])
	return n, errors.Join(err, syscall.ENOSPC)
}

type fullFS struct {
	pebblevfs.FS
	no *atomic.Bool
}

func (f fullFS) Create(name string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	file, err := f.FS.Create(name, c)
	return full{file, f.no}, err
}

// TestWritesWait has a write find no space half way: it ends with every byte
// once, when there is space.
func TestWritesWait(t *testing.T) {
	var no atomic.Bool
	mem := pebblevfs.NewMem()
	v, _ := open(t, Options{}, 1000, 1000)
	disk := v.FS(fullFS{mem, &no})
	f, err := disk.Create("f", pebblevfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	no.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := f.Write([]byte("0123456789abcdef"))
		done <- err
	}()
	for !v.Starving() {
		time.Sleep(time.Millisecond)
	}
	no.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 16)
	r, err := mem.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(got, 0); err != nil || string(got) != "0123456789abcdef" {
		t.Errorf("%q, %v", got, err)
	}
	no.Store(true)
	v.Close()
	if _, err := f.Write([]byte("0123456789")); !NoSpace(err) {
		t.Errorf("after Close: %v", err)
	}
}

// TestNamesWait has every other call that makes something find no space once.
func TestNamesWait(t *testing.T) {
	var left atomic.Int32
	disk := errorfs.Wrap(pebblevfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) == 0 {
			return syscall.ENOSPC
		}
		return nil
	}))
	v, _ := open(t, Options{}, 1000, 1000)
	p := v.FS(disk)
	keep := func(f pebblevfs.File, err error) error {
		if err == nil {
			err = f.Close()
		}
		return err
	}
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"mkdir", func() error { return p.MkdirAll("d", 0o755) }},
		{"create", func() error { return keep(p.Create("d/a", pebblevfs.WriteCategoryUnspecified)) }},
		{"link", func() error { return p.Link("d/a", "d/b") }},
		{"rename", func() error { return p.Rename("d/b", "d/c") }},
		{"reuse", func() error { return keep(p.ReuseForWrite("d/c", "d/d", pebblevfs.WriteCategoryUnspecified)) }},
	} {
		left.Store(1)
		if err := c.do(); err != nil || left.Load() >= 1 {
			t.Errorf("%s: %v, failures left %d", c.what, err, left.Load())
		}
	}
	left.Store(0)
	names, err := p.List("d")
	if slices.Sort(names); err != nil || strings.Join(names, " ") != "a d" {
		t.Errorf("%v, %v", names, err)
	}
}

// TestSlowAndStuck sees a call that takes long while it does, and after.
func TestSlowAndStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // pauses of the machine are none of its clock
		v, _ := open(t, Options{}, 1000, 1000)
		var heard atomic.Value
		v.OnSlow(10*time.Millisecond, func(what, name string, d time.Duration) { heard.Store(what + " " + name) })
		v.Begin("write", "quick")()
		end := v.Begin("sync", "f")
		for v.Stuck(20*time.Millisecond) == nil {
			time.Sleep(time.Millisecond)
		}
		if err := v.Stuck(20 * time.Millisecond); !strings.Contains(err.Error(), "sync of f has not come back") {
			t.Error(err)
		}
		if heard.Load() != nil {
			t.Errorf("%v was slow", heard.Load())
		}
		v.Stood()
		if err := v.Stuck(20 * time.Millisecond); err != nil {
			t.Errorf("the process stood still, and the disk is blamed: %v", err)
		}
		time.Sleep(21 * time.Millisecond)
		if v.Stuck(20*time.Millisecond) == nil {
			t.Error("a disk that stands still goes unseen once the process stood still")
		}
		end()
		if err := v.Stuck(0); err != nil || heard.Load() != "sync f" {
			t.Errorf("%v, %v", err, heard.Load())
		}
	})
}

// TestWaitingIsNotStuck has a call that waits for space, and so would come back
// if there were some.
func TestWaitingIsNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // pauses of the machine are none of its clock
		v, _ := open(t, Options{Ballast: -1}, 1000, 0)
		defer v.Begin("append", "raft log")()
		for range 4 {
			if !v.Retry(syscall.ENOSPC) {
				t.Fatal("no second try")
			}
			if err := v.Stuck(2 * retryPause); err != nil {
				t.Fatal(err)
			}
		}
		for v.Stuck(2*retryPause) == nil {
			time.Sleep(time.Millisecond)
		}
	})
}
