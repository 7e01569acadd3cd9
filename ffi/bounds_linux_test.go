package ffi

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// Lanes that cannot be made, as the server has too many files open, leave nothing.
func TestLanesLeaveNothing(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	before := open()
	less := old
	less.Cur = uint64(before + 20)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &less); err != nil {
		t.Fatal(err)
	}
	var quick atomic.Int32
	_, err := newLanes(64, &quick)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Fatal(err)
	}
	if now := open(); now > before+3 {
		t.Errorf("%d files are open, before %d", now, before)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(maps), "memfd:calls") {
		t.Error("its memory is still mapped")
	}
}

// A list is read as far as it was asked for, whatever has come.
func TestListIsBounded(t *testing.T) {
	b := appendList(nil, []vfs.Info{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	if got, err := readList(b, 3); err != nil || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := readList(b, 2); err == nil {
		t.Errorf("%v", got)
	}
}

// odd is a plugin with one file of an odd size.
type odd struct {
	Guest
	size int64
}

func (o odd) Stat(vfs.Path) (vfs.Info, error) {
	return vfs.Info{Name: "f", Mode: 0o644, Size: o.size}, nil
}

// What a plugin says of a size is not counted with before it is one.
func TestOddSizes(t *testing.T) {
	for _, size := range []int64{-1, -5, -1 << 63, vfs.MaxSize + 1} {
		f := &files{guest: odd{size: size}, verbs: vfs.Verbs(vfs.Write, vfs.Truncate)}
		for _, op := range []vfs.Op{
			{Verb: vfs.Write, Path: "/f", Data: []byte("x"), Off: vfs.AtEnd},
			{Verb: vfs.Write, Path: "/f", Data: []byte("x"), Off: 7},
			{Verb: vfs.Truncate, Path: "/f", Off: 3},
		} {
			if _, err := f.do(op); vfs.KindOf(err) != vfs.Crashed {
				t.Errorf("%d, %v: %v", size, op.Verb, err)
			}
		}
	}
}

// fleeting is a plugin whose file is another one, or none, once it is asked for what is
// in it.
type fleeting struct {
	Guest
	was, is vfs.Info
	gone    error
	asked   bool
}

func (f *fleeting) Stat(vfs.Path) (vfs.Info, error) {
	if f.asked {
		return f.is, f.gone
	}
	return f.was, nil
}

func (f *fleeting) List(vfs.Path) ([]vfs.Info, error) {
	f.asked = true
	return nil, vfs.Internal.With("readdir failed")
}

func (f *fleeting) Read(vfs.Path, int64, int64, func([]byte)) error {
	f.asked = true
	return vfs.Internal.With("read failed")
}

// What is taken away between a look at it and the question for what is in it is missing;
// a plugin that has no words for that is not at fault.
func TestGoneSince(t *testing.T) {
	file, dir := vfs.Info{Name: "x", Size: 5}, vfs.Info{Name: "x", Mode: vfs.ModeDir}
	for _, c := range []struct {
		was, is vfs.Info
		gone    error
		want    vfs.Kind
	}{
		{dir, dir, vfs.NotFound, vfs.NotFound}, {dir, file, nil, vfs.NotDirectory}, {dir, dir, nil, vfs.Internal}, {dir, dir, vfs.Crashed, vfs.Internal},
		{file, file, vfs.NotFound, vfs.NotFound}, {file, dir, nil, vfs.IsDirectory}, {file, file, nil, vfs.Internal},
	} {
		f := &files{guest: &fleeting{was: c.was, is: c.is, gone: c.gone}}
		var err error
		if c.was.IsDir() {
			_, err = f.list("/x", "", 0)
		} else {
			_, err = f.readAt("/x", make([]byte, 5), 0)
		}
		if vfs.KindOf(err) != c.want {
			t.Errorf("%v, then %v, %v: %v", c.was, c.is, c.gone, err)
		}
	}
}

// A process that says nothing does not keep who asks whether it lives: it is let go of.
func TestProbeEnds(t *testing.T) {
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	c := &child{conn: ours, gone: make(chan struct{}), calls: map[uint64]*pending{}}
	defer close(c.gone)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := theirs.Read(make([]byte, headSize)); err != nil { // it was asked
		t.Error(err)
	}
}
