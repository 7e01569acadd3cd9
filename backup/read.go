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

	"github.com/pfs-project/pfs/store"
)

// Refers tells which chunk a row counts, if it counts one that has to be in the
// backup.
type Refers func(key, value []byte) (hash [32]byte, ok bool)

// Reader reads a backup and verifies it as it goes.
type Reader struct {
	r      io.Reader
	h      Header
	t      Trailer
	found  Trailer // so far
	bytes  int64   // of rows
	refers Refers
	digest *store.Hasher
	sum    *blake3.Hasher
	wanted *blake3.Hasher // of the hashes that rows count
	there  *blake3.Hasher // and of those that came
	last   []byte
	chunks bool
	buf    []byte
	pairs  []Pair
	err    error
}

// Pair is a row.
type Pair struct{ Key, Value []byte }

// Record is what Next found: some rows, or one chunk.
type Record struct {
	Rows []Pair
	Hash [32]byte
	Data []byte // of the chunk; nil for rows
}

// NewReader reads the header. It reads from r in small steps: give it a reader
// with a buffer. With refers nil nobody checks that no chunk is missing.
func NewReader(r io.Reader, refers Refers) (*Reader, error) {
	b := &Reader{r: r, refers: refers, digest: store.NewHasher(), sum: blake3.New(), wanted: blake3.New(), there: blake3.New()}
	head := make([]byte, len(magic)+1)
	switch err := b.fill(head); {
	case err != nil:
		return nil, err
	case string(head[:len(magic)]) != magic:
		return nil, fmt.Errorf("%w: it does not begin like one", ErrDamaged)
	case head[len(magic)] > Format:
		return nil, ErrNewer
	}
	_, _ = b.sum.Write(head) // never fails
	kind, payload, err := b.record()
	switch {
	case err != nil:
		return nil, err
	case kind != kindHeader || json.Unmarshal(payload, &b.h) != nil || b.h.Format < 1:
		return nil, fmt.Errorf("%w: no header", ErrDamaged)
	case b.h.Format > Format:
		return nil, ErrNewer
	}
	return b, nil
}

// Header returns what the backup says it is of.
func (r *Reader) Header() Header { return r.h }

// Trailer returns what the backup held, once Next has returned io.EOF.
func (r *Reader) Trailer() Trailer { return r.t }

// Next returns the next record, valid until the call after; io.EOF once the
// backup has ended and all of it was found to be right. A backup that is cut or
// changed gives [ErrDamaged], a failing reader its own error, for good.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	rec, err := r.next()
	r.err = err
	return rec, err
}

func (r *Reader) next() (rec Record, err error) {
	kind, payload, err := r.record()
	if err != nil {
		return rec, err
	}
	switch {
	case kind == kindRows && !r.chunks && len(payload) > 0:
		rec.Rows, err = r.rows(payload)
	case kind == kindChunk && len(payload) >= hashLen:
		rec.Hash, rec.Data = [32]byte(payload), payload[hashLen:]
		err = r.chunk(rec.Hash, rec.Data)
	case kind == kindEnd:
		err = r.end(payload)
	default:
		err = fmt.Errorf("%w: record of kind %q", ErrDamaged, kind)
	}
	return rec, err
}

// record reads and checks one record into buf.
func (r *Reader) record() (kind byte, payload []byte, err error) {
	var head [headLen]byte
	if err := r.fill(head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(head[1:]))
	if n > limit(head[0]) {
		return 0, nil, fmt.Errorf("%w: record of %d bytes", ErrDamaged, n)
	}
	if cap(r.buf) < n+sumLen {
		r.buf = make([]byte, n+sumLen)
	}
	r.buf = r.buf[:n+sumLen]
	if err := r.fill(r.buf); err != nil {
		return 0, nil, err
	}
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli()), castagnoli(), r.buf[:n])
	if sum != binary.BigEndian.Uint32(r.buf[n:]) {
		return 0, nil, fmt.Errorf("%w: checksum of a record", ErrDamaged)
	}
	if head[0] != kindEnd {
		_, _ = r.sum.Write(head[:]) // never fails
		_, _ = r.sum.Write(r.buf)
	}
	return head[0], r.buf[:n], nil
}

// limit is how long a record of a kind may be.
func limit(kind byte) int {
	switch kind {
	case kindHeader, kindEnd:
		return maxJSON
	case kindRows:
		return maxRows
	case kindChunk:
		return hashLen + maxChunk
	}
	return 0
}

func (r *Reader) fill(b []byte) error {
	n, err := io.ReadFull(r.r, b)
	r.found.Bytes += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short after %d bytes", ErrDamaged, r.found.Bytes)
	}
	return err
}

func (r *Reader) rows(b []byte) ([]Pair, error) {
	r.pairs = r.pairs[:0]
	for len(b) > 0 {
		if len(b) < pairLen {
			return nil, fmt.Errorf("%w: broken row", ErrDamaged)
		}
		k, v := uint64(binary.BigEndian.Uint32(b)), uint64(binary.BigEndian.Uint32(b[4:]))
		b = b[pairLen:]
		if k+v > uint64(len(b)) {
			return nil, fmt.Errorf("%w: broken row", ErrDamaged)
		}
		p := Pair{b[:k:k], b[k : k+v : k+v]}
		b = b[k+v:]
		if r.found.Rows > 0 && bytes.Compare(p.Key, r.last) <= 0 {
			return nil, fmt.Errorf("%w: rows out of order", ErrDamaged)
		}
		r.last = append(r.last[:0], p.Key...)
		r.digest.Add(p.Key, p.Value)
		if r.refers != nil {
			if hash, ok := r.refers(p.Key, p.Value); ok {
				_, _ = r.wanted.Write(hash[:]) // never fails
			}
		}
		r.found.Rows++
		r.bytes += int64(k + v)
		r.pairs = append(r.pairs, p)
	}
	return r.pairs, nil
}

func (r *Reader) chunk(hash [32]byte, data []byte) error {
	if !r.chunks {
		r.chunks, r.last = true, r.last[:0]
		if err := r.settle(); err != nil {
			return err
		}
	} else if bytes.Compare(hash[:], r.last) <= 0 {
		return fmt.Errorf("%w: chunks out of order", ErrDamaged)
	}
	if blake3.Sum256(data) != hash {
		return fmt.Errorf("%w: chunk %x is not what its name says", ErrDamaged, hash[:8])
	}
	r.last = append(r.last[:0], hash[:]...)
	_, _ = r.there.Write(hash[:]) // never fails
	r.found.Chunks++
	r.found.ChunkBytes += int64(len(data))
	return nil
}

// settle holds the rows against the header.
func (r *Reader) settle() error {
	sum := r.digest.Sum()
	if hex.EncodeToString(sum[:]) != r.h.Digest || r.found.Rows != r.h.Rows || r.bytes != r.h.Bytes {
		return fmt.Errorf("%w: its rows are not those that its header promises", ErrDamaged)
	}
	return nil
}

// end holds all that came against the trailer.
func (r *Reader) end(payload []byte) error {
	if !r.chunks {
		if err := r.settle(); err != nil {
			return err
		}
	}
	r.found.Bytes -= int64(headLen + len(payload) + sumLen)
	r.found.Sum = hex.EncodeToString(r.sum.Sum(nil))
	switch err := json.Unmarshal(payload, &r.t); {
	case err != nil || r.t != r.found || r.t.Chunks != r.h.Chunks:
		return fmt.Errorf("%w: its trailer is not that of what came before", ErrDamaged)
	case r.refers != nil && !bytes.Equal(r.wanted.Sum(nil), r.there.Sum(nil)):
		return fmt.Errorf("%w: it lacks chunks, or has others", ErrDamaged)
	}
	var more [1]byte
	switch n, err := io.ReadFull(r.r, more[:]); {
	case n > 0:
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	case err != io.EOF:
		return err
	}
	return io.EOF
}

// Verify reads all of a backup and returns what it says of itself, once all of
// it was found to be right.
func Verify(from io.Reader, refers Refers) (Header, Trailer, error) {
	r, err := NewReader(from, refers)
	if err != nil {
		return Header{}, Trailer{}, err
	}
	for {
		if _, err := r.Next(); err == io.EOF {
			return r.Header(), r.Trailer(), nil
		} else if err != nil {
			return r.Header(), Trailer{}, err
		}
	}
}
