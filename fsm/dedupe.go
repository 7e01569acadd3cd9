package fsm

import (
	"encoding/binary"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// window bounds the remembered outcomes. All nodes have the same, for ever: it
// decides what an old log folds into.
type window struct {
	age   time.Duration // of log time
	keys  uint64
	bytes uint64
}

func standardWindow() window { return window{24 * time.Hour, 1_000_000, 256 << 20} }

// maxEvicted bounds the outcomes that one Event forgets.
const maxEvicted = 256

// answerHead is what precedes the outcome in a row: its place in the order,
// its log time, and what the key belongs to.
const answerHead = 8 + 8 + 32

// span is the row of the window: the order numbers in use, [first, next), and
// how many answers of how many bytes it holds.
type span struct{ first, next, count, bytes uint64 }

// recall answers an Event from the window: with its first outcome, or with
// KeyReused if the key belongs to another request. ok is false if the key is
// not known or has run out.
func (f *fold) recall(ev *vfs.Event, now int64) (out vfs.Outcome, ok bool) {
	row, ok := f.over.Get(textKey(rowAnswer, ev.Key))
	if !ok {
		return out, false
	}
	n, at, sum, body := splitAnswer(row)
	if f.m.window.expired(at, now) {
		return out, false
	}
	if sum != ev.Sum {
		return vfs.Outcome{Err: &vfs.Error{Kind: vfs.KeyReused}}, true
	}
	out, err := wire.Outcome(body)
	if err != nil {
		broken("answer %d: %v", n, err)
	}
	out.Replayed = true
	return out, true
}

// Remembers reports whether the outcome of an idempotency key is kept, expired
// or not.
func (i *Image) Remembers(key string) bool {
	_, ok := i.View.Get(textKey(rowAnswer, key))
	return ok
}

// remember keeps the outcome of an Event, and forgets what has run out or is
// too much, oldest first. Content that an answer refers to is retained as long
// as the answer is.
func (f *fold) remember(ev *vfs.Event, now int64, out vfs.Outcome) error {
	t := newTx(f.over, now, f.seq)
	s := f.span()
	row := append(be64(s.next, uint64(now)), ev.Sum[:]...)
	row = wire.AppendOutcome(row, out)
	key := textKey(rowAnswer, ev.Key)
	if old, ok := t.Get(key); ok { // expired, and not yet forgotten
		n, _, _, _ := splitAnswer(old)
		s.forget(t, n)
	}
	t.Put(key, row)
	t.Put(numKey(rowOrder, s.next), []byte(ev.Key))
	s.next, s.count, s.bytes = s.next+1, s.count+1, s.bytes+uint64(len(key)+len(row))
	hold(out, t.Retain)
	f.evict(t, &s, now)
	t.Put(sysKey(rowWindow), be64(s.first, s.next, s.count, s.bytes))
	fresh, err := t.settle()
	if err != nil {
		return err
	}
	f.over.Merge(t.Overlay)
	f.fresh = append(f.fresh, fresh...)
	return nil
}

func (f *fold) span() span {
	n, _ := getNums(f.over, sysKey(rowWindow), 4)
	return span{n[0], n[1], n[2], n[3]}
}

func (f *fold) evict(t *tx, s *span, now int64) {
	w := f.m.window
	for n := 0; n < maxEvicted && s.first < s.next; n++ {
		if key, ok := t.Get(numKey(rowOrder, s.first)); ok {
			row, ok := t.Get(textKey(rowAnswer, string(key)))
			if !ok {
				broken("answer %d without a row", s.first)
			}
			_, at, _, _ := splitAnswer(row)
			if s.count <= w.keys && s.bytes <= w.bytes && !w.expired(at, now) {
				return
			}
			s.forget(t, s.first)
		}
		s.first++
	}
}

// forget removes the answer with order number n.
func (s *span) forget(t *tx, n uint64) {
	order := numKey(rowOrder, n)
	name, ok := t.Get(order)
	if !ok {
		broken("no order %d of answers", n)
	}
	key := textKey(rowAnswer, string(name))
	row, _ := t.Get(key)
	_, _, _, body := splitAnswer(row)
	out, err := wire.Outcome(body)
	if err != nil {
		broken("answer %d: %v", n, err)
	}
	hold(out, t.Release)
	t.Delete(order)
	t.Delete(key)
	s.count, s.bytes = s.count-1, s.bytes-uint64(len(key)+len(row))
}

// hold calls count for every chunk that an outcome refers to.
func hold(out vfs.Outcome, count func(vfs.ChunkRef)) {
	for i := range out.Results {
		for _, r := range out.Results[i].Refs {
			count(r)
		}
	}
}

func (w window) expired(at, now int64) bool { return now-at >= int64(w.age) }

func splitAnswer(row []byte) (n uint64, at int64, sum [32]byte, body []byte) {
	if len(row) < answerHead {
		broken("answer of %d bytes", len(row))
	}
	return binary.BigEndian.Uint64(row), int64(binary.BigEndian.Uint64(row[8:])),
		[32]byte(row[16:]), row[answerHead:]
}
