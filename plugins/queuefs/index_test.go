package queuefs

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

func TestIndexIsAnOrderedSet(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		tx, x := vfstest.NewTx(), index{rowReady, 7, 3}
		var set []uint64
		number := func() uint64 {
			return []uint64{r.Uint64N(300), r.Uint64N(1 << 24), 1<<24 - 1 - r.Uint64N(300), 70_000 + r.Uint64N(600)}[r.IntN(4)]
		}
		for range 600 {
			n := number()
			i, found := slices.BinarySearch(set, n)
			switch {
			case !found:
				x.insert(tx, n)
				set = slices.Insert(set, i, n)
			case r.IntN(2) == 0:
				x.remove(tx, n)
				set = slices.Delete(set, i, i+1)
			}
			from := number()
			got, ok := x.next(tx, from)
			at, _ := slices.BinarySearch(set, from)
			if ok != (at < len(set)) || ok && got != set[at] {
				t.Fatalf("next of %d is %d, %v", from, got, ok)
			}
		}
		c := checker{v: tx}
		if all, err := c.index(x); err != nil || !slices.Equal(all, set) {
			t.Fatalf("the nodes hold %d numbers, not %d: %v", len(all), len(set), err)
		}
		for _, n := range set {
			x.remove(tx, n)
		}
		for k := range tx.Scan(nil, nil) {
			t.Fatalf("an empty set has the row %q", k)
		}
	}
}

func TestReadyIsGivenByPriorityThenSeq(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		tx, q := vfstest.NewTx(), tally{box: 5}
		var want []uint64
		for n := range uint64(3000) {
			seq := 1 + n
			if r.IntN(3) > 0 {
				rank := rank(byte(r.IntN(topmost+1)), seq)
				q.push(tx, rank)
				i, _ := slices.BinarySearch(want, rank)
				want = slices.Insert(want, i, rank)
			}
			if r.IntN(3) == 0 && len(want) > 0 {
				if got := q.pop(tx); got != want[0] {
					t.Fatalf("got %x, want %x", got, want[0])
				}
				back := r.IntN(4) == 0
				if back {
					q.push(tx, want[0])
				} else {
					want = want[1:]
				}
			}
		}
		oldest, _ := q.oldest(tx)
		if least := slices.MinFunc(want, func(a, b uint64) int { return int(seqOf(a)) - int(seqOf(b)) }); oldest != seqOf(least) {
			t.Errorf("oldest is %d, want %d", oldest, seqOf(least))
		}
		for _, rank := range want {
			if got := q.pop(tx); got != rank {
				t.Fatalf("got %x, want %x", got, rank)
			}
		}
		if _, ok := q.oldest(tx); ok || q.ready != 0 {
			t.Errorf("%d are left", q.ready)
		}
	}
}

// ledger is a Tx that counts what is asked of it, and that no Scan is.
type ledger struct {
	t    *testing.T
	rows map[string][]byte
	asks int
	seq  uint64
	now  time.Time
}

func (l *ledger) Get(k []byte) ([]byte, bool) {
	l.asks++
	b, ok := l.rows[string(k)]
	return b, ok
}

func (l *ledger) Scan(prefix, _ []byte) iter.Seq2[[]byte, []byte] {
	l.t.Fatalf("a Scan of %q", prefix)
	return nil
}

func (l *ledger) Put(k, v []byte)         { l.asks++; l.rows[string(k)] = slices.Clone(v) }
func (l *ledger) Delete(k []byte)         { l.asks++; delete(l.rows, string(k)) }
func (l *ledger) DeleteRange(_, _ []byte) { l.t.Fatal("a DeleteRange") }
func (l *ledger) Retain(vfs.ChunkRef)     {}
func (l *ledger) Release(vfs.ChunkRef)    {}
func (l *ledger) Now() time.Time          { return l.now }
func (l *ledger) Seq() uint64             { return l.seq }

func (l *ledger) must(op vfs.Op) (r vfs.Result, asks int) {
	l.t.Helper()
	l.seq++
	l.asks = 0
	r, err := FS{}.Apply(l, op)
	if err != nil {
		l.t.Fatalf("%v %s: %v", op.Verb, op.Path, err)
	}
	return r, l.asks
}

// What a message costs does not grow with the queue, nor with what went
// through it: no operation looks for a row, and each touches only so many.
func TestCostOfALongQueue(t *testing.T) {
	const n = 100_000
	l := &ledger{t: t, rows: map[string][]byte{}, now: time.Unix(1_800_000_000, 0)}
	l.must(vfs.Op{Verb: vfs.Mount, Path: vfs.Root})
	l.must(vfs.Op{Verb: vfs.Mkdir, Path: "/q"})
	idle := len(l.rows)
	most, sum := map[string]int{}, map[string]int{}
	count := func(what string, op vfs.Op) vfs.Result {
		r, asks := l.must(op)
		most[what], sum[what] = max(most[what], asks), sum[what]+asks
		return r
	}
	enqueue := vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte("x")}
	for range n {
		count("enqueue", enqueue)
	}
	for i := range uint64(n) {
		l.now = l.now.Add(time.Millisecond)
		got := decodeParcel(count("take", vfs.Op{Verb: vfs.Consume, Path: "/q/take"}).Data).items[0]
		if got.seq != i+1 {
			t.Fatalf("took %d, want %d", got.seq, i+1)
		}
		count("ack", vfs.Op{Verb: vfs.Write, Path: "/q/ack", Data: []byte(leaseText(got.box, got.fence))})
		if i%1000 == 0 {
			l.asks = 0
			if ops, next := (FS{}).Due(noScan{l}, l.now); len(ops) > 0 || !next.IsZero() || l.asks > 2*bucketLevels {
				t.Fatalf("Due: %v, %v, %d asks", ops, next, l.asks)
			}
		}
	}
	if len(l.rows) > idle+1 { // and the row of the last id
		t.Errorf("%d rows are left of %d", len(l.rows), idle)
	}
	for _, what := range []string{"enqueue", "take", "ack"} {
		t.Logf("%s: %.1f rows read or written, at most %d", what, float64(sum[what])/n, most[what])
		if most[what] > 100 || sum[what] > 30*n {
			t.Errorf("%s touches %d rows, on average %d", what, most[what], sum[what]/n)
		}
	}
}

// noScan is a View on which nothing is found by a Scan: Due looks so for what
// was removed, of which there is nothing.
type noScan struct{ *ledger }

func (noScan) Scan([]byte, []byte) iter.Seq2[[]byte, []byte] {
	return func(func(k, v []byte) bool) {}
}

func TestBoundIsBelowAllThatFollow(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	var ids [][16]byte
	for range 40 {
		var id [16]byte
		for i := range id {
			id[i] = byte(r.IntN(256)) & byte(-r.IntN(2))
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		s := uuidText(id)
		for _, after := range []string{"", s, s + "!", s[:r.IntN(len(s))], s[:r.IntN(len(s))] + string("!-09:Aafgz~"[r.IntN(11)]), "zz"} {
			low, ok := bound(after, "", form, 16)
			for _, other := range ids {
				name := uuidText(other)
				if name > after && (!ok || slices.Compare(other[:], low) < 0) {
					t.Fatalf("%s comes after %q, but not after %x, %v", name, after, low, ok)
				}
			}
			if after == s && slices.Compare(low, id[:]) != 0 {
				t.Fatalf("after %s the bound is %x", s, low)
			}
		}
	}
	for after, want := range map[string]string{"": "0000", "a-": "0000", "a-00f": "00f0", "b": "", "a-zz": "ffff", fmt.Sprint("a", "."): "ffff"} {
		low, ok := bound(after, "a-", "xxxx", 2)
		if after == "b" || after == "a." {
			if ok {
				t.Errorf("after %q there is %x", after, low)
			}
		} else if got := fmt.Sprintf("%x", low); got != want {
			t.Errorf("after %q: %s, want %s", after, got, want)
		}
	}
}
