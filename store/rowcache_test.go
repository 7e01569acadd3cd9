package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/vfs"
)

// crowd returns a store whose cache of rows has room for few, so that all of its
// paths are taken often.
func crowd(t testing.TB, limit int64) *Store {
	s := open(t, "db", pebblevfs.NewMem())
	s.rows = newRowCache(limit)
	return s
}

func rowKey(n int) []byte { return fmt.Appendf(nil, "\x02key/%04d", n) }

// randomCommit changes about n keys of many.
func randomCommit(r *rand.Rand, o *vfs.Overlay, many, n int) {
	for range n {
		k := r.IntN(many)
		switch r.IntN(20) {
		case 0, 1, 2, 3:
			o.Delete(rowKey(k))
		case 4:
			if r.IntN(4) == 0 { // it voids all
				o.DeleteRange(rowKey(k), rowKey(k+r.IntN(10)))
			}
		case 5:
			o.Put(rowKey(k), bytes.Repeat([]byte{byte(k)}, rowMost+r.IntN(100)-50))
		default:
			o.Put(rowKey(k), fmt.Appendf(nil, "%d of %d", r.Uint32(), k))
		}
	}
}

// uncached reads a key past the cache, at the moment of the snapshot.
func uncached(s *Snapshot, key []byte) (string, bool) {
	v, closer, err := s.snap.Get(key)
	if err != nil {
		return "", false
	}
	defer func() { _ = closer.Close() }()
	return string(v), true
}

// TestRowsAgreeWithDatabase reads snapshots of many ages, in an order of chance
// between commits of chance, and the live view, and compares.
func TestRowsAgreeWithDatabase(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := crowd(t, [...]int64{100, 16 << 10, 64 << 10, 1 << 20}[seed]) // the first has room for none
		live, many := s.View(), 200
		var snaps []*Snapshot
		for range 4000 {
			switch n := r.IntN(20); {
			case n < 3:
				o := vfs.NewOverlay(live)
				randomCommit(r, o, many, r.IntN(6))
				check(t, s.Commit(o, KV{rowKey(many), fmt.Append(nil, r.Uint32())}))
			case n < 5 && len(snaps) < 8:
				snaps = append(snaps, s.Snapshot())
			case n < 6 && len(snaps) > 0:
				i := r.IntN(len(snaps))
				snaps[i].Close()
				snaps = append(snaps[:i], snaps[i+1:]...)
			}
			now := s.Snapshot()
			for range 4 {
				snap, key := now, rowKey(r.IntN(many+1))
				if i := r.IntN(len(snaps) + 1); i < len(snaps) {
					snap = snaps[i]
				}
				agree(t, snap, snap, key)
				agree(t, live, now, key)
			}
			now.Close()
		}
		f := s.RowCache()
		if (f.Hits == 0) != (seed == 0) || f.Misses == 0 {
			t.Fatalf("%+v", f)
		}
		for _, snap := range snaps {
			snap.Close()
		}
		check(t, s.Close())
	}
}

// agree fails unless v says of the key what the database does at the snapshot.
func agree(t testing.TB, v vfs.View, at *Snapshot, key []byte) {
	t.Helper()
	got, ok := v.Get(key)
	if want, has := uncached(at, key); string(got) != want || ok != has {
		t.Errorf("%q is %.40q, %v; in the database %.40q, %v", key, got, ok, want, has)
	}
}

// TestRowsHammer has readers of snapshots, taken while commits are under way,
// beside the writer. Run it under -race.
func TestRowsHammer(t *testing.T) {
	s := crowd(t, 32<<10)
	const many, readers, commits = 64, 6, 3000
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			old := s.Snapshot()
			for {
				select {
				case <-stop:
					old.Close()
					return
				default:
				}
				snap := s.Snapshot()
				for range 16 {
					key := rowKey(r.IntN(many))
					agree(t, snap, snap, key)
					agree(t, old, old, key)
				}
				if r.IntN(4) == 0 {
					old, snap = snap, old
				}
				snap.Close()
			}
		})
	}
	r, live := rand.New(rand.NewPCG(1, 3)), s.View()
	for n := 0; n < commits && !t.Failed(); n++ {
		o := vfs.NewOverlay(live)
		randomCommit(r, o, many, 8)
		check(t, s.Commit(o))
		now := s.Snapshot()
		agree(t, live, now, rowKey(r.IntN(many)))
		now.Close()
		runtime.Gosched()
	}
	close(stop)
	wg.Wait()
	check(t, s.Close())
}

// TestRowsOfOtherCommitsStay shows that a load of writes takes nothing from the
// readers of other rows.
func TestRowsOfOtherCommitsStay(t *testing.T) {
	s := open(t, "db", pebblevfs.NewMem())
	put(t, s, "hot", "1")
	for i := range 500 {
		before := s.Snapshot()
		put(t, s, fmt.Sprint("cold", i), "x")
		now := s.Snapshot()
		for _, snap := range []*Snapshot{before, now} {
			if v, ok := snap.Get([]byte("hot")); !ok || string(v) != "1" {
				t.Fatalf("%q, %v", v, ok)
			}
			snap.Close()
		}
	}
	if f := s.RowCache(); f.Hits < 990 {
		t.Fatalf("%+v", f)
	}
	check(t, s.Close())
}

// TestRowsAreBounded reads far more rows than there is room for, and some of
// them often: those stay.
func TestRowsAreBounded(t *testing.T) {
	const limit, many, hot = 256 << 10, 20_000, 50
	s := crowd(t, limit)
	o := vfs.NewOverlay(s.View())
	for i := range many {
		o.Put(rowKey(i), []byte(strings.Repeat("v", i%300)))
	}
	check(t, s.Commit(o))
	snap := s.Snapshot()
	hits := 0
	for i := range many {
		snap.Get(rowKey(i))
		before := s.RowCache().Hits
		snap.Get(rowKey(many - 1 - i%hot))
		hits += int(s.RowCache().Hits - before)
		if f := s.RowCache(); f.Bytes > limit {
			t.Fatalf("%+v after %d", f, i)
		}
	}
	if hits < many*8/10 {
		t.Errorf("%d of %d reads of hot rows were hits", hits, many)
	}
	snap.Close()
	check(t, s.Close())
}

func TestRowHitsAllocateNothing(t *testing.T) {
	s := open(t, "db", pebblevfs.NewMem())
	put(t, s, "a", "1")
	snap := s.Snapshot()
	here, none := []byte("a"), []byte("b")
	if n := testing.AllocsPerRun(100, func() { snap.Get(here); snap.Get(none) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
	snap.Close()
	check(t, s.Close())
}

// BenchmarkSnapshotGet reads random rows of few and of many keys, and past the
// cache for comparison.
func BenchmarkSnapshotGet(b *testing.B) {
	for _, many := range []int{10_000, 1_000_000} {
		s := open(b, "db", pebblevfs.NewMem())
		for from := 0; from < many; from += 10_000 {
			o := vfs.NewOverlay(s.View())
			for i := range 10_000 {
				o.Put(rowKey(from+i), bytes.Repeat([]byte{'v'}, 64))
			}
			check(b, s.Commit(o))
		}
		snap := s.Snapshot()
		for _, hot := range []int{1000, many} {
			keys := make([][]byte, 1<<18)
			for i := range keys {
				keys[i] = rowKey(rand.IntN(hot))
			}
			for name, get := range map[string]func([]byte){
				"cached":   func(k []byte) { snap.Get(k) },
				"uncached": func(k []byte) { uncached(snap, k) },
			} {
				b.Run(fmt.Sprintf("%d-of-%d/%s", hot, many, name), func(b *testing.B) {
					b.ReportAllocs()
					b.RunParallel(func(pb *testing.PB) {
						for i := rand.IntN(len(keys)); pb.Next(); i++ {
							get(keys[i%len(keys)])
						}
					})
				})
			}
		}
		snap.Close()
		check(b, s.Close())
	}
}
