package heartbeatfs

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The rows of a mount. Numbers are eight bytes, big endian.
const (
	rowLast   = 'n' // -> the id given last
	rowItem   = 'i' // name -> item
	rowName   = 'f' // id -> name
	rowExpiry = 'x' // when an item ends, in Unix nanoseconds, name -> nothing
	rowRoot   = 'r' // -> stamp: when an item was made or went last
)

// format is the first byte of every value; another one is corruption.
const format = 1

// stamp is when something happened last, and in which Event.
type stamp struct {
	ns      int64
	version uint64
}

func now(tx vfs.Tx) stamp { return stamp{tx.Now().UnixNano(), tx.Seq()} }

func (s stamp) time() time.Time { return time.Unix(0, s.ns).UTC() }

// item is one heartbeat.
type item struct {
	id      uint64
	timeout time.Duration
	made    stamp
	beat    stamp
	set     stamp // the timeout
}

// expiry is when the item ends without another beat.
func (i item) expiry() time.Time { return i.beat.time().Add(i.timeout) }

const itemLen = 1 + 8*8

func (i item) encode() []byte {
	b := []byte{format}
	for _, n := range []uint64{i.id, uint64(i.timeout), uint64(i.made.ns), i.made.version,
		uint64(i.beat.ns), i.beat.version, uint64(i.set.ns), i.set.version} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func decodeItem(b []byte) item {
	if len(b) != itemLen || b[0] != format {
		panic(corrupt())
	}
	n := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	at := func(i int) stamp { return stamp{int64(n(i)), n(i + 1)} }
	return item{n(0), time.Duration(n(1)), at(2), at(4), at(6)}
}

func corrupt() vfs.StoreFault {
	return vfs.StoreFault{Err: errors.New("heartbeatfs: damaged row")}
}

func itemKey(name string) []byte { return append([]byte{rowItem}, name...) }

func nameKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{rowName}, id) }

func expiryKey(i item, name string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{rowExpiry}, uint64(i.expiry().UnixNano())), name...)
}

// expires takes a key of rowExpiry apart.
func expires(key []byte) (at time.Time, name string) {
	if len(key) < 1+8 {
		panic(corrupt())
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(key[1:]))).UTC(), string(key[9:])
}

func find(v vfs.View, name string) (item, bool) {
	b, ok := v.Get(itemKey(name))
	if !ok {
		return item{}, false
	}
	return decodeItem(b), true
}

func rootStamp(v vfs.View) stamp {
	b, ok := v.Get([]byte{rowRoot})
	if !ok || len(b) != 1+8+8 || b[0] != format {
		panic(corrupt())
	}
	return stamp{int64(binary.BigEndian.Uint64(b[1:])), binary.BigEndian.Uint64(b[9:])}
}

func setRoot(tx vfs.Tx) {
	at := now(tx)
	b := binary.BigEndian.AppendUint64([]byte{format}, uint64(at.ns))
	tx.Put([]byte{rowRoot}, binary.BigEndian.AppendUint64(b, at.version))
}

func newID(tx vfs.Tx) uint64 {
	var last uint64
	if b, ok := tx.Get([]byte{rowLast}); ok {
		if len(b) != 8 {
			panic(corrupt())
		}
		last = binary.BigEndian.Uint64(b)
	}
	tx.Put([]byte{rowLast}, binary.BigEndian.AppendUint64(nil, last+1))
	return last + 1
}
