package native_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/ffi"
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

// children returns the processes that this one has started.
func children(t *testing.T) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		b, _ := os.ReadFile(s) // one that has ended is none of them
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			pids = append(pids, filepath.Base(filepath.Dir(s)))
		}
	}
	return pids
}

// account is what a process holds.
type account struct {
	here, there int64 // bytes of memory: of this process, of the plugin's
	open        int
}

func accountOf(t *testing.T, plugin string) (a account) {
	t.Helper()
	if plugin != "" {
		a.there = resident(t, plugin)
	}
	a.here, a.open = resident(t, "self"), descriptors(t)
	return a
}

// grew fails if there is more than noise.
func (a account) grew(t *testing.T, plugin, what string) {
	t.Helper()
	b := accountOf(t, plugin)
	t.Logf("%s: %d KiB more here, %d KiB in the plugin's process, %d descriptors", what, (b.here-a.here)>>10, (b.there-a.there)>>10, b.open-a.open)
	if b.here-a.here > 32<<20 || b.there-a.there > 16<<20 || b.open > a.open+5 {
		t.Error("it grows")
	}
}

// Calls leave nothing behind, neither here nor in the process of a plugin that
// wants its memory back. PFS_SOAK=1 makes it a million.
func TestLeaksOfCalls(t *testing.T) {
	calls := 10_000
	if soaks() {
		calls = 1_000_000
	}
	both(t, compiled(t, memory), func(t *testing.T, h *ffi.Host, p vfs.Plugin) {
		f, ctx, b := mount(t, p, nil), context.Background(), make([]byte, 10_000)
		var pid string
		if pids := children(t); len(pids) == 1 {
			pid = pids[0]
		}
		if _, err := f.Put(ctx, vfs.Op{Verb: vfs.Write, Path: "/f"}, strings.NewReader(strings.Repeat("x", 10_000))); err != nil {
			t.Fatal(err)
		}
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
		work(calls / 2)
		before := accountOf(t, pid)
		work(calls)
		before.grew(t, pid, fmt.Sprint(calls, " calls"))
	})
}

// Mounts leave nothing behind. PFS_SOAK=1 makes it ten thousand, or as many as there
// is time for.
func TestLeaksOfMounts(t *testing.T) {
	mounts := 40
	if soaks() {
		mounts = 10_000
	}
	both(t, compiled(t, memory), func(t *testing.T, h *ffi.Host, p vfs.Plugin) {
		last, limited := t.Deadline()
		last = last.Add(-20 * time.Second)
		cycle := func(n int) int {
			var two sync.WaitGroup
			var done atomic.Int64
			for range 2 {
				two.Go(func() {
					for done.Add(1) <= int64(n) && (!limited || time.Now().Before(last)) {
						if err := once(t.Context(), p); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			two.Wait()
			return int(done.Load()) - 2
		}
		cycle(min(mounts/4, 100))
		before := accountOf(t, "")
		n := cycle(mounts)
		before.grew(t, "", fmt.Sprint(n, " mounts"))
		if pids := children(t); len(pids) > 0 {
			t.Errorf("processes are left: %v", pids)
		}
	})
}

// once mounts, writes, reads and unmounts.
func once(ctx context.Context, p vfs.Plugin) error {
	fs, err := p.New(vfs.Env{Mount: "/m", Log: discard()}, nil)
	if err != nil {
		return err
	}
	f := fs.(*ffi.FS)
	if err = f.Start(ctx); err == nil {
		_, err = f.Put(ctx, vfs.Op{Verb: vfs.Write, Path: "/f"}, strings.NewReader("kept"))
	}
	b := make([]byte, 4)
	if err == nil {
		_, err = f.ReadAt(ctx, nil, "/f", b, 0)
	}
	if err == nil && string(b) != "kept" {
		err = fmt.Errorf("%q", b)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
