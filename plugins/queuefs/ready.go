package queuefs

import (
	"slices"

	"github.com/pfs-project/pfs/vfs"
)

const (
	seqBits    = 44 // of a rank: the rest is the priority, turned round
	rankLevels = 6
	frontMost  = 32 // ranks in the front of a tally
	frontFill  = 16 // taken from the index when the front is empty
	topmost    = 9  // the highest priority
	middle     = 4  // the standard one
)

// rank is the place of a ready message: lower ones are given first.
func rank(priority byte, seq uint64) uint64 { return uint64(topmost-priority)<<seqBits | seq }

func seqOf(rank uint64) uint64 { return rank & (1<<seqBits - 1) }

func priorityOf(rank uint64) byte { return topmost - byte(rank>>seqBits) }

// ranks holds the ready messages of a box beyond the front.
func ranks(box uint64) index { return index{rowReady, box, rankLevels} }

// push makes a message ready. The front holds the lowest ranks, so that a short
// queue needs no index; what does not fit goes there.
func (t *tally) push(tx vfs.Tx, rank uint64) {
	beyond := t.ready > uint64(len(t.front))
	t.ready++
	n := len(t.front)
	if beyond && (n == 0 || rank > t.front[n-1]) {
		ranks(t.box).insert(tx, rank)
		return
	}
	i, _ := slices.BinarySearch(t.front, rank)
	t.front = slices.Insert(t.front, i, rank)
	if n++; n > frontMost {
		ranks(t.box).insert(tx, t.front[n-1])
		t.front = t.front[:n-1]
	}
}

// pop takes the rank of the message that is to be given next; there must be one.
func (t *tally) pop(tx vfs.Tx) (lowest uint64) {
	lowest = t.front[0]
	t.front = t.front[1:]
	t.ready--
	if len(t.front) > 0 {
		return lowest
	}
	beyond, from := ranks(t.box), uint64(0)
	for len(t.front) < frontFill && uint64(len(t.front)) < t.ready {
		next, ok := beyond.next(tx, from)
		early := rank(middle, t.from)
		switch {
		case t.from < t.to && (!ok || early < next):
			next = early
			t.from++
		case !ok:
			panic(corrupt())
		default:
			beyond.remove(tx, next)
		}
		t.front = append(t.front, next)
		from = next + 1
	}
	return lowest
}

// oldest returns the lowest seq that is ready in any priority.
func (t *tally) oldest(v vfs.View) (seq uint64, ok bool) {
	least := func(rank uint64) {
		if s := seqOf(rank); !ok || s < seq {
			seq, ok = s, true
		}
	}
	for _, r := range t.front {
		least(r)
	}
	if t.from < t.to {
		least(rank(middle, t.from))
	}
	for p := range byte(topmost + 1) {
		if r, found := ranks(t.box).next(v, rank(p, 0)); found && priorityOf(r) == p {
			least(r)
		}
	}
	return seq, ok
}
