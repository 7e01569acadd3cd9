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
	"runtime/debug"
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

// resident returns the bytes of memory that this process holds.
func resident() int64 {
	debug.FreeOSMemory()
	var pages, held int64
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		_, _ = fmt.Sscan(string(b), &pages, &held) // 0 fails nothing that it should
	}
	return held * int64(os.Getpagesize())
}

// timeLeft is how long the test may go on, but for a while to end in.
func timeLeft(t *testing.T) time.Duration {
	end, ok := t.Deadline()
	if !ok {
		return time.Hour
	}
	return time.Until(end) - 20*time.Second
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
			f, _ := unclosed(t, kind, code, vfs.Library{}, nil) // what the test would close later it would keep
			if err := f.Start(t.Context()); err != nil {
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
	for n := range mounts / 10 {
		one(n)
	}
	before, began, full := holds(t), resident(), timeLeft(t)
	for n := range mounts {
		if timeLeft(t) < full/3 {
			mounts = n
			break
		}
		one(n)
	}
	var after held
	soon(t, "nothing more is held than before", func() bool {
		after = holds(t)
		return after.files <= before.files && after.routines <= before.routines && after.threads <= before.threads+10
	})
	if left := leftBehind(t); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	for kind, code := range codes {
		f, _, err := mounted(t, kind, code, vfs.Library{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		full, done := timeLeft(t), 0
		for ; done < calls && timeLeft(t) > full/2; done++ {
			if _, err := f.Stat(t.Context(), nil, "/x"); vfs.KindOf(err) != vfs.NotFound {
				t.Fatal(err)
			}
		}
		t.Logf("%d calls of %s", done, kind)
		if err := f.get(t.Context(), func(_ context.Context, b backend) error {
			if f, ok := b.(*f4); ok && len(f.rpc.calls) != 0 {
				t.Errorf("%d calls are kept", len(f.rpc.calls))
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	more := resident() - began
	t.Logf("%d mounts of each kind: %+v before, %+v after, %d KiB more", mounts, before, after, more>>10)
	if more > 48<<20 && os.Getenv("PFS_SOAK") != "" { // the race detector has memory of its own
		t.Error("it grows")
	}
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

// Two mounts of one plugin, with settings of their own, do not see each other, and the
// callers of each get their own bytes. The long form is a minute.
func TestOwnBytes(t *testing.T) {
	long := 2 * time.Second
	if os.Getenv("PFS_SOAK") != "" {
		long = time.Minute
	}
	for kind, of := range map[string]func(testing.TB, string) []byte{MessagePack: python, HTTP: program} {
		t.Run(kind, func(t *testing.T) {
			memory, hello := of(t, "memory"), of(t, "hello")
			var wg sync.WaitGroup
			var rounds atomic.Int64
			until := time.Now().Add(long)
			for _, name := range []string{"one", "two"} {
				f, _, err := mounted(t, kind, memory, vfs.Library{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				says, _, err := mounted(t, kind, hello, vfs.Library{}, vfs.Config{"greeting": name})
				if err != nil {
					t.Fatal(err)
				}
				for who := range 16 {
					wg.Go(func() {
						for n := 0; time.Now().Before(until) && !t.Failed(); n++ {
							ownBytes(t, f, vfs.Path(fmt.Sprintf("/f%d", who)), append(content(who, n), name...))
							if got, err := readAll(says, "/hello", 99); got != name+"\n" || err != nil {
								t.Errorf("the settings of %s: %q, %v", name, got, err)
							}
							rounds.Add(1)
						}
					})
				}
			}
			wg.Wait()
			t.Logf("%d rounds", rounds.Load())
		})
	}
}

// ownBytes writes a file and reads it again.
func ownBytes(t *testing.T, f *FS, p vfs.Path, want []byte) {
	t.Helper()
	if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Data: want, Flag: vfs.FlagCreate | vfs.FlagTruncate}); err != nil {
		t.Error(err)
		return
	}
	b := make([]byte, len(want)+1)
	k, err := f.ReadAt(t.Context(), nil, p, b, 0)
	if !errors.Is(err, io.EOF) || !bytes.Equal(b[:k], want) {
		t.Errorf("%s: %d bytes, %v", p, k, err)
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
