package prochost

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// held is what this process holds.
type held struct{ files, routines, threads int }

func holds(t testing.TB) held {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return held{len(files), runtime.NumGoroutine(), len(threads)}
}

// Mounts, calls, crashes and unmounts leave nothing behind. The long form is ten
// thousand mounts and a million calls.
func TestLeaks(t *testing.T) {
	mounts, calls := 15, 1000
	if os.Getenv("PFS_SOAK") != "" {
		mounts, calls = 10_000, 1_000_000
	}
	codes := map[string][]byte{MessagePack: python(t, "memory"), HTTP: program(t, "memory")}
	one := func(n int) {
		for kind, code := range codes {
			lib := vfs.Library{}
			f, _, err := mounted(t, kind, code, lib, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Mkdir, Path: "/d"}); err != nil {
				t.Fatal(err)
			}
			if n%3 == 0 {
				kill(t, f)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	one(0) // what is made once
	before := holds(t)
	for n := range mounts {
		one(n)
	}
	var after held
	soon(t, "nothing more is held than before", func() bool {
		after = holds(t)
		return after.files <= before.files && after.routines <= before.routines && after.threads <= before.threads+4
	})
	if left := leftBehind(t); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	for kind, code := range codes {
		f, _, err := mounted(t, kind, code, vfs.Library{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range calls {
			if _, err := f.Stat(t.Context(), nil, "/x"); vfs.KindOf(err) != vfs.NotFound {
				t.Fatal(err)
			}
		}
		if err := f.get(t.Context(), func(_ context.Context, b backend) error {
			if f, ok := b.(*f4); ok && len(f.rpc.calls) != 0 {
				t.Errorf("%d calls are kept", len(f.rpc.calls))
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d mounts and %d calls of each kind: %+v before, %+v after", mounts, calls, before, after)
}

// kill ends the process of a mount.
func kill(t testing.TB, f *FS) {
	t.Helper()
	if err := f.get(t.Context(), func(_ context.Context, b backend) error {
		pid := 0
		switch b := b.(type) {
		case *f4:
			pid = b.proc.(*supervise.Child).Pid()
		case httpFS:
			pid = b.child.Pid()
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}); err != nil && vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
}

// content is what one caller writes: nobody else has it.
func content(who, n int) []byte {
	sum := sha256.Sum256(fmt.Append(nil, who, n))
	return bytes.Repeat(sum[:], 1000+who*100)
}

// Many callers of one mount get their own bytes. The long form is a minute.
func TestOwnBytes(t *testing.T) {
	long := 2 * time.Second
	if os.Getenv("PFS_SOAK") != "" {
		long = time.Minute
	}
	for kind, code := range map[string][]byte{MessagePack: python(t, "memory"), HTTP: program(t, "memory")} {
		t.Run(kind, func(t *testing.T) {
			f, _, err := mounted(t, kind, code, vfs.Library{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			var rounds atomic.Int64
			until := time.Now().Add(long)
			for who := range 16 {
				wg.Go(func() {
					p := vfs.Path(fmt.Sprintf("/f%d", who))
					for n := 0; time.Now().Before(until); n++ {
						want := content(who, n)
						if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Data: want, Flag: vfs.FlagCreate | vfs.FlagTruncate}); err != nil {
							t.Error(err)
							return
						}
						b := make([]byte, len(want)+1)
						k, err := f.ReadAt(t.Context(), nil, p, b, 0)
						if !errors.Is(err, io.EOF) || !bytes.Equal(b[:k], want) {
							t.Errorf("caller %d: %d bytes, %v", who, k, err)
							return
						}
						rounds.Add(1)
					}
				})
			}
			wg.Wait()
			t.Logf("%d rounds", rounds.Load())
		})
	}
}

// Processes that are killed while they are called answer again, each time; a file
// is read as it was written or not at all.
func TestKilledAtRandom(t *testing.T) {
	rounds := 4 // of one mount: it is left alone after five ends
	mounts := 1
	if os.Getenv("PFS_SOAK") != "" {
		mounts = 250
	}
	for kind, code := range map[string][]byte{MessagePack: python(t, "memory"), HTTP: program(t, "memory")} {
		for range mounts {
			f, _, err := mounted(t, kind, code, vfs.Library{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for n := range rounds {
				var wg sync.WaitGroup
				for who := range 4 {
					wg.Go(func() {
						p, want := vfs.Path(fmt.Sprintf("/f%d", who)), content(who, n)
						for range 20 {
							_, _ = f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Data: want, Flag: vfs.FlagCreate | vfs.FlagTruncate})
							b := make([]byte, len(want)+1)
							k, err := f.ReadAt(t.Context(), nil, p, b, 0)
							if errors.Is(err, io.EOF) && k > 0 && !bytes.Equal(b[:k], want) {
								t.Errorf("%d bytes that nobody has written", k)
							}
						}
					})
				}
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
				kill(t, f)
				wg.Wait()
			}
			var err2 error
			soon(t, "it answers again", func() bool { _, err2 = f.Stat(t.Context(), nil, "/"); return err2 == nil })
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// BenchmarkCall is one Stat of a process, and a read and a write of 1 MiB.
func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		kind, name string
		code       []byte
	}{{MessagePack, "python", python(b, "memory")}, {HTTP, "go", program(b, "memory")}} {
		f, _, err := mounted(b, c.kind, c.code, vfs.Library{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		put := vfs.Op{Verb: vfs.Write, Path: "/big", Data: data, Flag: vfs.FlagCreate | vfs.FlagTruncate}
		if _, err := f.Do(b.Context(), put); err != nil {
			b.Fatal(err)
		}
		b.Run(c.kind+"/"+c.name+"/stat", func(b *testing.B) {
			for b.Loop() {
				if _, err := f.Stat(b.Context(), nil, "/big"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.kind+"/"+c.name+"/read", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			buf := make([]byte, len(data))
			for b.Loop() {
				if _, err := f.ReadAt(b.Context(), nil, "/big", buf, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.kind+"/"+c.name+"/write", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := f.Do(b.Context(), put); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
