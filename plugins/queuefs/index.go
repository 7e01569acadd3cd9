package queuefs

import (
	"encoding/binary"
	"math/bits"

	"github.com/pfs-project/pfs/vfs"
)

// nodeBytes is the length of a node: a bit for each of 256 children.
const nodeBytes = 32

// index is an ordered set of numbers below 256^levels, kept in rows. A node of
// level 0 has a bit for each number that is in the set, one further up has a
// bit for each node below it that is there; an empty node is no row. So the
// next number is found with a few Gets and without a Scan, which would have to
// pass what was deleted.
type index struct {
	row    byte
	owner  uint64
	levels int
}

func (x index) key(level int, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(key(x.row, x.owner), byte(level)), n)
}

// node is one row; nil for none.
func (x index) node(v vfs.View, level int, n uint64) []byte {
	b, ok := v.Get(x.key(level, n))
	if !ok {
		return nil
	}
	if len(b) != nodeBytes {
		panic(corrupt())
	}
	return b
}

// insert adds n.
func (x index) insert(tx vfs.Tx, n uint64) {
	for level := range x.levels {
		var node [nodeBytes]byte
		old := x.node(tx, level, n>>8)
		copy(node[:], old)
		node[n>>3&31] |= 1 << (n & 7)
		tx.Put(x.key(level, n>>8), node[:])
		if old != nil {
			return
		}
		n >>= 8
	}
}

// remove takes n out, which must be in.
func (x index) remove(tx vfs.Tx, n uint64) {
	for level := range x.levels {
		var node [nodeBytes]byte
		copy(node[:], x.node(tx, level, n>>8))
		if node[n>>3&31]&(1<<(n&7)) == 0 {
			panic(corrupt())
		}
		node[n>>3&31] &^= 1 << (n & 7)
		if node != [nodeBytes]byte{} {
			tx.Put(x.key(level, n>>8), node[:])
			return
		}
		tx.Delete(x.key(level, n>>8))
		n >>= 8
	}
}

// next returns the lowest number that is not below from.
func (x index) next(v vfs.View, from uint64) (uint64, bool) {
	for level := range x.levels {
		if from>>(8*(x.levels-level)) != 0 {
			return 0, false // past the last of this level
		}
		if bit, ok := lowest(x.node(v, level, from>>8), byte(from)); ok {
			return x.descend(v, level, from&^0xff|uint64(bit)), true
		}
		from = from>>8 + 1
	}
	return 0, false
}

// descend returns the lowest number below the n-th bit of a level.
func (x index) descend(v vfs.View, level int, n uint64) uint64 {
	for level--; level >= 0; level-- {
		bit, ok := lowest(x.node(v, level, n), 0)
		if !ok {
			panic(corrupt())
		}
		n = n<<8 | uint64(bit)
	}
	return n
}

// lowest returns the lowest bit of a node that is not below from.
func lowest(node []byte, from byte) (byte, bool) {
	if node == nil {
		return 0, false
	}
	for i := int(from >> 3); i < nodeBytes; i++ {
		b := node[i]
		if i == int(from>>3) {
			b &= 0xff << (from & 7)
		}
		if b != 0 {
			return byte(i<<3 + bits.TrailingZeros8(b)), true
		}
	}
	return 0, false
}
