//go:build !race

// The race detector's own memory grows with what is called.

package wasmhost

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// resident returns the bytes of memory that the process holds.
func resident(t *testing.T) int64 {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// Calls, crashes and mounts leave nothing behind. PFS_SOAK=1 makes it a million
// calls and ten thousand mounts.
func TestLeaks(t *testing.T) {
	calls, mounts := 50_000, 300
	if os.Getenv("PFS_SOAK") != "" {
		calls, mounts = 1_000_000, 10_000
	}
	g := bad(get(1), i64(99), op(0x51, 0x04, 0x40, 0x00, 0x0b), pair(atBytes, 5)) // it traps at 99
	h := newHost(t)
	p := plugin(t, h, g.frees("i:").bytes(), vfs.Limits{})
	mount := func() *FS {
		fs, err := p.New(vfs.Env{Log: h.log, Mount: "/at"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fs.(*FS)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := mount()
	work := func(n int) {
		for k := range n {
			if k%500 == 499 { // the memory of the guest's malloc is at its end soon
				_ = f.with(context.Background(), func(c *call) error {
					_, _, err := c.run("fs_read", 0, 99, 1)
					return err
				})
			}
			_, _ = f.Stat(context.Background(), nil, "/f")
		}
	}
	cycle := func(n int) {
		for range n {
			if err := mount().Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	work(calls / 10)
	cycle(mounts / 10)
	before := resident(t)
	work(calls)
	afterCalls := resident(t)
	cycle(mounts)
	after := resident(t)
	t.Logf("%d calls: %d KiB more; %d mounts: %d KiB more", calls, (afterCalls-before)>>10, mounts, (after-afterCalls)>>10)
	if grown := after - before; grown > 32<<20 {
		t.Errorf("%d MiB more than before", grown>>20)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
