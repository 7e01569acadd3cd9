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
