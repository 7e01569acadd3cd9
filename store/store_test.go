package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/vfs"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string, fs pebblevfs.FS) *Store {
	t.Helper()
	s, err := Open(dir, Options{FS: fs})
	check(t, err)
	return s
}

// put commits pairs given as key, value, key, value; a value "-" deletes.
func put(t testing.TB, s *Store, pairs ...string) {
	t.Helper()
	o := vfs.NewOverlay(s.View())
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			o.Delete([]byte(pairs[i]))
		} else {
			o.Put([]byte(pairs[i]), []byte(pairs[i+1]))
		}
	}
	check(t, s.Commit(o))
}

// dump renders all pairs of v from prefix on.
func dump(v vfs.View, prefix, from string) string {
	var b strings.Builder
	for k, val := range v.Scan([]byte(prefix), []byte(from)) {
		fmt.Fprintf(&b, "%s=%s ", k, val)
	}
	return strings.TrimSpace(b.String())
}

func want(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// panics returns what f panics with as a StoreFault.
func panics(t testing.TB, f func()) (err error) {
	t.Helper()
	defer func() {
		t.Helper()
		e, ok := recover().(vfs.StoreFault)
		if !ok {
			t.Fatal("no StoreFault")
		}
		err = e
	}()
	f()
	return nil
}

func TestViews(t *testing.T) {
	s := open(t, "db", pebblevfs.NewMem())
	put(t, s, "a", "1", "b1", "2", "b2", "3", "b\xff", "4", "c", "", "\xff\xff", "5")
	old := s.Snapshot()
	live := s.View()
	put(t, s, "b1", "new", "b2", "-", "d", "6")
	for name, c := range map[string]struct {
		v                    vfs.View
		all, b, from, beyond string
	}{
		"snapshot": {old, "a=1 b1=2 b2=3 b\xff=4 c= \xff\xff=5", "b1=2 b2=3 b\xff=4", "b2=3 b\xff=4", ""},
		"live":     {live, "a=1 b1=new b\xff=4 c= d=6 \xff\xff=5", "b1=new b\xff=4", "b\xff=4", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, dump(c.v, "", ""), c.all)
			want(t, dump(c.v, "b", ""), c.b)
			want(t, dump(c.v, "b", "b2"), c.from)
			want(t, dump(c.v, "b", "a"), c.b)
			want(t, dump(c.v, "b", "c"), c.beyond)
			want(t, dump(c.v, "\xff", ""), "\xff\xff=5")
			want(t, dump(c.v, "nothing", ""), "")
			if v, ok := c.v.Get([]byte("c")); !ok || v == nil || len(v) != 0 {
				t.Fatalf("empty value: %v, %v", v, ok)
			}
			if v, ok := c.v.Get([]byte("none")); ok || v != nil {
				t.Fatalf("absent key: %v, %v", v, ok)
			}
			for range c.v.Scan(nil, nil) {
				break // must close its iterator, or Close fails
			}
		})
	}
	o := vfs.NewOverlay(s.View())
	o.DeleteRange([]byte("b"), []byte("d"))
	o.DeleteRange([]byte("x"), nil)         // to nowhere: nothing
	o.DeleteRange([]byte("d"), []byte("d")) // empty
	o.Put([]byte("b5"), []byte("after"))
	check(t, s.Commit(o, KV{[]byte("\x00applied"), []byte("9")}))
	want(t, dump(live, "", ""), "\x00applied=9 a=1 b5=after d=6 \xff\xff=5")
	old.Close()
	old.Close()
	check(t, s.Close())
}

func TestValuesAreCopies(t *testing.T) {
	s := open(t, "db", pebblevfs.NewMem())
	key, value := []byte("key"), []byte("value")
	o := vfs.NewOverlay(s.View())
	o.Put(key, value)
	check(t, s.Commit(o, KV{key, value}))
	copy(key, "xxx")
	copy(value, "xxxxx")
	first, _ := s.View().Get([]byte("key"))
	want(t, string(first), "value")
	_ = append(first, "more"...)
	again, _ := s.View().Get([]byte("key"))
	want(t, string(again[:cap(again)]), "value")
	put(t, s, "key", "other")
	check(t, s.Close())
	want(t, string(first), "value")
}

func TestReopen(t *testing.T) {
	for name, fs := range map[string]pebblevfs.FS{"memory": pebblevfs.NewMem(), "disk": nil} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "db")
			s := open(t, dir, fs)
			put(t, s, "a", "1")
			if _, err := Open(dir, Options{FS: fs}); err == nil {
				t.Fatal("opened twice")
			}
			check(t, s.Close())
			check(t, s.Close())
			s = open(t, dir, fs)
			want(t, dump(s.View(), "", ""), "a=1")
			check(t, s.Close())
		})
	}
}

func TestFormat(t *testing.T) {
	write := func(fs pebblevfs.FS, text string) {
		f, err := fs.Create("db/FORMAT", pebblevfs.WriteCategoryUnspecified)
		check(t, err)
		_, err = f.Write([]byte(text))
		check(t, err)
		check(t, f.Close())
	}
	for text, says := range map[string]string{
		"pfs-store 2\n": "newer", "pfs-store 0\n": "damaged", "": "damaged", "hello": "damaged",
		strings.Repeat("x", 1000): "damaged",
	} {
		fs := pebblevfs.NewMem()
		check(t, open(t, "db", fs).Close())
		write(fs, text)
		if _, err := Open("db", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), says) {
			t.Fatalf("format %q: %v", text, err)
		}
	}
	fs := pebblevfs.NewMem()
	check(t, open(t, "db", fs).Close())
	check(t, fs.Remove("db/FORMAT"))
	if _, err := Open("db", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "without") {
		t.Fatalf("no format file: %v", err)
	}
}

func TestCloseWaitsForReaders(t *testing.T) {
	s := open(t, "db", pebblevfs.NewMem())
	put(t, s, "a", "1")
	snap := s.Snapshot()
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for !errors.Is(s.Sync(), ErrClosed) {
		runtime.Gosched()
	}
	want(t, dump(snap, "", ""), "a=1") // still there
	late := s.Snapshot()
	if err := panics(t, func() { late.Get([]byte("a")) }); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := panics(t, func() { dump(late, "", "") }); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	late.Close()
	select {
	case err := <-closed:
		t.Fatal("closed under a reader", err)
	default:
	}
	snap.Close()
	check(t, <-closed)
	for i, err := range []error{s.Commit(nil), s.Sync(), s.Checkpoint("x")} {
		if !errors.Is(err, ErrClosed) {
			t.Fatalf("call %d after Close: %v", i, err)
		}
	}
	if s.Metrics() != (Metrics{}) {
		t.Fatal("metrics after Close")
	}
}

func digest(ctx context.Context, v vfs.View) ([32]byte, error) {
	h := NewHasher()
	err := Digest(ctx, v, h.Add)
	return h.Sum(), err
}

func TestDigest(t *testing.T) {
	ctx := context.Background()
	sum := func(pairs ...string) [32]byte {
		s := open(t, "db", pebblevfs.NewMem())
		put(t, s, pairs...)
		snap := s.Snapshot()
		d, err := digest(ctx, snap)
		check(t, err)
		snap.Close()
		check(t, s.Close())
		return d
	}
	base := []string{"\x01a", "1", "\x02b", "2"}
	first := sum(base...)
	if sum(append(base, "\x00own", "x")...) != first || sum("\x02b", "2", "\x01a", "1") != first {
		t.Fatal("digest depends on the node or on the order of writing")
	}
	seen := map[[32]byte]int{first: -1}
	for i, other := range [][]string{
		{}, {"\x01a", "1"}, {"\x01a", "1", "\x02b", "3"}, {"\x01a1", "", "\x02b", "2"}, {"\x01", "a1", "\x02b", "2"},
		{"\x01a", "1\x02", "\x02b", "2"}, {"\x01a", "1", "\x02b", "2", "\x02c", ""},
	} {
		d := sum(other...)
		if j, ok := seen[d]; ok {
			t.Fatalf("states %d and %d have one digest", i, j)
		}
		seen[d] = i
	}
	s := open(t, "db", pebblevfs.NewMem())
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := digest(ended, s.View()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	check(t, s.Close())
}

func TestMetrics(t *testing.T) {
	s := open(t, "db", pebblevfs.NewMem())
	put(t, s, "a", strings.Repeat("x", 1<<20))
	snap := s.Snapshot()
	m := s.Metrics()
	if m.DiskBytes == 0 || m.WALBytes == 0 || m.MemTableBytes == 0 || m.Snapshots != 1 {
		t.Fatalf("%+v", m)
	}
	snap.Close()
	check(t, s.Close())
}

// TestHammer reads snapshots in many goroutines beside the writer; run it
// under -race. Each snapshot must be one moment.
func TestHammer(t *testing.T) {
	s := open(t, "db", pebblevfs.NewMem())
	var wg sync.WaitGroup
	for i := range 300 {
		n := fmt.Sprint(i)
		put(t, s, "k1", n, "k2", n, "k3", strings.Repeat(n, 1000))
		snap := s.Snapshot()
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for _, key := range []string{"k1", "k2"} {
					if v, _ := snap.Get([]byte(key)); string(v) != n {
						t.Errorf("%s is %s at moment %s", key, v, n)
					}
				}
				for k, v := range snap.Scan([]byte("k"), nil) {
					if !bytes.HasPrefix(v, []byte(n)) {
						t.Errorf("%s is %.9s at moment %s", k, v, n)
					}
				}
			})
		}
		wg.Go(func() { readers.Wait(); snap.Close() })
		if i%50 == 0 {
			wg.Go(func() { check(t, s.Sync()) })
		}
	}
	wg.Wait()
	check(t, s.Close())
}

func BenchmarkCommit(b *testing.B) {
	s := open(b, b.TempDir(), nil)
	i := 0
	for b.Loop() {
		i++
		o := vfs.NewOverlay(s.View())
		for j := range 4 {
			o.Put(fmt.Appendf(nil, "\x02key%d-%d", i*7919%100000, j), make([]byte, 128))
		}
		check(b, s.Commit(o, KV{[]byte("\x00applied"), fmt.Append(nil, i)}))
	}
	check(b, s.Close())
}
