package blob

import (
	"io"
	"io/fs"
	"os"
	"runtime"
	"time"
)

// FS is the disk under a Store. Names use the separator of the system. A
// missing file gives an error that is fs.ErrNotExist.
type FS interface {
	Create(name string) (File, error) // new and empty, for writing
	Open(name string) (File, error)   // for reading
	Rename(from, to string) error
	Remove(name string) error
	List(dir string) ([]Entry, error) // plain files only, in any order
	Dir(name string) (Dir, error)     // makes it and its parents if missing
}

// File is an open file.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error // bytes and size are durable when it returns
	Entry() (Entry, error)
	Touch() error // sets the time of change to now
}

// Dir is an open directory. After Sync the names in it are durable.
type Dir interface {
	Sync() error
	Close() error
}

// Entry describes a file.
type Entry struct {
	Name    string // last element
	Size    int64  // bytes
	Changed time.Time
}

// Disk is the FS of the operating system.
type Disk struct{}

// Create makes or empties a file.
func (Disk) Create(name string) (File, error) { return opened(os.Create(name)) }

// Open opens a file for reading.
func (Disk) Open(name string) (File, error) { return opened(os.Open(name)) }

// Rename moves a file, replacing one of the new name.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove removes a file.
func (Disk) Remove(name string) error { return os.Remove(name) }

// List returns the plain files of dir.
func (Disk) List(dir string) ([]Entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(found))
	for _, e := range found {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() {
			out = append(out, entry(info))
		}
	}
	return out, nil
}

// Dir opens a directory, made if it is missing.
func (Disk) Dir(name string) (Dir, error) {
	if err := os.MkdirAll(name, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return diskDir{f}, nil
}

type diskDir struct{ *os.File }

// Sync makes the names in the directory durable. Windows knows no such call:
// there the filesystem's own journal has to do.
func (d diskDir) Sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return d.File.Sync()
}

type diskFile struct{ *os.File }

func opened(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (f diskFile) Entry() (Entry, error) {
	info, err := f.Stat()
	if err != nil {
		return Entry{}, err
	}
	return entry(info), nil
}

func (f diskFile) Touch() error {
	now := time.Now()
	return os.Chtimes(f.Name(), now, now)
}

func entry(info fs.FileInfo) Entry {
	return Entry{Name: info.Name(), Size: info.Size(), Changed: info.ModTime()}
}
