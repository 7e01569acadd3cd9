package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// The seal of an entry stands before its Extensions in the store:
//
//	version u8 = 1, CRC32C u32 over index, term, type, the length of the
//	extensions, extensions and data
const (
	sealVersion = 1
	sealLen     = 1 + 4
)

// sealAll returns logs as they go into the store, and the bytes of their data.
// The data is not copied.
func sealAll(logs []*raft.Log) (out []*raft.Log, bytes int) {
	entries := make([]raft.Log, len(logs))
	out = make([]*raft.Log, len(logs))
	for i, l := range logs {
		entries[i] = *l
		e := make([]byte, 0, sealLen+len(l.Extensions))
		e = binary.BigEndian.AppendUint32(append(e, sealVersion), checksum(l.Index, l, l.Extensions))
		entries[i].Extensions = append(e, l.Extensions...)
		out[i] = &entries[i]
		bytes += len(l.Data) + len(l.Extensions)
	}
	return out, bytes
}

// unseal verifies what was read at index and takes the seal off.
func unseal(index uint64, l *raft.Log) error {
	e := l.Extensions
	if len(e) < sealLen || e[0] != sealVersion {
		return fmt.Errorf("%w: index %d has no seal", ErrCorrupt, index)
	}
	if l.Index != index || checksum(index, l, e[sealLen:]) != binary.BigEndian.Uint32(e[1:]) {
		return fmt.Errorf("%w: checksum of index %d", ErrCorrupt, index)
	}
	l.Extensions = nil
	if len(e) > sealLen {
		l.Extensions = e[sealLen:]
	}
	return nil
}

func checksum(index uint64, l *raft.Log, extensions []byte) uint32 {
	var head [8 + 8 + 1 + 4]byte
	binary.BigEndian.PutUint64(head[:], index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	binary.BigEndian.PutUint32(head[17:], uint32(len(extensions)))
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum(head[:], table)
	sum = crc32.Update(sum, table, extensions)
	return crc32.Update(sum, table, l.Data)
}
