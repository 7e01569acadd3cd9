package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// Kinds of rows in the system space; the byte after vfs.SystemSpace. The
// Table's kept links have 'l' there. The numbers and texts are big endian and
// raw, so that rows sort as one reads them.
const (
	rowSeq      = 's' // → number of the last Event
	rowTime     = 't' // → its time
	rowMount    = 'm' // path → record
	rowDetached = 'd' // path 0 type → record of a mount that was unmounted
	rowTomb     = 'x' // path → what a file had configured there
	rowAnswer   = 'k' // idempotency key → answer
	rowOrder    = 'o' // n → the n-th remembered key
	rowWindow   = 'w' // → first and next n, count and bytes of answers
	rowLink     = 'l' // the Table's: mount, path → a link that it keeps
	rowChunk    = 'c' // hash → count, or zero and since when
	rowZero     = 'z' // time, hash → nothing refers to it since
	rowUpload   = 'u' // upload id → its parts
	rowPart     = 'p' // upload id, n → refs
	rowMember   = 'n' // node id → Member
	rowNumber   = 'N' // → the last number given to a member
	rowCluster  = 'b' // → id of the cluster
	rowLevel    = 'v' // → its feature level
	rowLoading  = 'r' // → Loading: a backup that is or was taken in
	rowHeld     = 'h' // hash → a chunk of the backup that is being taken in
	rowSaved    = 'B' // → SavedBackup: the last scheduled backup
	rowLibrary  = 'e' // name → vfs.Library: a third-party plugin
)

// own reports whether the row of a key tells whose state it is rather than what
// is in it: which cluster, which nodes, how far it has counted. A backup leaves
// such rows out, and a cluster that takes one in keeps its own. They are no
// part of the digest, so that it stays the same over both.
func own(key []byte) bool {
	return len(key) > 1 && key[0] == vfs.SystemSpace && strings.IndexByte(ownRows, key[1]) >= 0
}

// ownRows are the kinds of those rows.
const ownRows = string(rowSeq) + string(rowTime) + string(rowMember) + string(rowNumber) + string(rowCluster) + string(rowLevel) +
	string(rowLoading) + string(rowHeld) + string(rowSaved)

// Rows of the node itself, no part of the digest.
const (
	metaApplied = "\x00a" // index, term
	metaConfig  = "\x00c" // index, raft configuration as raft encodes it
	metaWhole   = "\x00w" // index at which the state was installed as a whole
)

func sysKey(kind byte, tail ...byte) []byte {
	return append([]byte{vfs.SystemSpace, kind}, tail...)
}

func textKey(kind byte, text string) []byte {
	return append([]byte{vfs.SystemSpace, kind}, text...)
}

func numKey(kind byte, n uint64, tail ...byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{vfs.SystemSpace, kind}, n), tail...)
}

func be64(ns ...uint64) []byte {
	b := make([]byte, 0, 8*len(ns))
	for _, n := range ns {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// getNums reads a row of n numbers; all zero and false if there is none.
func getNums(v vfs.View, key []byte, n int) ([]uint64, bool) {
	out := make([]uint64, n)
	b, ok := v.Get(key)
	if !ok {
		return out, false
	}
	if len(b) != 8*n {
		broken("numbers at %q", key)
	}
	for i := range out {
		out[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return out, true
}

func getNum(v vfs.View, kind byte) uint64 {
	n, _ := getNums(v, sysKey(kind), 1)
	return n[0]
}

// broken ends the node: a row that nobody could have written was read.
func broken(format string, args ...any) {
	panic(vfs.StoreFault{Err: fmt.Errorf("%w: %s", errBroken, fmt.Sprintf(format, args...))})
}

var errBroken = errors.New("broken row")
