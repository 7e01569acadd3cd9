package queuefs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pfs-project/pfs/vfs"
)

// Check walks the whole state and names the first broken invariant.
func (FS) Check(v vfs.View) error {
	c := checker{v: v, boxes: map[uint64]bool{}, tasks: map[task]bool{}}
	for k, b := range v.Scan([]byte{rowEntry}, nil) {
		if _, ok := v.Get(key(rowQueue, decodeID(b))); !ok {
			return fmt.Errorf("entry %q names no queue", k[9:])
		}
	}
	for k := range v.Scan([]byte{rowBox}, nil) {
		if err := c.orphan(idOf(k)); err != nil {
			return err
		}
	}
	for k, b := range v.Scan([]byte{rowQueue}, nil) {
		if id := idOf(k); id != rootID {
			if err := c.queue(id, decodeQueue(b)); err != nil {
				return fmt.Errorf("queue %d: %w", id, err)
			}
		}
	}
	if err := c.strays(); err != nil {
		return err
	}
	return c.agenda()
}

// checker is one Check under way.
type checker struct {
	v     vfs.View
	boxes map[uint64]bool // seen
	tasks map[task]bool   // that must be in the agenda
}

func (c *checker) box(id uint64) error {
	if c.boxes[id] {
		return fmt.Errorf("box %d belongs to two", id)
	}
	c.boxes[id] = true
	return nil
}

// orphan notes what a box that is being emptied still has in the agenda.
func (c *checker) orphan(box uint64) error {
	for k, b := range c.v.Scan(key(rowLease, box), nil) {
		c.tasks[decodeLease(b).task(0, box, binary.BigEndian.Uint64(k[9:]))] = true
	}
	for _, b := range c.v.Scan(key(rowDelayed, box), nil) {
		c.tasks[decodeDelayed(b).task(0, box)] = true
	}
	return c.box(box)
}

func (c *checker) queue(id uint64, q queue) error {
	_, gone := c.v.Get(key(rowGone, id))
	at, ok := c.v.Get(entryKey(q.parent, q.name))
	if named := ok && bytes.Equal(at, encodeID(id)); named == gone {
		return fmt.Errorf("%q: entry %v, removed %v", q.name, named, gone)
	}
	t := getTally(c.v, id)
	if _, set := c.v.Get(key(rowSettings, id)); set != t.set {
		return fmt.Errorf("settings %v, and the tally says %v", set, t.set)
	}
	for _, box := range []uint64{t.box, t.grave} {
		if err := c.box(box); err != nil {
			return err
		}
	}
	states, err := c.states(id, &t)
	if err != nil {
		return err
	}
	var n, size uint64
	for k, b := range c.v.Scan(key(rowMessage, t.box), nil) {
		seq, m := binary.BigEndian.Uint64(k[9:]), decodeMessage(b)
		switch s := states[seq]; {
		case s == "" || seq >= t.next:
			return fmt.Errorf("message %d is in no state", seq)
		case s == "ready" && tried(c.v, t.box, seq) > attemptMost:
			return fmt.Errorf("message %d was tried too often", seq)
		}
		n, size = n+1, size+m.weight()
	}
	if n != uint64(len(states)) || n != t.live() || size != t.bytes {
		return fmt.Errorf("%d messages of %d bytes in %d states, and the tally says %d of %d", n, size, len(states), t.live(), t.bytes)
	}
	return c.remembered(id, &t)
}

// states finds the state of each message, by seq, and holds the tally against
// them.
func (c *checker) states(id uint64, t *tally) (map[uint64]string, error) {
	states := map[uint64]string{}
	enter := func(seq uint64, state string) error {
		if states[seq] != "" {
			return fmt.Errorf("message %d is %s and %s", seq, states[seq], state)
		}
		states[seq] = state
		return nil
	}
	all, err := c.ready(t)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if m := getMessage(c.v, t.box, seqOf(r)); m.priority != priorityOf(r) {
			return nil, fmt.Errorf("message %d stands at priority %d and has %d", seqOf(r), priorityOf(r), m.priority)
		}
		if err := enter(seqOf(r), "ready"); err != nil {
			return nil, err
		}
	}
	var late, lent, died uint64
	for k, b := range c.v.Scan(key(rowDelayed, t.box), nil) {
		d := decodeDelayed(b)
		if m := getMessage(c.v, t.box, d.seq); !bytes.Equal(m.id[:], k[9:]) {
			return nil, fmt.Errorf("message %d is delayed under another id", d.seq)
		}
		c.tasks[d.task(id, t.box)] = true
		late++
		if err := enter(d.seq, "delayed"); err != nil {
			return nil, err
		}
	}
	for k, b := range c.v.Scan(key(rowLease, t.box), nil) {
		l, fence := decodeLease(b), binary.BigEndian.Uint64(k[9:])
		if fence > t.fence {
			return nil, fmt.Errorf("fence %d is beyond %d", fence, t.fence)
		}
		c.tasks[l.task(id, t.box, fence)] = true
		lent++
		if err := enter(l.seq, "lent"); err != nil {
			return nil, err
		}
	}
	for range c.v.Scan(key(rowDead, t.grave), nil) {
		died++
	}
	if uint64(len(all)) != t.ready || late != t.delayed || lent != t.lent || died != t.dead {
		return nil, fmt.Errorf("%d ready, %d delayed, %d lent, %d dead, and the tally says %d, %d, %d, %d",
			len(all), late, lent, died, t.ready, t.delayed, t.lent, t.dead)
	}
	return states, nil
}

// ready returns all ranks of a box in order.
func (c *checker) ready(t *tally) ([]uint64, error) {
	beyond, err := c.index(ranks(t.box))
	for seq := t.from; seq < t.to; seq++ {
		beyond = append(beyond, rank(middle, seq))
	}
	slices.Sort(beyond)
	all := append(slices.Clone(t.front), beyond...)
	switch {
	case err != nil:
		return nil, err
	case !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all):
		return nil, fmt.Errorf("the front %d is not before the rest %d", t.front, beyond)
	case len(t.front) == 0 && len(all) > 0 || len(t.front) > frontMost:
		return nil, fmt.Errorf("%d in front of %d", len(t.front), len(beyond))
	}
	return all, nil
}

// index returns the numbers in an index, and checks that every node is where
// the one above says, and no other.
func (c *checker) index(x index) ([]uint64, error) {
	want := []uint64{0}
	for level := x.levels - 1; level >= 0; level-- {
		var below []uint64
		for _, n := range want {
			node := x.node(c.v, level, n)
			if node == nil && level == x.levels-1 {
				continue
			}
			some := len(below)
			for bit := range 256 {
				if node != nil && node[bit>>3]&(1<<(bit&7)) != 0 {
					below = append(below, n<<8|uint64(bit))
				}
			}
			if len(below) == some {
				return nil, fmt.Errorf("node %d of level %d is empty", n, level)
			}
		}
		rows := 0
		for range c.v.Scan(append(key(x.row, x.owner), byte(level)), nil) {
			rows++
		}
		if rows != len(want) && !(level == x.levels-1 && rows == 0) {
			return nil, fmt.Errorf("%d nodes of level %d, and %d above them", rows, level, len(want))
		}
		want = below
	}
	return want, nil
}

// remembered checks the dedup ids of a queue.
func (c *checker) remembered(id uint64, t *tally) error {
	var ids, order uint64
	for _, b := range c.v.Scan(key(rowSeen, id), nil) {
		if s := decodeSeen(b); s.n < t.seenFirst || s.n >= t.seenNext {
			return fmt.Errorf("dedup id %d is out of [%d, %d)", s.n, t.seenFirst, t.seenNext)
		}
		ids++
	}
	for range c.v.Scan(key(rowSeenAt, id), nil) {
		order++
	}
	if order != t.seenNext-t.seenFirst || ids > order {
		return fmt.Errorf("%d dedup ids in an order of %d, and the tally says %d", ids, order, t.seenNext-t.seenFirst)
	}
	return nil
}

// strays finds messages in boxes that nobody has.
func (c *checker) strays() error {
	for _, row := range []byte{rowMessage, rowTried, rowReady, rowLease, rowDelayed, rowDead} {
		for k := range c.v.Scan([]byte{row}, nil) {
			if !c.boxes[idOf(k)] {
				return fmt.Errorf("row %c of box %d, which nobody has", row, idOf(k))
			}
		}
	}
	return nil
}

// agenda compares the tasks with what they are for.
func (c *checker) agenda() error {
	there, err := c.index(buckets())
	if err != nil {
		return fmt.Errorf("agenda: %w", err)
	}
	counts := map[uint64]uint64{}
	for k, b := range c.v.Scan([]byte{rowTask}, nil) {
		t := taskOf(k, b)
		counts[t.bucket]++
		orphan := t
		if orphan.queue = 0; !c.tasks[t] && !c.tasks[orphan] {
			return fmt.Errorf("agenda: %+v is for nothing", t)
		}
		delete(c.tasks, t)
	}
	for t := range c.tasks { // any order: the first one named is as good
		if t.queue != 0 {
			return fmt.Errorf("agenda: no %+v", t)
		}
	}
	var rows uint64
	for range c.v.Scan([]byte{rowBucket}, nil) {
		rows++
	}
	for _, b := range there {
		if planned(c.v, b) != counts[b] || counts[b] == 0 {
			return fmt.Errorf("agenda: bucket %d has %d tasks, and counts %d", b, counts[b], planned(c.v, b))
		}
	}
	if int(rows) != len(there) || len(counts) != len(there) {
		return fmt.Errorf("agenda: %d buckets, %d counts, %d of tasks", len(there), rows, len(counts))
	}
	return nil
}
