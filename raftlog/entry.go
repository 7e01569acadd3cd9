package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"
)

// An entry in the pebble store, its index being the key:
//
//	version u8 = 1, type u8, term u64, time of append in Unix ns i64,
//	length of the extensions u32, extensions, data
//
// Numbers are big endian.
const (
	entryVersion = 1
	entryHead    = 1 + 1 + 8 + 8 + 4
	noTime       = math.MinInt64
)

func entryLen(l *raft.Log) int { return entryHead + len(l.Extensions) + len(l.Data) }

// putEntry writes l into b, which has its length.
func putEntry(b []byte, l *raft.Log) {
	at := int64(noTime)
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	b[0], b[1] = entryVersion, byte(l.Type)
	binary.BigEndian.PutUint64(b[2:], l.Term)
	binary.BigEndian.PutUint64(b[10:], uint64(at))
	binary.BigEndian.PutUint32(b[18:], uint32(len(l.Extensions)))
	n := copy(b[entryHead:], l.Extensions)
	copy(b[entryHead+n:], l.Data)
}

// getEntry reads an entry; what it hands out are copies.
func getEntry(index uint64, b []byte, l *raft.Log) error {
	if len(b) < entryHead || b[0] != entryVersion {
		return fmt.Errorf("%w: index %d: no entry of this version", ErrCorrupt, index)
	}
	ext := uint64(binary.BigEndian.Uint32(b[18:]))
	if ext > uint64(len(b)-entryHead) {
		return fmt.Errorf("%w: index %d: too short", ErrCorrupt, index)
	}
	body := append(make([]byte, 0, len(b)-entryHead), b[entryHead:]...)
	*l = raft.Log{
		Index: index,
		Type:  raft.LogType(b[1]),
		Term:  binary.BigEndian.Uint64(b[2:]),
	}
	if at := int64(binary.BigEndian.Uint64(b[10:])); at != noTime {
		l.AppendedAt = time.Unix(0, at).UTC()
	}
	if ext > 0 {
		l.Extensions = body[:ext:ext]
	}
	if len(body[ext:]) > 0 {
		l.Data = body[ext:]
	}
	return nil
}

// errKeyNotFound has the text that raft looks for.
var errKeyNotFound = errors.New("not found")
