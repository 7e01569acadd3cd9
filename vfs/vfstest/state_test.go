package vfstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

func pairsOf(v vfs.View, prefix, from string) string {
	var b strings.Builder
	var start []byte
	if from != "" {
		start = []byte(from)
	}
	for k, val := range v.Scan([]byte(prefix), start) {
		fmt.Fprintf(&b, "%s=%s ", k, val)
	}
	return b.String()
}

// TestStateMatchesMap plays random changes on a State and on a map.
func TestStateMatchesMap(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		key := func() string {
			b := make([]byte, 1+r.IntN(3))
			for i := range b {
				b[i] = "abc\xff"[r.IntN(4)]
			}
			return string(b)
		}
		s, want := NewState(), map[string]string{}
		for range 60 {
			tx, next := s.Begin(), maps.Clone(want)
			for range r.IntN(6) {
				switch k := key(); r.IntN(4) {
				case 0:
					tx.Delete([]byte(k))
					delete(next, k)
				case 1:
					to := key()
					tx.DeleteRange([]byte(k), []byte(to))
					maps.DeleteFunc(next, func(n, _ string) bool { return n >= k && n < to })
				default:
					tx.Put([]byte(k), []byte(k+"!"))
					next[k] = k + "!"
				}
			}
			if r.IntN(4) == 0 {
				tx.Drop()
			} else {
				tx.Commit()
				want = next
			}
			prefix, from := key()[:r.IntN(2)], key()
			var b strings.Builder
			for _, k := range sorted(want) {
				if v, ok := s.View().Get([]byte(k)); !ok || string(v) != want[k] {
					t.Fatalf("%q is %q, %v", k, v, ok)
				}
				if strings.HasPrefix(k, prefix) && k >= from {
					fmt.Fprintf(&b, "%s=%s ", k, want[k])
				}
			}
			if got := pairsOf(s.View(), prefix, from); got != b.String() || s.Len() != len(want) {
				t.Fatalf("scan of %q from %q: %q, expected %q", prefix, from, got, b.String())
			}
		}
	}
}

func TestStateDumpAndDigest(t *testing.T) {
	s := NewState()
	ref := vfs.ChunkRef{Hash: [32]byte{1}, Len: 5}
	tx := s.Begin()
	tx.Put([]byte("k"), []byte("v"))
	tx.Put([]byte("empty"), nil)
	tx.Retain(ref)
	tx.Retain(vfs.ChunkRef{Len: 9}) // a hole
	if tx.Seq() != 1 || !tx.Now().Equal(s.Now()) || tx.Counts()[ref.Hash] != 1 {
		t.Errorf("Seq %d, Now %v, Counts %v", tx.Seq(), tx.Now(), tx.Counts())
	}
	tx.Commit()
	s.Advance(time.Hour)
	dump := s.Dump()
	again := Restore(dump)
	if again.Digest() != s.Digest() || again.Seq() != 1 || !again.Now().Equal(s.Now()) {
		t.Error("a restored State differs")
	}
	if v, ok := again.View().Get([]byte("empty")); !ok || len(v) != 0 {
		t.Errorf("an empty value is %q, %v", v, ok)
	}
	dump.Pairs[0].Value = append(dump.Pairs[0].Value, 'x')
	if !reflect.DeepEqual(again.Counts(), map[[32]byte]int{{1}: 1}) || again.Digest() != s.Digest() {
		t.Error("a State shares memory with its Dump")
	}
	sums := map[[32]byte]string{s.Digest(): "start"}
	for name, change := range map[string]func(*Tx){
		"value":   func(tx *Tx) { tx.Put([]byte("k"), []byte("w")) },
		"key":     func(tx *Tx) { tx.Put([]byte("kv"), nil) },
		"deleted": func(tx *Tx) { tx.Delete([]byte("k")) },
		"chunk":   func(tx *Tx) { tx.Retain(ref) },
		"release": func(tx *Tx) { tx.Release(ref) },
	} {
		c := Restore(s.Dump())
		tx := c.Begin()
		change(tx)
		tx.Commit()
		if other, ok := sums[c.Digest()]; ok {
			t.Errorf("%s gives the digest of %s", name, other)
		}
		sums[c.Digest()] = name
	}
}

func TestMisuse(t *testing.T) {
	for name, do := range map[string]func(tx *Tx){
		"used after Commit": func(tx *Tx) { tx.Commit(); tx.Get([]byte("k")) },
		"used after Drop":   func(tx *Tx) { tx.Drop(); tx.Put(nil, nil) },
		"scan kept": func(tx *Tx) {
			in := tx.Scan(nil, nil)
			tx.Commit()
			in(func(_, _ []byte) bool { return true })
		},
		"changed in a Scan": func(tx *Tx) {
			tx.Put([]byte("k"), nil)
			for k := range tx.Scan(nil, nil) {
				tx.Delete(k)
			}
		},
		"released too often": func(tx *Tx) { tx.Release(vfs.ChunkRef{Hash: [32]byte{1}}); tx.Commit() },
	} {
		func() {
			defer func() {
				if _, ok := recover().(Misuse); !ok {
					t.Errorf("%s: no Misuse", name)
				}
			}()
			do(NewTx())
		}()
	}
}

func TestScanSpoilsWhatIsKept(t *testing.T) {
	tx := NewTx()
	tx.Put([]byte("a"), []byte("1"))
	tx.Put([]byte("b"), []byte("2"))
	var kept []byte
	for k := range tx.Scan(nil, nil) {
		if kept == nil {
			kept = k
		}
	}
	if string(kept) == "a" {
		t.Error("a key is still whole after the Scan")
	}
	tx.Put([]byte("c"), nil) // after a Scan, changes are fine
}

func TestChunks(t *testing.T) {
	c, ctx := NewChunks(), context.Background()
	long := bytes.Repeat([]byte("0123456789"), 5000)
	var op vfs.Op
	c.Fill(&op, long)
	if len(op.Refs) != 3 || op.Size() != int64(len(long)) || len(op.Data) != 0 {
		t.Fatalf("%d refs of %d bytes", len(op.Refs), op.Size())
	}
	b := make([]byte, 4)
	ref := op.Refs[0]
	ref.Off, ref.Len = 3, 10
	if err := c.ReadChunk(ctx, ref, b, 2); err != nil || string(b) != "5678" {
		t.Errorf("%q, %v", b, err)
	}
	if taken := c.Taken(); !taken[ref.Hash] || len(taken) != 1 || len(c.Taken()) != 0 {
		t.Errorf("taken: %v", taken)
	}
	if err := c.ReadChunk(ctx, ref, b, 7); vfs.KindOf(err) != vfs.Internal {
		t.Errorf("beyond a slice: %v", err)
	}
	if err := c.ReadChunk(ctx, vfs.ChunkRef{Len: 9}, b, 0); vfs.KindOf(err) != vfs.Internal {
		t.Errorf("unknown chunk: %v", err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.ReadChunk(gone, ref, b, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c.Fill(&op, long[:10])
	if len(op.Refs) != 0 || len(op.Data) != 10 {
		t.Errorf("short content has %d refs", len(op.Refs))
	}
}

// tally is a Folder of one number: each Write adds one to it.
type tally struct{ vfs.FileSystem }

func (tally) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	n, _ := tx.Get([]byte("n"))
	tx.Put([]byte("n"), append(n[:len(n):len(n)], 'x'))
	if op.Verb != vfs.Write {
		return vfs.Result{}, vfs.Unsupported
	}
	return vfs.Result{N: int64(len(n))}, nil
}

func TestEvent(t *testing.T) {
	s := NewState()
	w, bad := vfs.Op{Verb: vfs.Write}, vfs.Op{Verb: vfs.Chmod}
	if r, err := s.Event(tally{}, w, w); err != nil || r[1].N != 1 || s.Seq() != 1 {
		t.Errorf("%+v, %v, seq %d", r, err, s.Seq())
	}
	if _, err := s.Event(tally{}, w, bad); err != vfs.Unsupported || s.Seq() != 1 {
		t.Errorf("%v, seq %d", err, s.Seq())
	}
	if n, _ := s.View().Get([]byte("n")); string(n) != "xx" {
		t.Errorf("a failed Event left %q", n)
	}
	if r, err := s.Apply(tally{}, w); err != nil || r.N != 2 || s.Seq() != 2 {
		t.Errorf("%+v, %v, seq %d", r, err, s.Seq())
	}
	if err := s.Settle(tally{}); err != nil {
		t.Errorf("Settle without a Timer: %v", err)
	}
}

// zeros is a Device: an endless file, and one that gives nothing.
type zeros struct{ n int }

func (zeros) Stat(context.Context, vfs.View, vfs.Path) (vfs.Info, error) { return vfs.Info{}, nil }
func (zeros) List(context.Context, vfs.View, vfs.Path, string, int) ([]vfs.Info, error) {
	return nil, nil
}
func (z zeros) ReadAt(_ context.Context, _ vfs.View, _ vfs.Path, b []byte, _ int64) (int, error) {
	return min(z.n, len(b)), nil
}
func (zeros) Do(context.Context, vfs.Op) (vfs.Result, error) { return vfs.Result{}, nil }

func TestReadFileEnds(t *testing.T) {
	ctx := context.Background()
	if b, err := readFile(ctx, zeros{1 << 20}, nil, "/zero", 0, -1); err != nil || len(b) != maxRead {
		t.Errorf("%d bytes of an endless file, %v", len(b), err)
	}
	if _, err := readFile(ctx, zeros{0}, nil, "/stuck", 0, -1); err == nil || err == io.EOF {
		t.Errorf("a read that gives nothing: %v", err)
	}
}
