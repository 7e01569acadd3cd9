package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
)

// The layout of a bolt file, as far as it is checked: pages of one size, each
// with a head; two pages with what makes the others count; branches and leaves
// of trees. Numbers have the order of the machine, which is little endian
// wherever PFS runs.
const (
	boltMagic    = 0xED0CDAED
	boltPageHead = 16
	boltElement  = 16
	boltMetaLen  = 56 // up to its checksum
	boltBranch   = 0x01
	boltLeaf     = 0x02
	boltMeta     = 0x04
	boltBucket   = 0x01 // flag of a leaf's element
	boltDepth    = 64   // no tree is as deep
)

// boltTree walks a file to find whether it can be opened: bolt itself ends the
// process over a damaged one.
type boltTree struct {
	f     io.ReaderAt
	page  int64 // bytes of one
	pages uint64
	seen  map[uint64]bool
	last  uint64 // entry of the log
}

// The bucket in which raft-boltdb keeps the entries, by index.
const boltEntries = "logs"

// checkBolt returns [ErrCorrupt] for a file that is damaged; one that is not
// there is fine.
func checkBolt(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 { // bolt fills an empty one
		err = walkBolt(f, info.Size())
	}
	return errors.Join(err, f.Close())
}

func damagedBolt(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrCorrupt, boltFile, fmt.Sprintf(format, args...))
}

func walkBolt(f io.ReaderAt, size int64) error {
	t := &boltTree{f: f, seen: map[uint64]bool{}}
	var root, newest uint64
	for i := range int64(2) {
		head := make([]byte, boltPageHead+boltMetaLen+8)
		if _, err := f.ReadAt(head, i*t.page); err != nil {
			return damagedBolt("it is cut short")
		}
		m := head[boltPageHead:]
		if i == 0 {
			t.page = int64(binary.LittleEndian.Uint32(m[8:]))
		}
		sum := fnv.New64a()
		_, _ = sum.Write(m[:boltMetaLen]) // never fails
		// A sector holds all of this: no power cut leaves half of it.
		if binary.LittleEndian.Uint32(m) != boltMagic || binary.LittleEndian.Uint64(m[boltMetaLen:]) != sum.Sum64() ||
			binary.LittleEndian.Uint16(head[8:])&boltMeta == 0 || t.page < 512 || t.page > 1<<20 || int64(binary.LittleEndian.Uint32(m[8:])) != t.page {
			return damagedBolt("checksum of page %d", i)
		}
		if tx := binary.LittleEndian.Uint64(m[48:]); tx >= newest {
			newest, root, t.pages = tx, binary.LittleEndian.Uint64(m[16:]), binary.LittleEndian.Uint64(m[40:])
		}
	}
	if t.pages > uint64(size/t.page) {
		return damagedBolt("it has %d pages of %d", size/t.page, t.pages)
	}
	return t.walk(root, "", 0)
}

// walk visits a page of a bucket and all below it: each may be there once.
func (t *boltTree) walk(id uint64, in string, depth int) error {
	if id < 2 || id >= t.pages || depth > boltDepth {
		return damagedBolt("there is no page %d", id)
	}
	b := make([]byte, t.page)
	if _, err := t.f.ReadAt(b, int64(id)*t.page); err != nil {
		return err
	}
	flags, count := binary.LittleEndian.Uint16(b[8:]), int(binary.LittleEndian.Uint16(b[10:]))
	last := id + uint64(binary.LittleEndian.Uint32(b[12:]))
	if binary.LittleEndian.Uint64(b) != id || last >= t.pages || flags != boltBranch && flags != boltLeaf {
		return damagedBolt("page %d is none", id)
	}
	for p := id; p <= last; p++ {
		if t.seen[p] {
			return damagedBolt("page %d is in two places", p)
		}
		t.seen[p] = true
	}
	length := int64(last-id+1) * t.page
	if boltPageHead+int64(count)*boltElement > length {
		return damagedBolt("page %d has %d elements", id, count)
	}
	if length > t.page {
		b = make([]byte, boltPageHead+count*boltElement)
		if _, err := t.f.ReadAt(b, int64(id)*t.page); err != nil {
			return err
		}
	}
	for i := range count {
		at := boltPageHead + int64(i)*boltElement
		e := boltElem{b[at : at+boltElement], int64(id)*t.page + at, length - at}
		visit := t.leaf
		if flags == boltBranch {
			visit = t.branch
		}
		if err := visit(e, in, depth); err != nil {
			return fmt.Errorf("%w (page %d, element %d)", err, id, i)
		}
	}
	return nil
}

// boltElem is an element of a page, at off in the file; its key and value lie
// within room.
type boltElem struct {
	head []byte
	off  int64
	room int64
}

func (e boltElem) u32(i int) int64 { return int64(binary.LittleEndian.Uint32(e.head[i:])) }

func (t *boltTree) branch(e boltElem, in string, depth int) error {
	if e.u32(0)+e.u32(4) > e.room || e.u32(4) == 0 {
		return damagedBolt("a key lies outside")
	}
	return t.walk(binary.LittleEndian.Uint64(e.head[8:]), in, depth+1)
}

// leaf looks at a key and a value: a bucket is walked, and entries of the log
// follow each other.
func (t *boltTree) leaf(e boltElem, in string, depth int) error {
	pos, klen, vlen := e.u32(4), e.u32(8), e.u32(12)
	if pos+klen+vlen > e.room || klen == 0 || klen > t.page {
		return damagedBolt("a value lies outside")
	}
	key := make([]byte, klen)
	if _, err := t.f.ReadAt(key, e.off+pos); err != nil {
		return err
	}
	if e.u32(0)&boltBucket != 0 {
		return t.bucket(string(key), e.off+pos+klen, vlen, depth)
	}
	if in != boltEntries {
		return nil
	}
	if len(key) != 8 {
		return damagedBolt("an entry under a key of %d bytes", len(key))
	}
	index := binary.BigEndian.Uint64(key)
	if t.last != 0 && index != t.last+1 {
		return damagedBolt("entry %d stands behind entry %d", index, t.last)
	}
	t.last = index
	return nil
}

// bucket walks the bucket whose head is at off.
func (t *boltTree) bucket(name string, off, length int64, depth int) error {
	var head [16]byte
	if length < int64(len(head)) {
		return damagedBolt("a bucket without a head")
	}
	if _, err := t.f.ReadAt(head[:], off); err != nil {
		return err
	}
	if root := binary.LittleEndian.Uint64(head[:]); root != 0 {
		return t.walk(root, name, depth+1)
	}
	return nil // it is all in here
}
