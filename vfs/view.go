package vfs

import (
	"encoding/binary"
	"iter"
)

// The whole replicated state is one ordered key space. Keys of the state
// machine itself start with SystemSpace; those of a mount with MountSpace and
// the mount's id, eight bytes, big endian.
const (
	SystemSpace byte = 1
	MountSpace  byte = 2
)

// MountPrefix returns the prefix of a mount's keys in the whole state.
func MountPrefix(mount uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{MountSpace}, mount)
}

// Sub returns the part of v whose keys start with prefix, without the prefix.
func Sub(v View, prefix []byte) View { return subView{v, prefix} }

// SubTx is Sub of a Tx: what is put into it lands in tx below the prefix.
func SubTx(tx Tx, prefix []byte) Tx { return &subTx{Tx: tx, sub: subView{tx, prefix}} }

type subView struct {
	v      View
	prefix []byte
}

func (s subView) key(k []byte) []byte {
	b := make([]byte, 0, len(s.prefix)+len(k))
	return append(append(b, s.prefix...), k...)
}

func (s subView) Get(key []byte) ([]byte, bool) { return s.v.Get(s.key(key)) }

func (s subView) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	var f []byte
	if from != nil {
		f = s.key(from)
	}
	in := s.v.Scan(s.key(prefix), f)
	return func(yield func(k, v []byte) bool) {
		for k, v := range in {
			if !yield(k[len(s.prefix):], v) {
				return
			}
		}
	}
}

type subTx struct {
	Tx
	sub subView
	// room is for the key of one call, which a Tx does not keep.
	room [48]byte
}

// key is that of subView, and good until the next call.
func (s *subTx) key(k []byte) []byte { return append(append(s.room[:0], s.sub.prefix...), k...) }

func (s *subTx) Get(key []byte) ([]byte, bool) { return s.Tx.Get(s.key(key)) }
func (s *subTx) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	return s.sub.Scan(prefix, from)
}
func (s *subTx) Put(key, value []byte)       { s.Tx.Put(s.key(key), value) }
func (s *subTx) Delete(key []byte)           { s.Tx.Delete(s.key(key)) }
func (s *subTx) DeleteRange(from, to []byte) { s.Tx.DeleteRange(s.sub.key(from), s.sub.key(to)) }

// PrefixEnd returns the first key after all keys that start with prefix; nil
// if there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
