package backup

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/zeebo/blake3"
)

// Writer writes a backup. The first error is final.
type Writer struct {
	w     io.Writer
	h     Header
	t     Trailer
	sum   *blake3.Hasher
	rows  []byte // of the record that is being filled
	last  []byte // key or hash
	stage byte   // kind of the last record
	err   error
}

// NewWriter begins a backup with its header, which tells how many rows and
// chunks will follow.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Format = Format
	b := &Writer{w: w, h: h, sum: blake3.New(), stage: kindRows}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	b.write([]byte(magic), []byte{Format})
	b.record(kindHeader, text)
	return b, b.err
}

// Row adds a pair of the state, in order of keys.
func (w *Writer) Row(key, value []byte) error {
	switch {
	case w.stage != kindRows || w.t.Rows > 0 && bytes.Compare(key, w.last) <= 0:
		w.fail(errors.New("rows out of order"))
	case pairLen+len(key)+len(value) > maxRows:
		w.fail(fmt.Errorf("row of %d bytes", len(key)+len(value)))
	case len(w.rows) > 0 && len(w.rows)+pairLen+len(key)+len(value) > fullRows:
		w.flush()
	}
	w.rows = binary.BigEndian.AppendUint32(w.rows, uint32(len(key)))
	w.rows = binary.BigEndian.AppendUint32(w.rows, uint32(len(value)))
	w.rows = append(append(w.rows, key...), value...)
	w.last = append(w.last[:0], key...)
	w.t.Rows++
	return w.err
}

func (w *Writer) flush() {
	if len(w.rows) > 0 {
		w.record(kindRows, w.rows)
		w.rows = w.rows[:0]
	}
}

// Chunk adds a chunk, after all rows and in order of hashes.
func (w *Writer) Chunk(hash [32]byte, data []byte) error {
	if w.stage == kindRows {
		w.flush()
		w.stage, w.last = kindChunk, nil
	}
	switch {
	case w.stage != kindChunk || w.last != nil && bytes.Compare(hash[:], w.last) <= 0:
		w.fail(errors.New("chunks out of order"))
	case len(data) > maxChunk || blake3.Sum256(data) != hash:
		w.fail(errors.New("chunk is not what its name says"))
	}
	w.record(kindChunk, hash[:], data)
	w.last = append(w.last[:0], hash[:]...)
	w.t.Chunks++
	w.t.ChunkBytes += int64(len(data))
	return w.err
}

// End writes the trailer. A backup that does not hold what its header promised
// gets none.
func (w *Writer) End() error {
	w.flush()
	if w.t.Rows != w.h.Rows || w.t.Chunks != w.h.Chunks {
		w.fail(fmt.Errorf("%d rows and %d chunks instead of %d and %d", w.t.Rows, w.t.Chunks, w.h.Rows, w.h.Chunks))
	}
	w.t.Sum = hex.EncodeToString(w.sum.Sum(nil))
	text, err := json.Marshal(w.t)
	if err != nil {
		w.fail(err)
	}
	w.record(kindEnd, text)
	w.stage = kindEnd
	return w.err
}

// Bytes returns how many bytes were written.
func (w *Writer) Bytes() int64 { return w.t.Bytes }

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = fmt.Errorf("write backup: %w", err)
	}
}

// record writes one record, unless something failed before.
func (w *Writer) record(kind byte, payload ...[]byte) {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(n))
	sum := crc32.Checksum(head, castagnoli())
	for _, p := range payload {
		sum = crc32.Update(sum, castagnoli(), p)
	}
	w.write(append([][]byte{head}, append(payload, binary.BigEndian.AppendUint32(nil, sum))...)...)
}

func (w *Writer) write(parts ...[]byte) {
	for _, p := range parts {
		if w.err != nil {
			return
		}
		_, _ = w.sum.Write(p) // never fails
		n, err := w.w.Write(p)
		w.t.Bytes += int64(n)
		if err != nil {
			w.err = err
		}
	}
}
