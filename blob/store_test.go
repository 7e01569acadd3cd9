package blob

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string, fsys FS) *Store {
	t.Helper()
	s, err := Open(dir, fsys)
	check(t, err)
	return s
}

func put(t testing.TB, s *Store, data []byte) [32]byte {
	t.Helper()
	h, err := s.Put(data)
	check(t, err)
	return h
}

// noise returns n bytes that no other seed gives.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 99))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// holds fails the test unless the chunk reads whole and in parts.
func holds(t testing.TB, s *Store, h [32]byte, data []byte) {
	t.Helper()
	b := make([]byte, len(data))
	check(t, s.ReadAt(h, b, 0))
	if !bytes.Equal(b, data) {
		t.Fatal("other bytes")
	}
}

var sizes = []int{0, 1, 100, blockLen - 1, blockLen, blockLen + 1, 3*blockLen + 7, 4 << 20, 4<<20 + 1, 9 << 20}

func TestPutAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "blobs")
	s := open(t, dir, nil)
	var total int64
	r := rand.New(rand.NewPCG(1, 1))
	for i, n := range sizes {
		data := noise(uint64(i), n)
		h := put(t, s, data)
		if h != blake3.Sum256(data) || h != Sum(data) {
			t.Fatal("wrong name")
		}
		holds(t, s, h, data)
		for range 50 {
			off := r.IntN(n + 1)
			b := make([]byte, r.IntN(n-off+1))
			check(t, s.ReadAt(h, b, int64(off)))
			if !bytes.Equal(b, data[off:off+len(b)]) {
				t.Fatalf("%d bytes at %d of %d are others", len(b), off, n)
			}
		}
		for _, bad := range [][2]int{{0, n + 1}, {n + 1, 0}, {-1, 1}, {n, 1}} {
			if err := s.ReadAt(h, make([]byte, bad[1]), int64(bad[0])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("read of %d at %d of %d: %v", bad[1], bad[0], n, err)
			}
		}
		size, err := s.Size(h)
		if size != int64(n) || err != nil || s.Verify(h) != nil || !s.Has(h) || !s.Touch(h) {
			t.Fatalf("size %d, %v", size, err)
		}
		total += int64(n) + headerLen(int64(n))
		if count, bytes := s.Stats(); count != int64(i+1) || bytes != total {
			t.Fatalf("stats %d, %d, want %d, %d", count, bytes, i+1, total)
		}
		name := hex.EncodeToString(h[:])
		if _, err := os.Stat(filepath.Join(dir, name[:2], name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(make([]byte, MaxSize+1)); err == nil {
		t.Fatal("too long a chunk was taken")
	}
	s = open(t, dir, nil)
	if count, bytes := s.Stats(); count != int64(len(sizes)) || bytes != total {
		t.Fatalf("stats after reopening %d, %d", count, bytes)
	}
	seen := map[[32]byte]bool{}
	for h, err := range s.List {
		check(t, err)
		seen[h] = true
	}
	for i, n := range sizes {
		holds(t, s, Sum(noise(uint64(i), n)), noise(uint64(i), n))
		if !seen[Sum(noise(uint64(i), n))] {
			t.Fatal("not listed")
		}
	}
	for range s.List {
		break
	}
}

func TestAbsent(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	h := Sum([]byte("none"))
	_, size := s.Size(h)
	for _, err := range []error{s.ReadAt(h, nil, 0), s.Verify(h), size} {
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	}
	if s.Has(h) || s.Touch(h) {
		t.Fatal("has what it lacks")
	}
}

func TestOpenSweepsTemporaries(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	h := put(t, s, []byte("kept"))
	check(t, os.WriteFile(filepath.Join(dir, tempDir, "17"), []byte("half"), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "ab", "stranger"), []byte("no chunk"), 0o644))
	s = open(t, dir, nil)
	left, err := os.ReadDir(filepath.Join(dir, tempDir))
	check(t, err)
	if count, _ := s.Stats(); len(left) != 0 || count != 1 {
		t.Fatalf("%v left, %d chunks", left, count)
	}
	holds(t, s, h, []byte("kept"))
}

// TestDamage changes bytes all over a file and cuts it.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	data := noise(1, 3*blockLen+100)
	h := put(t, s, data)
	good, err := os.ReadFile(s.path(h))
	check(t, err)
	head := int(headerLen(int64(len(data))))
	for i := range good {
		if i > head && i < len(good)-10 && i%7919 != 0 {
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 4
		damaged(t, s, h, data, bad, fmt.Sprint("byte ", i, " changed"))
		damaged(t, s, h, data, good[:i], fmt.Sprint("cut at ", i))
	}
	damaged(t, s, h, data, nil, "empty")
	other := put(t, s, noise(2, 3*blockLen+100))
	swapped, err := os.ReadFile(s.path(other))
	check(t, err)
	damaged(t, s, h, data, swapped, "another chunk")
	damaged(t, s, h, data, append(header(h, swapped[head:]), swapped[head:]...), "another's content")
}

func damaged(t *testing.T, s *Store, h [32]byte, data, file []byte, what string) {
	t.Helper()
	check(t, os.WriteFile(s.path(h), file, 0o644))
	count, _ := s.Stats()
	if err := s.Verify(h); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("%s: %v", what, err)
	}
	if after, _ := s.Stats(); after != count-1 {
		t.Fatalf("%s: still counted", what)
	}
	if err := s.ReadAt(h, make([]byte, len(data)), 0); !errors.Is(err, ErrCorrupt) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s: after it was set aside: %v", what, err)
	}
	if s.Has(h) || s.Touch(h) {
		t.Fatalf("%s: still relied on", what)
	}
	put(t, s, data) // a peer's copy
	holds(t, s, h, data)
	if _, err := os.Stat(s.quarantined(h)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s: the damaged copy was kept: %v", what, err)
	}
}

// TestDamageElsewhereIsNotRead: a read touches only the blocks it needs, and a
// Put of what is damaged replaces it without a read before.
func TestDamageElsewhere(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	data := noise(1, 4*blockLen)
	h := put(t, s, data)
	file, err := os.ReadFile(s.path(h))
	check(t, err)
	file[len(file)-1] ^= 1
	check(t, os.WriteFile(s.path(h), file, 0o644))
	b := make([]byte, 3*blockLen)
	check(t, s.ReadAt(h, b, 0))
	if err := s.ReadAt(h, b, blockLen+1-1); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	put(t, s, data)
	check(t, os.WriteFile(s.path(h), file, 0o644))
	put(t, s, data)
	holds(t, s, h, data)
	if count, n := s.Stats(); count != 1 || n != int64(len(file)) {
		t.Fatalf("stats %d, %d", count, n)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	ctx := context.Background()
	hash := map[string][32]byte{}
	for _, name := range []string{"old", "old kept", "young", "touched", "put again"} {
		hash[name] = put(t, s, []byte(name))
		if name != "young" {
			check(t, aged(s.path(hash[name]), time.Hour))
		}
	}
	keep := func(h [32]byte) bool { return h == hash["old kept"] }
	if n, err := s.Sweep(ctx, keep, time.Minute); n != 0 || err != nil {
		t.Fatalf("swept %d in a store just opened: %v", n, err)
	}
	s.opened = time.Now().Add(-time.Hour)
	if !s.Touch(hash["touched"]) {
		t.Fatal("not touched")
	}
	put(t, s, []byte("put again"))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if n, err := s.Sweep(ended, keep, time.Minute); n != 0 || !errors.Is(err, context.Canceled) {
		t.Fatal(n, err)
	}
	if n, err := s.Sweep(ctx, keep, time.Minute); n != 1 || err != nil || s.Has(hash["old"]) {
		t.Fatalf("swept %d: %v", n, err)
	}
	if count, _ := s.Stats(); count != 4 {
		t.Fatalf("%d left", count)
	}
	// Touched while Sweep asks about it.
	check(t, aged(s.path(hash["young"]), time.Hour))
	n, err := s.Sweep(ctx, func(h [32]byte) bool { return keep(h) || h == hash["young"] && !s.Touch(h) }, time.Minute)
	if n != 0 || err != nil || !s.Has(hash["young"]) {
		t.Fatalf("swept %d: %v", n, err)
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	for _, call := range []string{"sync", "syncdir"} {
		f := &faultyFS{FS: newCrashFS()}
		s := open(t, "/blobs", f)
		h := put(t, s, []byte("before"))
		first := true
		f.fail = func(c, _ string) error {
			if c == call && first {
				first = false
				return syscall.EIO
			}
			return nil
		}
		for _, data := range []string{"one", "one", "two", "before"} {
			if _, err := s.Put([]byte(data)); !errors.Is(err, syscall.EIO) {
				t.Fatalf("%s failed, and %q was said yes to: %v", call, data, err)
			}
		}
		if s.Touch(h) {
			t.Fatalf("%s failed, and a touch was said yes to", call)
		}
		holds(t, s, h, []byte("before"))
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	for _, call := range []string{"create", "write", "rename", "full"} {
		f := &faultyFS{FS: newCrashFS()}
		s := open(t, "/blobs", f)
		f.fail = func(c, _ string) error {
			if c == call || call == "full" && c == "sync" {
				return syscall.ENOSPC
			}
			return nil
		}
		if _, err := s.Put([]byte("data")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: %v", call, err)
		}
		left, err := f.List(filepath.Join("/blobs", tempDir))
		check(t, err)
		if count, n := s.Stats(); len(left) != 0 || count != 0 || n != 0 {
			t.Fatalf("%s: %v left, stats %d, %d", call, left, count, n)
		}
		f.fail = nil
		holds(t, s, put(t, s, []byte("data")), []byte("data")) // there is room again
	}
}

// TestUnreadableIsNeitherDamagedNorAbsent: a disk that cannot read says so,
// and a Put replaces the file.
func TestUnreadable(t *testing.T) {
	f := &faultyFS{FS: newCrashFS()}
	s := open(t, "/blobs", f)
	data := noise(1, 1000)
	h := put(t, s, data)
	f.fail = func(c, name string) error {
		if c == "read" {
			return syscall.EIO
		}
		return nil
	}
	err := s.ReadAt(h, make([]byte, 10), 0)
	if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) || !s.Has(h) {
		t.Fatal(err)
	}
	if s.Touch(h) {
		t.Fatal("relied on")
	}
	put(t, s, data)
	f.fail = nil
	holds(t, s, h, data)
}

// TestOneWriteOneSync: many Puts of one chunk write it once; nothing is
// written twice.
func TestOneWrite(t *testing.T) {
	f := &faultyFS{FS: newCrashFS()}
	s := open(t, "/blobs", f)
	data := noise(3, 1<<20)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { put(t, s, data) })
	}
	wg.Wait()
	if f.seen["write"] != 2 || f.seen["sync"] != 1 { // header and data
		t.Fatalf("calls: %v", f.seen)
	}
	if _, n := s.Stats(); n != headerLen(1<<20)+1<<20 {
		t.Fatalf("%d bytes for 1 MiB", n)
	}
}

// TestHammer puts, reads, touches, lists and sweeps at once; run it under
// -race.
func TestHammer(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	s.opened = time.Now().Add(-time.Hour)
	data := make([][]byte, 12)
	for i := range data {
		data[i] = noise(uint64(i), 1+i*9000)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var sweeper, wg sync.WaitGroup
	sweeper.Go(func() {
		for ctx.Err() == nil {
			_, err := s.Sweep(ctx, func([32]byte) bool { return false }, 0)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 0))
			for range 60 {
				d := data[r.IntN(len(data))]
				h := put(t, s, d)
				s.Touch(h)
				b := make([]byte, len(d))
				if err := s.ReadAt(h, b, 0); err == nil && !bytes.Equal(b, d) || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error("read", err)
				}
				for _, err := range s.List {
					check(t, err)
					break
				}
			}
		})
	}
	wg.Wait()
	cancel()
	sweeper.Wait()
	count, _ := s.Stats()
	listed := int64(0)
	for range s.List {
		listed++
	}
	if count != listed {
		t.Fatalf("%d counted, %d there", count, listed)
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir(), nil)
	data := noise(1, 4<<20)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		data[0], data[1], data[2] = byte(i), byte(i>>8), byte(i>>16)
		put(b, s, data)
	}
}

func BenchmarkReadAt(b *testing.B) {
	s := open(b, b.TempDir(), nil)
	h := put(b, s, noise(1, 4<<20))
	buf := make([]byte, 256<<10)
	b.SetBytes(int64(len(buf)))
	for i := 0; b.Loop(); i++ {
		check(b, s.ReadAt(h, buf, int64(i%16*len(buf))))
	}
}
