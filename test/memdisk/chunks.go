package memdisk

import (
	"path"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/store"
)

// Chunks returns the disk as the store of chunks sees it.
func (d *Disk) Chunks() blob.FS { return chunks{d} }

type chunks struct{ *Disk }

type chunkFile struct{ *file }

func (c chunks) file(f store.File, err error) (blob.File, error) {
	if err != nil {
		return nil, err
	}
	return chunkFile{f.(*file)}, nil
}

// Create makes a new file.
func (c chunks) Create(name string) (blob.File, error) {
	return c.file(c.Disk.Create(name, pebblevfs.WriteCategoryUnspecified))
}

// Open opens a file for reading.
func (c chunks) Open(name string) (blob.File, error) { return c.file(c.Disk.Open(name)) }

// List returns the files in a directory.
func (c chunks) List(dir string) ([]blob.Entry, error) {
	names, err := c.Disk.List(dir)
	if err != nil {
		return nil, err
	}
	out := make([]blob.Entry, 0, len(names))
	for _, name := range names {
		i, err := c.Stat(path.Join(dir, name))
		if err == nil && !i.IsDir() {
			out = append(out, blob.Entry{Name: name, Size: i.Size(), Changed: i.ModTime()})
		}
	}
	return out, nil
}

// Dir opens a directory, made if it is missing.
func (c chunks) Dir(name string) (blob.Dir, error) {
	if _, err := c.Stat(name); err != nil {
		if err := c.MkdirAll(name, 0o755); err != nil {
			return nil, err
		}
	}
	return c.OpenDir(name)
}

// Entry describes the file.
func (f chunkFile) Entry() (blob.Entry, error) {
	i, err := f.Stat()
	if err != nil {
		return blob.Entry{}, err
	}
	return blob.Entry{Name: i.Name(), Size: i.Size(), Changed: i.ModTime()}, nil
}

// Touch sets the time of change.
func (f chunkFile) Touch() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.n.changed = time.Now()
	return nil
}
