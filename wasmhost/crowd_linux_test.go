package wasmhost

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// crowdOf is one that reads line where the kernel would tell who waits.
func crowdOf(t *testing.T, line string) *crowd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loadavg")
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return &crowd{f, 2}
}

// What the kernel tells is understood; what it does not is no crowd.
func TestCrowd(t *testing.T) {
	for line, want := range map[string]company{
		"0.27 0.74 4.13 9999/61234 27746\n": crowded,
		"9.27 0.74 4.13 2/61234 27746\n":    beside,
		"9.27 0.74 4.13 1/61234 27746\n":    alone,
		"0.27 0.74 4.13 3/61234 27746\n":    crowded,
		"0.27 0.74\n":                       alone,
		"0 0 0 x/y 1\n":                     alone,
		"":                                  alone,
	} {
		c := crowdOf(t, line)
		if got := c.look(); got != want {
			t.Errorf("%q: %v", line, got)
		}
		c.close()
	}
	real := newCrowd()
	defer real.close()
	if real.f == nil || real.processors < runtime.NumCPU() {
		t.Errorf("the kernel tells of %d processors", real.processors)
	}
	if real.look(); (&crowd{}).look() != alone {
		t.Error("company where there is no /proc")
	}
}

// A module that loops in a crowd has no more than about half of a processor, whether it
// is called or is a program.
func TestLoopsMakeWay(t *testing.T) {
	const long = time.Second
	loop := op(0x03, 0x40, 0x0c, 0, 0x0b)
	h := newHost(t)
	h.crowd.close()
	h.crowd = crowdOf(t, "0 0 0 9999/9999 1\n")
	held := func(what string, do func()) {
		t.Helper()
		before := spent(t)
		if do(); spent(t)-before > long*3/4 {
			t.Errorf("%s computed for %v of %v", what, spent(t)-before, long)
		}
	}
	fs := mounted(t, plugin(t, h, bad(cat(loop, pair(0, 0))).bytes(), vfs.Limits{Call: long}), vfs.Env{Log: h.log}, nil)
	held("a call", func() {
		if _, err := fs.ReadAt(t.Context(), nil, "/f", make([]byte, 9), 0); vfs.KindOf(err) != vfs.Timeout {
			t.Error(err)
		}
	})
	g := newGuest()
	g.imp("wasi_snapshot_preview1", "fd_read", "iiii:i") // imports are counted before functions
	g.fn("_start", ":", loop)
	held("a program", func() {
		p, err := h.Run(t.Context(), g.bytes(), 1<<20, h.log)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(long)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		p.End(ctx)
	})
}

// spent returns the time of processors that the process has taken.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
