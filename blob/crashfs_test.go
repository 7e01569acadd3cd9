package blob

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// crashFS is an FS in memory that can lose its power.
type crashFS struct{ *pebblevfs.MemFS }

func newCrashFS() crashFS { return crashFS{pebblevfs.NewCrashableMem()} }

// crash returns what the power cut leaves: all that was synced, and of the
// rest each block and each name with the given probability.
func (c crashFS) crash(percent int, r *rand.Rand) crashFS {
	return crashFS{c.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r})}
}

type crashFile struct{ pebblevfs.File }

func (c crashFS) file(f pebblevfs.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return crashFile{f}, nil
}

func (c crashFS) Create(name string) (File, error) {
	return c.file(c.MemFS.Create(name, pebblevfs.WriteCategoryUnspecified))
}

func (c crashFS) Open(name string) (File, error) { return c.file(c.MemFS.Open(name)) }

func (c crashFS) List(dir string) ([]Entry, error) {
	names, err := c.MemFS.List(dir)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, name := range names {
		info, err := c.Stat(filepath.Join(dir, name))
		if err == nil && !info.IsDir() {
			out = append(out, Entry{name, info.Size(), info.ModTime()})
		}
	}
	return out, nil
}

func (c crashFS) Dir(name string) (Dir, error) {
	if err := c.MkdirAll(name, 0o755); err != nil {
		return nil, err
	}
	return c.OpenDir(name)
}

// Write gives away a copy: under -race the file below scribbles over it.
func (f crashFile) Write(b []byte) (int, error) { return f.File.Write(bytes.Clone(b)) }

func (f crashFile) Entry() (Entry, error) {
	info, err := f.Stat()
	if err != nil {
		return Entry{}, err
	}
	return Entry{info.Name(), info.Size(), info.ModTime()}, nil
}

func (f crashFile) Touch() error { return nil }

// faultyFS fails the calls that its function says, and counts them.
type faultyFS struct {
	FS
	mu   sync.Mutex
	fail func(call, name string) error
	seen map[string]int
}

func (f *faultyFS) ask(call, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	f.seen[call]++
	if f.fail == nil {
		return nil
	}
	return f.fail(call, name)
}

type faultyFile struct {
	File
	fs   *faultyFS
	name string
}

func (f *faultyFS) Create(name string) (File, error) {
	if err := f.ask("create", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return faultyFile{file, f, name}, err
}

func (f *faultyFS) Open(name string) (File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return faultyFile{file, f, name}, nil
}

func (f *faultyFS) Rename(from, to string) error {
	if err := f.ask("rename", from); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *faultyFS) Dir(name string) (Dir, error) {
	d, err := f.FS.Dir(name)
	return faultyDir{d, f, name}, err
}

type faultyDir struct {
	Dir
	fs   *faultyFS
	name string
}

func (d faultyDir) Sync() error {
	if err := d.fs.ask("syncdir", d.name); err != nil {
		return err
	}
	return d.Dir.Sync()
}

func (f faultyFile) Write(b []byte) (int, error) {
	if err := f.fs.ask("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.fs.ask("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

func (f faultyFile) Sync() error {
	if err := f.fs.ask("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

// aged pretends that a file was changed long ago.
func aged(name string, age time.Duration) error {
	at := time.Now().Add(-age)
	return os.Chtimes(name, at, at)
}
