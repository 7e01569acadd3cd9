package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
)

// Extract reads one archive from r, no byte more, into dir, which must not
// exist. When it returns nil all of it was verified and is durable; after an
// error there is no dir. A stream that is cut short or damaged gives
// [ErrArchive], a failing reader or disk its own error.
func Extract(r io.Reader, disk FS, dir string) error {
	if _, err := disk.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("extract: %s exists or cannot be looked at: %w", dir, errors.Join(err, fs.ErrExist))
	}
	// Under its own name dir is always whole, also after a crash in here.
	part := dir + ".part"
	if err := disk.RemoveAll(part); err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	if err := disk.MkdirAll(part, 0o755); err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	err := extractFiles(r, disk, part)
	if err == nil {
		err = SyncDir(disk, part)
	}
	if err == nil {
		err = disk.Rename(part, dir)
	}
	if err == nil {
		err = SyncDir(disk, disk.PathDir(dir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("extract to %s: %w", dir, err), disk.RemoveAll(part), disk.RemoveAll(dir))
	}
	return nil
}

func extractFiles(r io.Reader, disk FS, dir string) error {
	magic := make([]byte, len(archiveMagic))
	if err := fill(r, magic); err != nil {
		return err
	}
	if string(magic) != archiveMagic {
		return fmt.Errorf("%w: not an archive of this version", ErrArchive)
	}
	for n := uint32(0); ; n++ {
		var tag [1]byte
		if err := fill(r, tag[:]); err != nil {
			return err
		}
		switch tag[0] {
		case tagFile:
			if err := extractFile(r, disk, dir); err != nil {
				return err
			}
		case tagEnd:
			b := []byte{tagEnd, 0, 0, 0, 0}
			if err := fillSealed(r, b, 1); err != nil {
				return err
			}
			if got := binary.BigEndian.Uint32(b[1:]); got != n {
				return fmt.Errorf("%w: %d files instead of %d", ErrArchive, n, got)
			}
			return nil
		default:
			return fmt.Errorf("%w: unknown tag %d", ErrArchive, tag[0])
		}
	}
}

func extractFile(r io.Reader, disk FS, dir string) error {
	head := make([]byte, fileHead, fileHead+maxName)
	head[0] = tagFile
	if err := fill(r, head[1:]); err != nil {
		return err
	}
	length, size := int(binary.BigEndian.Uint16(head[1:])), binary.BigEndian.Uint64(head[3:])
	if length > maxName || size > 1<<62 {
		return fmt.Errorf("%w: bad file header", ErrArchive)
	}
	head = head[:fileHead+length]
	if err := fillSealed(r, head, fileHead); err != nil {
		return err
	}
	name := string(head[fileHead:])
	if !fileName(name) {
		return fmt.Errorf("%w: bad file name %q", ErrArchive, name)
	}
	path := disk.PathJoin(dir, name)
	if _, err := disk.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: file %s comes twice", ErrArchive, name)
	}
	f, err := Create(disk, path)
	if err != nil {
		return err
	}
	err = extractData(r, f, name, int64(size))
	return errors.Join(err, f.Close())
}

func extractData(r io.Reader, f File, name string, size int64) error {
	sum := crc32.New(castagnoli())
	if _, err := io.CopyN(io.MultiWriter(sum, f), r, size); err != nil {
		return short(err)
	}
	var want [sumLen]byte
	if err := fill(r, want[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(want[:]) != sum.Sum32() {
		return fmt.Errorf("%w: checksum of %s", ErrArchive, name)
	}
	return f.Sync()
}

// fillSealed reads b[from:] and the checksum of all of b.
func fillSealed(r io.Reader, b []byte, from int) error {
	rest := make([]byte, len(b)-from+sumLen)
	if err := fill(r, rest); err != nil {
		return err
	}
	n := copy(b[from:], rest)
	if binary.BigEndian.Uint32(rest[n:]) != crc32.Checksum(b, castagnoli()) {
		return fmt.Errorf("%w: checksum of a header", ErrArchive)
	}
	return nil
}

func fill(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return short(err)
}

// short names the early end of a stream.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short", ErrArchive)
	}
	return err
}
