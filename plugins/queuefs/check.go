package queuefs

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/pfs-project/pfs/vfs"
)

// Check walks the whole state and names the first broken invariant.
func (FS) Check(v vfs.View) error {
	boxes := map[uint64]span{} // those that may hold messages
	for k, b := range v.Scan([]byte{rowBox}, nil) {
		boxes[idOf(k)] = decodeSpan(b)
	}
	for k, b := range v.Scan([]byte{rowQueue}, nil) {
		id := idOf(k)
		if id == rootID {
			continue
		}
		if err := checkQueue(v, id, decodeQueue(b)); err != nil {
			return err
		}
		t := getTally(v, id)
		if _, twice := boxes[t.box]; twice || t.head > t.next {
			return fmt.Errorf("queue %d: bad box %d", id, t.box)
		}
		boxes[t.box] = span{t.head, t.next}
	}
	for k, b := range v.Scan([]byte{rowEntry}, nil) {
		if _, ok := v.Get(key(rowQueue, decodeID(b))); !ok {
			return fmt.Errorf("entry %q names no queue", k[9:])
		}
	}
	return checkMessages(v, boxes)
}

// checkQueue finds the entry of a queue, or that it is removed.
func checkQueue(v vfs.View, id uint64, q queue) error {
	_, gone := v.Get(key(rowGone, id))
	at, ok := v.Get(entryKey(q.parent, q.name))
	named := ok && bytes.Equal(at, encodeID(id))
	if named == gone {
		return fmt.Errorf("queue %d %q: entry %v, removed %v", id, q.name, named, gone)
	}
	return nil
}

// checkMessages compares the messages with the positions that are taken.
func checkMessages(v vfs.View, boxes map[uint64]span) error {
	found := map[uint64]uint64{}
	for k, b := range v.Scan([]byte{rowMessage}, nil) {
		box, position := binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint64(k[9:])
		if s := boxes[box]; position < s.from || position >= s.to {
			return fmt.Errorf("message %d of box %d is in no queue", position, box)
		}
		decodeMessage(b)
		found[box]++
	}
	for box, s := range boxes {
		if n := found[box]; n != s.to-s.from {
			return fmt.Errorf("box %d holds %d messages, not %d", box, n, s.to-s.from)
		}
	}
	return nil
}
