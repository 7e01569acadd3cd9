package ffi

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// resident returns the bytes of memory that a process holds.
func resident(t *testing.T, pid string) int64 {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/" + pid + "/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// descriptors counts those that this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Calls and mounts leave nothing behind, neither here nor in the process of a
// plugin that wants its memory back. PFS_SOAK=1 makes it a million calls and ten
// thousand mounts.
func TestLeaks(t *testing.T) {
	calls, mounts := 20_000, 50
	if os.Getenv("PFS_SOAK") != "" {
		calls, mounts = 1_000_000, 10_000
	}
	h := newHost(t)
	p := plugin(t, h, examples(t)["memory"], vfs.Limits{}, 0)
	open := func() *FS {
		fs, err := p.New(vfs.Env{Mount: "/m", Log: slog.New(slog.DiscardHandler)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fs.(*FS)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := open()
	ctx := context.Background()
	if _, err := f.Put(ctx, vfs.Op{Verb: vfs.Write, Path: "/f"}, strings.NewReader(strings.Repeat("x", 10_000))); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10_000)
	do := []func() error{
		func() error { _, err := f.Stat(ctx, nil, "/f"); return err },
		func() error { _, err := f.List(ctx, nil, "/", "", 0); return err },
		func() error { _, err := f.ReadAt(ctx, nil, "/f", b, 0); return err },
		func() error {
			_, err := f.Do(ctx, vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte("y"), Off: 5})
			return err
		},
		func() error {
			if _, err := f.Stat(ctx, nil, "/none"); vfs.KindOf(err) != vfs.NotFound {
				return fmt.Errorf("no file: %w", err)
			}
			return nil
		},
	}
	work := func(n int) {
		for k := range n {
			if err := do[k%len(do)](); err != nil {
				t.Fatal(err)
			}
		}
	}
	cycle := func(n int) {
		for range n {
			if err := open().Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var pid string
	if err := f.at.(*far).runs.Use(ctx, func(_ context.Context, c *child) error { pid = strconv.Itoa(c.Pid()); return nil }); err != nil {
		t.Fatal(err)
	}
	work(calls / 2)
	cycle(mounts / 5)
	here, there, open0 := resident(t, "self"), resident(t, pid), descriptors(t)
	work(calls)
	cycle(mounts)
	moreHere, moreThere := resident(t, "self")-here, resident(t, pid)-there
	t.Logf("%d calls, %d mounts: %d KiB more here, %d KiB in the plugin's process", calls, mounts, moreHere>>10, moreThere>>10)
	if moreHere > 32<<20 || moreThere > 16<<20 {
		t.Error("it grows")
	}
	if n := descriptors(t); n > open0+5 {
		t.Errorf("%d descriptors, %d before", n, open0)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Benchmark is one Stat, one read of 4 KiB, and 32 MiB in and out.
func Benchmark(b *testing.B) {
	h, libs := newHost(b), examples(b)
	f := mount(b, plugin(b, h, libs["memory"], vfs.Limits{}, 0), nil)
	ctx := b.Context()
	whole := make([]byte, maxPut)
	put := func() error {
		_, err := f.Put(ctx, vfs.Op{Verb: vfs.Write, Path: "/f"}, bytes.NewReader(whole))
		return err
	}
	if err := put(); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		bytes int64
		do    func() error
	}{
		{"stat", 0, func() error { _, err := f.Stat(ctx, nil, "/f"); return err }},
		{"read 4KiB", 4 << 10, func() error { _, err := f.ReadAt(ctx, nil, "/f", whole[:4<<10], 8); return err }},
		{"write 1KiB", 1 << 10, func() error {
			_, err := f.Do(ctx, vfs.Op{Verb: vfs.Write, Path: "/f", Data: whole[:1<<10], Off: 8})
			return err
		}},
		{"read 32MiB", maxPut, func() error { _, err := f.ReadAt(ctx, nil, "/f", whole, 0); return err }},
		{"put 32MiB", maxPut, put},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(c.bytes)
			for b.Loop() {
				if err := c.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
