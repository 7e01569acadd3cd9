package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/zeebo/blake3"
)

// A file is
//
//	magic and version, 8 bytes
//	hash of the chunk, 32 bytes: finds a file under a wrong name
//	length of the chunk in bytes, u64
//	CRC32C of each 64 KiB of the chunk, u32 each
//	CRC32C of all before it, u32
//	the chunk
//
// Numbers are big endian.
const (
	fileMagic = "PFSBLOB\x01"
	blockLen  = 64 << 10
	fixedLen  = 8 + 32 + 8
	sumLen    = 4
	// MaxSize is the longest chunk, in bytes.
	MaxSize = 64 << 20
)

// ErrCorrupt says that a chunk is here but damaged.
var ErrCorrupt = errors.New("chunk is damaged")

// Sum returns the name of a chunk: the BLAKE3-256 of its bytes.
func Sum(data []byte) [32]byte { return blake3.Sum256(data) }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func blocks(size int64) int { return int((size + blockLen - 1) / blockLen) }

func headerLen(size int64) int64 { return int64(fixedLen + sumLen*blocks(size) + sumLen) }

// header returns the bytes before a chunk.
func header(hash [32]byte, data []byte) []byte {
	b := make([]byte, 0, headerLen(int64(len(data))))
	b = append(append(b, fileMagic...), hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(data)))
	for rest := data; len(rest) > 0; {
		n := min(len(rest), blockLen)
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(rest[:n], castagnoli()))
		rest = rest[n:]
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

// chunk is an open file whose header was read and verified.
type chunk struct {
	f     io.ReaderAt
	size  int64  // of the content, bytes
	sums  []byte // of the blocks
	start int64  // of the content in the file
}

// readHeader verifies the header of the file of hash. What it returns lives in
// scratch, which should hold the header of a usual chunk.
func readHeader(f io.ReaderAt, hash [32]byte, scratch []byte) (chunk, error) {
	n, err := f.ReadAt(scratch, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return chunk{}, err
	}
	b := scratch[:n]
	if n < fixedLen || string(b[:8]) != fileMagic || [32]byte(b[8:40]) != hash {
		return chunk{}, fmt.Errorf("%w: no header of it", ErrCorrupt)
	}
	size := binary.BigEndian.Uint64(b[40:])
	if size > MaxSize {
		return chunk{}, fmt.Errorf("%w: impossible length", ErrCorrupt)
	}
	start := headerLen(int64(size))
	if start > int64(n) {
		b = make([]byte, start)
		if err := readFull(f, b, 0); err != nil {
			return chunk{}, err
		}
	}
	end := start - sumLen
	if crc32.Checksum(b[:end], castagnoli()) != binary.BigEndian.Uint32(b[end:]) {
		return chunk{}, fmt.Errorf("%w: checksum of the header", ErrCorrupt)
	}
	return chunk{f: f, size: int64(size), sums: b[fixedLen:end], start: start}, nil
}

// block reads block i into b, which has its length, and verifies it.
func (c chunk) block(i int64, b []byte) error {
	if err := readFull(c.f, b, c.start+i*blockLen); err != nil {
		return err
	}
	if !plantCRC && crc32.Checksum(b, castagnoli()) != binary.BigEndian.Uint32(c.sums[i*sumLen:]) {
		return fmt.Errorf("%w: checksum of block %d", ErrCorrupt, i)
	}
	return nil
}

// readAt fills b from off, verifying the blocks it touches. Whole blocks are
// read into b itself, others into scratch, which holds one.
func (c chunk) readAt(b []byte, off int64, scratch []byte) error {
	if off < 0 || off > c.size || int64(len(b)) > c.size-off {
		return fmt.Errorf("read of %d bytes at %d in a chunk of %d: %w", len(b), off, c.size, io.ErrUnexpectedEOF)
	}
	for len(b) > 0 {
		i, skip := off/blockLen, int(off%blockLen)
		length := int(min(blockLen, c.size-i*blockLen))
		n := min(length-skip, len(b))
		if n == length {
			if err := c.block(i, b[:n]); err != nil {
				return err
			}
		} else {
			if err := c.block(i, scratch[:length]); err != nil {
				return err
			}
			copy(b, scratch[skip:skip+n])
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: file is too short", ErrCorrupt)
	}
	return err
}
