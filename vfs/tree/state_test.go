package tree_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

type nothing struct{}

func (nothing) Get([]byte) ([]byte, bool) { return nil, false }

func (nothing) Scan(_, _ []byte) iter.Seq2[[]byte, []byte] {
	return func(func(k, v []byte) bool) {}
}

// tx is one Event's Tx.
type tx struct {
	*vfs.Overlay
	seq    uint64
	counts map[[32]byte]int
}

func (t *tx) Retain(r vfs.ChunkRef)  { t.counts[r.Hash]++ }
func (t *tx) Release(r vfs.ChunkRef) { t.counts[r.Hash]-- }
func (t *tx) Now() time.Time         { return time.Unix(int64(t.seq), 0).UTC() }
func (t *tx) Seq() uint64            { return t.seq }

// state is a filesystem and what was folded into it.
type state struct {
	t      testing.TB
	fs     *tree.FS
	rows   *vfs.Overlay
	seq    uint64
	counts map[[32]byte]int
	width  int // rows that the last Op changed
}

func newState(t testing.TB, o tree.Options) *state {
	t.Helper()
	if o.Verbs == 0 {
		o.Verbs = tree.AllVerbs
	}
	fs, err := tree.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &state{t: t, fs: fs, rows: vfs.NewOverlay(nothing{}), counts: map[[32]byte]int{}}
	s.must(vfs.Op{Verb: vfs.Mount, Path: vfs.Root, Data: []byte("read me")})
	return s
}

// apply folds one Event of one Op.
func (s *state) apply(op vfs.Op) (vfs.Result, error) {
	s.t.Helper()
	tx := &tx{vfs.NewOverlay(s.rows), s.seq + 1, map[[32]byte]int{}}
	res, err := s.fs.Apply(tx, op)
	if err != nil {
		return res, err
	}
	s.seq++
	s.width = tx.Len()
	tx.Flush(s.rows)
	for h, n := range tx.counts {
		s.counts[h] += n
	}
	return res, nil
}

func (s *state) must(op vfs.Op) vfs.Result {
	s.t.Helper()
	res, err := s.apply(op)
	if err != nil {
		s.t.Fatalf("%v %s: %v", op.Verb, op.Path, err)
	}
	return res
}

func (s *state) check() {
	s.t.Helper()
	if err := s.fs.Check(s.rows); err != nil {
		s.t.Fatal(err)
	}
	for h, n := range s.counts {
		if n < 0 {
			s.t.Fatalf("chunk %x is counted %d times", h[:2], n)
		}
	}
}

func (s *state) digest() [32]byte {
	h := sha256.New()
	for k, v := range s.rows.Scan(nil, nil) {
		fmt.Fprintf(h, "%d %s %d %s\n", len(k), k, len(v), v)
	}
	return [32]byte(h.Sum(nil))
}

func (s *state) count() (n int) {
	for range s.rows.Scan(nil, nil) {
		n++
	}
	return n
}

// reap does what Due asks until it asks for nothing; it returns how often.
func (s *state) reap() (ops int) {
	s.t.Helper()
	for {
		due, next := s.fs.Due(s.rows, time.Unix(int64(s.seq), 0))
		if len(due) == 0 {
			if !next.IsZero() {
				s.t.Fatal("nothing is due, but at a time")
			}
			return ops
		}
		for _, op := range due {
			s.must(op)
			s.check()
			ops++
			if s.width > 1100 {
				s.t.Fatalf("one Reap changed %d rows", s.width)
			}
		}
	}
}

func (s *state) stat(p vfs.Path) vfs.Info {
	s.t.Helper()
	info, err := s.fs.Stat(context.Background(), s.rows, p)
	if err != nil {
		s.t.Fatalf("stat %s: %v", p, err)
	}
	return info
}

func (s *state) gone(p vfs.Path) {
	s.t.Helper()
	if _, err := s.fs.Stat(context.Background(), s.rows, p); !errors.Is(err, vfs.NotFound) {
		s.t.Errorf("stat %s: %v, want not found", p, err)
	}
}

func (s *state) read(p vfs.Path) string {
	s.t.Helper()
	b := bytes.Repeat([]byte{0xee}, int(s.stat(p).Size)+1)
	n, err := s.fs.ReadAt(context.Background(), s.rows, p, b, 0)
	if err != io.EOF {
		s.t.Fatalf("read %s: %v", p, err)
	}
	return string(b[:n])
}

func (s *state) names(p vfs.Path, after string, limit int) (out []string) {
	s.t.Helper()
	infos, err := s.fs.List(context.Background(), s.rows, p, after, limit)
	if err != nil {
		s.t.Fatalf("list %s: %v", p, err)
	}
	for _, i := range infos {
		if got := s.stat(p.Child(i.Name)); got.ID != i.ID || got.Name != i.Name || got.Version != i.Version {
			s.t.Fatalf("list of %s has %+v, stat %+v", p, i, got)
		}
		out = append(out, i.Name)
	}
	return out
}

func mkdir(p vfs.Path) vfs.Op { return vfs.Op{Verb: vfs.Mkdir, Path: p} }

func put(p vfs.Path, text string) vfs.Op {
	return vfs.Op{Verb: vfs.Write, Path: p, Data: []byte(text), Flag: vfs.FlagCreate | vfs.FlagTruncate}
}

func rename(p, to vfs.Path) vfs.Op { return vfs.Op{Verb: vfs.Rename, Path: p, To: to} }

func link(p vfs.Path, target string) vfs.Op {
	return vfs.Op{Verb: vfs.Symlink, Path: p, Target: target}
}

func verb(v vfs.Verb, p vfs.Path) vfs.Op { return vfs.Op{Verb: v, Path: p} }
