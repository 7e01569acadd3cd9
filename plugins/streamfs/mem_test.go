package streamfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestMemRing writes pieces of all lengths into rings of many sizes, and compares
// what is kept with what was written. Memory is bounded, and comes back.
func TestMemRing(t *testing.T) {
	for _, most := range []int64{64 << 10, 100_001, 1 << 20} {
		held := budget{most: 1 << 30}
		r := memRing{most: most, held: &held}
		rnd := rand.New(rand.NewPCG(uint64(most), 2))
		all := noise(uint64(most), int(5*most))
		for at := 0; at < len(all); {
			n := min(1+rnd.IntN(1<<rnd.IntN(17)), len(all)-at, blockMost)
			if !r.append(all[at : at+n]) {
				t.Fatal("refused")
			}
			at += n
			if want := max(0, int64(at)-most); r.oldest != want || r.end != int64(at) {
				t.Fatalf("[%d, %d), want [%d, %d)", r.oldest, r.end, want, at)
			}
			off := r.oldest + rnd.Int64N(r.end-r.oldest+1)
			b := make([]byte, 1+rnd.IntN(200_000))
			k := r.read(b, off)
			if want := all[off:min(off+int64(len(b)), r.end)]; !bytes.Equal(b[:k], want) {
				t.Fatalf("ring %d: %d bytes at %d of [%d, %d), want %d", most, k, off, r.oldest, r.end, len(want))
			}
			if used := held.used.Load(); used > 2*most+3*blockMost {
				t.Fatalf("a ring of %d bytes takes %d", most, used)
			}
		}
		r.drop()
		if used := held.used.Load(); used != 0 {
			t.Errorf("%d bytes are held of nothing", used)
		}
	}
}

// A ring that is full goes on without more memory; one that is not is refused,
// whole, and changes nothing.
func TestMemBudget(t *testing.T) {
	held := budget{most: 300 << 10}
	full := memRing{most: 64 << 10, held: &held}
	piece := noise(1, 5000)
	for range 100 {
		if !full.append(piece) {
			t.Fatal("refused")
		}
	}
	rest := held.most - held.used.Load()
	if !held.take(rest) {
		t.Fatal("no memory")
	}
	for i := range 1000 {
		if !full.append(piece) {
			t.Fatalf("piece %d: a full ring is refused", i)
		}
		b := make([]byte, 100_000)
		n := full.read(b, full.oldest)
		if int64(n) != full.end-full.oldest || n < len(piece) || !bytes.HasSuffix(b[:n], piece) {
			t.Fatalf("piece %d: %d bytes of [%d, %d)", i, n, full.oldest, full.end)
		}
	}
	small := memRing{most: 64 << 10, held: &held}
	if small.append(piece) || small.end != 0 || len(small.blocks) != 0 {
		t.Error("there is no memory, and it was taken")
	}
	relayed := memRing{most: 64 << 10, held: &held, yields: true}
	for i := range 100 {
		b := make([]byte, 100_000)
		if !relayed.append(piece) {
			t.Fatalf("piece %d: a relay is refused", i)
		}
		if n := relayed.read(b, relayed.oldest); !bytes.HasSuffix(b[:n], piece) {
			t.Fatalf("piece %d: %d bytes", i, n)
		}
	}
	full.drop()
	relayed.drop()
	if used := held.used.Load(); used != rest {
		t.Errorf("%d bytes are held, not %d", used, rest)
	}
}

func start(t *testing.T, c vfs.Config) *Memory {
	t.Helper()
	all := vfs.Config{"durability": "memory"}
	for k, v := range c {
		all[k] = v
	}
	fs, err := Plugin().New(vfs.Env{}, all)
	if err != nil {
		t.Fatal(err)
	}
	m := fs.(*Memory)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func say(t *testing.T, d vfs.Device, p vfs.Path, b []byte) {
	t.Helper()
	if _, err := d.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate, Data: b}); err != nil {
		t.Fatal(err)
	}
}

func tune(t *testing.T, d vfs.Tuner, p vfs.Path, from string) (io.ReadCloser, int64) {
	t.Helper()
	r, off, err := d.Tune(t.Context(), p, from)
	if err != nil {
		t.Fatalf("%s from %s: %v", p, from, err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, off
}

func hears(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("heard %.80q, %v; want %.80q", b[:n], err, want)
	}
}

// Who comes before the stream hears it from its first byte; who is too slow is
// told, and never hears anything else.
func TestMemReaders(t *testing.T) {
	m := start(t, vfs.Config{"ring_buffer_size": "64KB"})
	early, first := tune(t, m, "/a/tv", "oldest")
	again, same := tune(t, m, "/a/tv", strconv.FormatInt(first, 10))
	if list, err := m.List(t.Context(), nil, "/", "", 0); err != nil || len(list) != 1 || same != first {
		t.Errorf("a reader makes something: %v, %v; %d, %d", list, err, same, first)
	}
	say(t, m, "/a/tv", []byte("one"))
	hears(t, early, "one")
	hears(t, again, "one")
	now, at := tune(t, m, "/a/tv", "now")
	if _, oldest := tune(t, m, "/a/tv", "oldest"); oldest != first || at != first+3 {
		t.Errorf("begins at %d, ends at %d, of %d", oldest, at, first)
	}
	say(t, m, "/a/tv", []byte("two"))
	hears(t, now, "two")
	say(t, m, "/a/tv", make([]byte, 70<<10))
	gone := first + 6 + 70<<10 - 64<<10
	if _, err := early.Read(make([]byte, 9)); vfs.KindOf(err) != vfs.Range {
		t.Errorf("too slow: %v", err)
	}
	for from, off := range map[int64]int64{first: gone, gone - 1: gone, first + 7 + 70<<10: gone, 3: gone} {
		if _, oldest, err := m.Tune(t.Context(), "/a/tv", strconv.FormatInt(from, 10)); vfs.KindOf(err) != vfs.Range || oldest != off {
			t.Errorf("from %d: %d, %v", from, oldest, err)
		}
	}
	for p, kind := range map[vfs.Path]vfs.Kind{"/README": vfs.Unsupported, "/a": vfs.IsDirectory, "/": vfs.IsDirectory, "/a/tv/x": vfs.NotDirectory, "/README/x": vfs.NotDirectory} {
		if _, _, err := m.Tune(t.Context(), p, "oldest"); vfs.KindOf(err) != kind {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/README/x", Flag: vfs.FlagCreate}); vfs.KindOf(err) != vfs.NotDirectory {
		t.Errorf("below the README: %v", err)
	}
	i, err := m.Stat(t.Context(), nil, "/a/tv")
	if err != nil || i.Size != 6+70<<10 || i.Meta.Content["durability"] != "memory" || i.Meta.Content["oldest"] != fmt.Sprint(gone) || i.Meta.Content["active_readers"] != "4" {
		t.Errorf("%+v, %v", i, err)
	}
}

// The offsets of a stream are none of one that has its name later: after it was
// removed, and after the node was started again.
func TestMemOffsets(t *testing.T) {
	m := start(t, nil)
	old := int64(0)
	for range 20 {
		r, first := tune(t, m, "/tv", "oldest")
		if first <= old {
			t.Fatalf("begins at %d, and there was %d", first, old)
		}
		for range 100 { // faster than any clock, if nobody looked at it
			say(t, m, "/tv", make([]byte, 30<<10))
		}
		i, err := m.Stat(t.Context(), nil, "/tv")
		if err != nil || i.Size != 100*30<<10 {
			t.Fatalf("%+v, %v", i, err)
		}
		if old, err = strconv.ParseInt(i.Meta.Content["end"], 10, 64); err != nil || old > m.clock() {
			t.Fatalf("ends at %d after the clock, %v", old, err)
		}
		behind, _ := tune(t, m, "/tv", "oldest")
		if _, err := io.CopyN(io.Discard, r, 100*30<<10); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: "/tv"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the end: %v", err)
		}
		if _, err := behind.Read(make([]byte, 1)); vfs.KindOf(err) != vfs.Range {
			t.Errorf("the end, before all was read: %v", err)
		}
		if _, oldest, err := m.Tune(t.Context(), "/tv", strconv.FormatInt(old, 10)); vfs.KindOf(err) != vfs.Range || oldest <= old {
			t.Errorf("of a stream that is gone: %d, %v", oldest, err)
		}
	}
	later := start(t, nil)
	if _, first := tune(t, later, "/tv", "oldest"); first <= old {
		t.Errorf("after the restart it begins at %d, and there was %d", first, old)
	}
	if m.held.used.Load() != 0 {
		t.Errorf("%d bytes are held of nothing", m.held.used.Load())
	}
}

// The memory of a mount is bounded, whoever writes what: names, pieces, bodies.
func TestMemFull(t *testing.T) {
	m := start(t, vfs.Config{"buffer_size": "64KB", "memory_budget": "1MB"})
	say(t, m, "/early", make([]byte, 32<<10))
	for range 5 {
		say(t, m, "/early", make([]byte, 32<<10)) // its ring is full
	}
	n := 0
	for ; n < 10_000; n++ {
		body := io.LimitReader(rand.NewChaCha8([32]byte{}), 20_000)
		_, err := m.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: vfs.Root.Child(fmt.Sprint(n)), Flag: vfs.FlagCreate}, body)
		if vfs.KindOf(err) == vfs.NoSpace {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if used := m.held.used.Load(); n < 20 || n == 10_000 || used > 1<<20 {
		t.Errorf("%d streams, %d bytes", n, used)
	}
	for range 100 {
		say(t, m, "/early", make([]byte, 32<<10))
	}
	if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.RemoveAll, Path: "/0"}); err != nil {
		t.Fatal(err)
	}
	say(t, m, "/more", make([]byte, 10_000))
	for i := range n + 1 {
		_, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: vfs.Root.Child(fmt.Sprint(i))})
		if err != nil && vfs.KindOf(err) != vfs.NotFound {
			t.Fatal(err)
		}
	}
	for _, p := range []vfs.Path{"/more", "/early"} {
		if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: p}); err != nil {
			t.Fatal(err)
		}
	}
	if used := m.held.used.Load(); used != 0 {
		t.Errorf("%d bytes are held of nothing", used)
	}
}

// A body that fails leaves what came of it, and ends the write.
func TestMemBody(t *testing.T) {
	m := start(t, nil)
	broken := errors.New("broken")
	body := io.MultiReader(strings.NewReader("half"), iotestErr{broken})
	r, err := m.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/tv", Flag: vfs.FlagCreate}, body)
	if err != broken || r.N != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	heard, _ := tune(t, m, "/tv", "oldest")
	hears(t, heard, "half")
	in, out := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := m.Put(context.Background(), vfs.Op{Verb: vfs.Write, Path: "/tv"}, in)
		done <- err
	}()
	fmt.Fprint(out, "more")
	hears(t, heard, "more")
	if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: "/tv"}); err != nil {
		t.Fatal(err)
	}
	say(t, m, "/tv", []byte("another"))
	fmt.Fprint(out, "lost")
	if err := <-done; vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("the stream was removed under the body: %v", err)
	}
	_ = m.Close()
	if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Touch, Path: "/tv"}); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

// TestMemHammer has writers, readers that are slow and fast, and removals at
// once. Every byte that anybody hears is the one that was written there.
func TestMemHammer(t *testing.T) {
	m := start(t, vfs.Config{"buffer_size": "64KB"})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	// The byte at an offset is a function of it, as long as only one writes.
	fill := func(b []byte, off int64) {
		for i := range b {
			b[i] = byte((off + int64(i)) * 7 >> 3)
		}
	}
	var wg sync.WaitGroup
	for s := range 3 {
		p := vfs.Root.Child(fmt.Sprint(s))
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(s), 3))
			for ctx.Err() == nil {
				r, off, err := m.Tune(ctx, p, "now")
				if err != nil {
					t.Error(err)
					return
				}
				b := make([]byte, 1+rnd.IntN(8000))
				fill(b, off)
				op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate, Data: b}
				if rnd.IntN(200) == 0 {
					op = vfs.Op{Verb: vfs.RemoveAll, Path: p}
				}
				if _, err := m.Do(ctx, op); err != nil && vfs.KindOf(err) != vfs.NotFound && ctx.Err() == nil {
					t.Error(err)
				}
				_ = r.Close() // until then nobody else says where it begins
			}
		})
		for k := range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					listenOnce(ctx, t, m, p, fill, k)
				}
			})
		}
	}
	wg.Wait()
	if len(m.awaited) > 0 {
		t.Errorf("%d streams are awaited by nobody", len(m.awaited))
	}
}

func listenOnce(ctx context.Context, t *testing.T, m *Memory, p vfs.Path, fill func([]byte, int64), k int) {
	r, off, err := m.Tune(ctx, p, "oldest")
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	got, want := make([]byte, 10_000), make([]byte, 10_000)
	for range 200 {
		n, err := r.Read(got)
		fill(want[:n], off)
		if !bytes.Equal(got[:n], want[:n]) {
			t.Errorf("other bytes at %d", off)
			return
		}
		if off += int64(n); err != nil {
			return
		}
		if k == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}
