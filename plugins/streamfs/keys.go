package streamfs

import (
	"encoding/binary"
	"errors"

	"github.com/pfs-project/pfs/vfs"
)

// The rows beside those of the tree. Numbers are eight bytes, big endian.
const (
	rowStream = 's' // file -> stream
	rowBytes  = 'b' // file, then as package content has it
	rowRest   = 'g' // file -> nothing: some of its rows are to be freed
	rowMade   = 'm' // -> the Event in which a stream was made last
)

// format is the first byte of a stream's row; another one is corruption.
const format = 1

// stream is where the bytes of a stream begin and end.
type stream struct {
	oldest int64 // offset of the first that is kept
	end    int64 // how many were ever written
}

func key(space byte, file uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{space}, file)
}

func corrupt() vfs.StoreFault { return vfs.StoreFault{Err: errors.New("streamfs: damaged row")} }

// find returns the stream of a file; false if it has none.
func find(v vfs.View, file uint64) (stream, bool) {
	b, ok := v.Get(key(rowStream, file))
	if !ok {
		return stream{}, false
	}
	if len(b) != 1+8+8 || b[0] != format {
		panic(corrupt())
	}
	return stream{int64(binary.BigEndian.Uint64(b[1:])), int64(binary.BigEndian.Uint64(b[9:]))}, true
}

func (s stream) put(tx vfs.Tx, file uint64) {
	b := binary.BigEndian.AppendUint64([]byte{format}, uint64(s.oldest))
	tx.Put(key(rowStream, file), binary.BigEndian.AppendUint64(b, uint64(s.end)))
}
