//go:build wasip1

// Memory is a plugin that can be written to: files in the memory of its
// instance, which are gone when that is. It is an example, no place for data.
package main

import (
	"errors"
	"sort"
	"strings"
	"time"

	"github.com/pfs-project/pfs/examples/go-wasm/guest"
)

const readme = "# memory-go\n\nFiles and directories in the memory of the plugin.\n"

// file is a file, or a directory if it has no data and dir is set.
type file struct {
	data []byte
	mode uint32
	time time.Time
	dir  bool
}

type memory struct{ files map[string]*file }

func (m *memory) info(path string, f *file) guest.Info {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return guest.Info{Name: name, Size: int64(len(f.data)), Mode: f.mode, ModTime: f.time, IsDir: f.dir}
}

// find returns what is at path.
func (m *memory) find(path string) (*file, error) {
	if f := m.files[path]; f != nil {
		return f, nil
	}
	return nil, guest.ErrNotFound
}

// parent returns nil if there is a directory for path to be in.
func (m *memory) parent(path string) error {
	dir := path[:strings.LastIndexByte(path, '/')]
	if dir == "" {
		return nil
	}
	f, err := m.find(dir)
	if err == nil && !f.dir {
		err = guest.ErrNotDir
	}
	return err
}

// below returns the paths under dir, in order.
func (m *memory) below(dir string) (out []string) {
	for p := range m.files {
		if strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") && p != "/" {
			out = append(out, p)
		}
	}
	sort.Strings(out)
	return out
}

func (m *memory) Stat(path string) (guest.Info, error) {
	f, err := m.find(path)
	if err != nil {
		return guest.Info{}, err
	}
	return m.info(path, f), nil
}

func (m *memory) List(path string) (out []guest.Info, err error) {
	f, err := m.find(path)
	if err != nil {
		return nil, err
	}
	if !f.dir {
		return nil, guest.ErrNotDir
	}
	for _, p := range m.below(path) {
		if !strings.Contains(p[len(strings.TrimSuffix(path, "/"))+1:], "/") {
			out = append(out, m.info(p, m.files[p]))
		}
	}
	return out, nil
}

func (m *memory) Read(path string, off, size int64) ([]byte, error) {
	f, err := m.find(path)
	if err != nil {
		return nil, err
	}
	b := f.data[min(max(off, 0), int64(len(f.data))):]
	if size >= 0 && size < int64(len(b)) {
		b = b[:size]
	}
	return b, nil
}

func (m *memory) Create(path string) error {
	if err := m.parent(path); err != nil {
		return err
	}
	m.files[path] = &file{mode: 0o644, time: time.Now()}
	return nil
}

func (m *memory) Mkdir(path string, mode uint32) error {
	if err := m.parent(path); err != nil {
		return err
	}
	m.files[path] = &file{mode: mode, time: time.Now(), dir: true}
	return nil
}

// maxFile is how long a file may be, in bytes; a longer one would not go into the
// memory that a module has.
const maxFile = 16 << 20

var (
	errTooLarge = errors.New("too large")
	errInvalid  = errors.New("invalid argument: a directory cannot go below itself")
)

func (m *memory) Write(path string, data []byte, off int64, flags uint32) (int, error) {
	var old []byte
	f, err := m.find(path)
	if err == nil && flags&guest.Truncate == 0 {
		old = f.data
	}
	if off < 0 {
		off = int64(len(old))
	}
	if off > maxFile-int64(len(data)) { // before anything is changed, or made
		return 0, errTooLarge
	}
	if err != nil {
		if err = m.Create(path); err != nil {
			return 0, err
		}
		f = m.files[path]
	}
	if f.time = time.Now(); len(old) == 0 && off == 0 {
		f.data = data
		return len(data), nil
	}
	f.data = old
	if end := off + int64(len(data)); end > int64(len(old)) {
		f.data = append(old, make([]byte, end-int64(len(old)))...)
	}
	return copy(f.data[off:], data), nil
}

func (m *memory) Remove(path string) error {
	if _, err := m.find(path); err != nil {
		return err
	}
	if len(m.below(path)) > 0 {
		return guest.ErrNotEmpty
	}
	delete(m.files, path)
	return nil
}

func (m *memory) RemoveAll(path string) error {
	for _, p := range append(m.below(path), path) {
		delete(m.files, p)
	}
	return nil
}

func (m *memory) Rename(from, to string) error {
	f, err := m.find(from)
	if err == nil {
		err = m.parent(to)
	}
	if err != nil {
		return err
	}
	old, err := m.find(to)
	switch {
	case strings.HasPrefix(to, from+"/"):
		return errInvalid
	case err != nil:
	case old.dir && !f.dir:
		return guest.ErrIsDir
	case !old.dir && f.dir:
		return guest.ErrNotDir
	case len(m.below(to)) > 0:
		return guest.ErrNotEmpty
	}
	for _, p := range append(m.below(from), from) {
		m.files[to+p[len(from):]] = m.files[p]
		delete(m.files, p)
	}
	return nil
}

func (m *memory) Chmod(path string, mode uint32) error {
	f, err := m.find(path)
	if err == nil {
		f.mode = mode
	}
	return err
}

func init() {
	guest.Serve("memory-go", readme, &memory{files: map[string]*file{"/": {mode: 0o755, time: time.Now(), dir: true}}})
}

func main() {}
