package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
)

// An archive is a stream:
//
//	magic, 8 bytes
//	file:  tag 1, name length u16, size u64, name, CRC32C of these; data, CRC32C of the data
//	end:   tag 2, count of files u32, CRC32C of these
//
// Numbers are big endian.
const (
	archiveMagic = "PFSARC\x00\x01"
	tagFile      = 1
	tagEnd       = 2
	fileHead     = 1 + 2 + 8
	endHead      = 1 + 4
	sumLen       = 4
	maxName      = 255
)

// ErrArchive is wrapped by what Extract says of a stream that is damaged.
var ErrArchive = errors.New("damaged archive")

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Archive writes the files of dir, a checkpoint that nobody changes, to w as a
// stream of exactly ArchiveSize bytes for Extract.
func Archive(w io.Writer, disk FS, dir string) error {
	files, err := archived(disk, dir)
	if err != nil {
		return fmt.Errorf("archive %s: %w", dir, err)
	}
	out := bufio.NewWriterSize(w, 128<<10)
	if _, err := out.WriteString(archiveMagic); err != nil {
		return err
	}
	for _, f := range files {
		if err := archiveFile(out, disk, dir, f); err != nil {
			return fmt.Errorf("archive %s: %s: %w", dir, f.name, err)
		}
	}
	head := binary.BigEndian.AppendUint32([]byte{tagEnd}, uint32(len(files)))
	if _, err := out.Write(sealed(head)); err != nil {
		return err
	}
	return out.Flush()
}

// ArchiveSize returns how many bytes Archive will write for dir.
func ArchiveSize(disk FS, dir string) (int64, error) {
	files, err := archived(disk, dir)
	if err != nil {
		return 0, fmt.Errorf("archive %s: %w", dir, err)
	}
	n := int64(len(archiveMagic) + endHead + sumLen)
	for _, f := range files {
		n += int64(fileHead+len(f.name)+2*sumLen) + f.size
	}
	return n, nil
}

// archivedFile is a file that goes into an archive.
type archivedFile struct {
	name string
	size int64
}

// archived lists the files of dir, which must hold nothing else, by name.
func archived(disk FS, dir string) ([]archivedFile, error) {
	names, err := disk.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	files := make([]archivedFile, len(names))
	for i, name := range names {
		info, err := disk.Stat(disk.PathJoin(dir, name))
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || !fileName(name) {
			return nil, fmt.Errorf("%s is no plain file", name)
		}
		files[i] = archivedFile{name, info.Size()}
	}
	return files, nil
}

func archiveFile(w io.Writer, disk FS, dir string, of archivedFile) error {
	head := binary.BigEndian.AppendUint16([]byte{tagFile}, uint16(len(of.name)))
	head = binary.BigEndian.AppendUint64(head, uint64(of.size))
	head = append(head, of.name...)
	if _, err := w.Write(sealed(head)); err != nil {
		return err
	}
	f, err := disk.Open(disk.PathJoin(dir, of.name))
	if err != nil {
		return err
	}
	sum := crc32.New(castagnoli())
	_, err = io.CopyN(io.MultiWriter(w, sum), f, of.size)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = w.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

// sealed appends the checksum of b to b.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

// fileName reports whether name is one element that stays inside a directory.
func fileName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxName &&
		!strings.ContainsAny(name, "/\\\x00:")
}
