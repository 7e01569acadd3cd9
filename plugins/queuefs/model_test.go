package queuefs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// model is what queues are, said without rows: messages by path.
type model map[vfs.Path][]string

func (m model) make(p vfs.Path) {
	for ; !p.IsRoot(); p = p.Dir() {
		if _, ok := m[p]; !ok {
			m[p] = nil
		}
	}
}

func (m model) hasBelow(p vfs.Path) bool {
	for q := range m {
		if q != p && q.Under(p) {
			return true
		}
	}
	return false
}

// apply does what op should do, and says which error it should give.
func (m model) apply(op vfs.Op) (taken string, want vfs.Kind) {
	q := op.Path
	if op.Verb == vfs.Write || op.Verb == vfs.Consume {
		q = q.Dir()
	}
	_, there := m[q]
	switch {
	case op.Verb == vfs.Mkdir:
		m.make(q)
	case op.Path.Base() == "enqueue":
		m.make(q)
		m[q] = append(m[q], string(op.Data))
	case !there:
		return "", vfs.NotFound
	case op.Verb == vfs.Write:
		m[q] = nil
	case op.Verb == vfs.Consume && len(m[q]) > 0:
		taken, m[q] = m[q][0], m[q][1:]
	case op.Verb == vfs.Remove && (len(m[q]) > 0 || m.hasBelow(q)):
		return "", vfs.NotEmpty
	case op.Verb == vfs.Remove, op.Verb == vfs.RemoveAll:
		maps.DeleteFunc(m, func(p vfs.Path, _ []string) bool { return p.Under(q) })
	}
	return taken, 0
}

func randomOp(r *rand.Rand, n int) vfs.Op {
	q := vfs.Root
	for range 1 + r.IntN(3) {
		q = q.Child([]string{"a", "b", "a-b"}[r.IntN(3)])
	}
	ops := []vfs.Op{
		{Verb: vfs.Write, Path: q.Child("enqueue"), Data: fmt.Append(nil, n)},
		{Verb: vfs.Write, Path: q.Child("enqueue"), Data: fmt.Append(nil, n)},
		{Verb: vfs.Consume, Path: q.Child("dequeue")},
		{Verb: vfs.Consume, Path: q.Child("dequeue")},
		{Verb: vfs.Write, Path: q.Child("clear")},
		{Verb: vfs.Mkdir, Path: q},
		{Verb: vfs.Remove, Path: q},
		{Verb: vfs.RemoveAll, Path: q},
		{Verb: vfs.Reap, Path: vfs.Root},
	}
	return ops[r.IntN(len(ops))]
}

func TestQueuesAgreeWithModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		s, again, m := newState(t), newState(t), model{}
		for n := range 200 {
			op := randomOp(r, n)
			before := s.Digest()
			got, err := s.apply(op)
			if r2, err2 := again.apply(op); fmt.Sprint(got, err) != fmt.Sprint(r2, err2) {
				t.Fatalf("%v %s: the same log, other answers", op.Verb, op.Path)
			}
			if op.Verb == vfs.Reap {
				continue
			}
			taken, want := m.apply(op)
			if vfs.KindOf(err) != want {
				t.Fatalf("%v %s: %v, want %v", op.Verb, op.Path, err, want)
			}
			if err != nil && before != s.Digest() {
				t.Fatalf("%v %s: failed and left something", op.Verb, op.Path)
			}
			if len(got.Data) > 0 && op.Verb == vfs.Consume && *parse(t, s.reply(got)).Data != taken {
				t.Fatalf("%s: took %s, want %s", op.Path, s.reply(got), taken)
			}
		}
		if s.Digest() != again.Digest() {
			t.Fatal("the same log, another state")
		}
		for _, q := range slices.Sorted(maps.Keys(m)) {
			for _, want := range m[q] {
				if got := parse(t, s.dequeue(q)); *got.Data != want {
					t.Fatalf("%s: %s, want %s", q, *got.Data, want)
				}
			}
			if got := s.dequeue(q); got != "{}" {
				t.Fatalf("%s: %s is left over", q, got)
			}
		}
	}
}
