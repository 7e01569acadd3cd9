// Memory is a plugin that can be written to: files in the memory of the module,
// which are gone when that ends. It is an example, no place for data.
package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pfs-project/pfs/examples/go-wasi/plugin"
)

type node struct {
	data []byte
	dir  bool
	time time.Time
}

type memory struct{ nodes map[string]*node }

func (m *memory) Start(config map[string]any) error {
	if len(config) > 0 {
		return errors.New("there are no settings")
	}
	m.nodes = map[string]*node{"/": {dir: true, time: time.Now()}}
	os.Stderr.WriteString("memory-wasi starts\n")
	return nil
}

func (m *memory) find(p string) (*node, error) {
	if n := m.nodes[p]; n != nil {
		return n, nil
	}
	return nil, fs.ErrNotExist
}

func (n *node) file(p string) plugin.File {
	return plugin.File{Name: path.Base(p), Size: int64(len(n.data)), IsDir: n.dir, ModTime: n.time}
}

func (m *memory) Stat(p string) (plugin.File, error) {
	n, err := m.find(p)
	if err != nil {
		return plugin.File{}, err
	}
	return n.file(p), nil
}

func (m *memory) List(dir string) (out []plugin.File, err error) {
	for p, n := range m.nodes {
		if p != "/" && path.Dir(p) == dir {
			out = append(out, n.file(p))
		}
	}
	return out, nil
}

func (m *memory) Read(p string, off int64, size int) ([]byte, error) {
	n, err := m.find(p)
	if err != nil {
		return nil, err
	}
	b := n.data[min(off, int64(len(n.data))):]
	return b[:min(size, len(b))], nil
}

func (m *memory) Create(p string) error {
	m.nodes[p] = &node{time: time.Now()}
	return nil
}

// maxFile is how long a file may be, in bytes: a longer one would not go into the
// memory that a module has, and Go ends without any.
const maxFile = 4 << 20

var errNoSpace = errors.New("no space left on device")

func (m *memory) Append(p string, data []byte) error {
	n, err := m.find(p)
	if err == nil && len(n.data)+len(data) > maxFile {
		err = errNoSpace
	}
	if err == nil {
		n.data, n.time = append(n.data, data...), time.Now()
	}
	return err
}

func (m *memory) Mkdir(p string) error {
	if m.nodes[p] != nil {
		return fs.ErrExist
	}
	m.nodes[p] = &node{dir: true, time: time.Now()}
	return nil
}

func (m *memory) Remove(p string) error {
	_, err := m.find(p)
	delete(m.nodes, p)
	return err
}

func (m *memory) Rename(from, to string) error {
	moved, err := m.find(from)
	if err != nil {
		return err
	}
	delete(m.nodes, from)
	below := map[string]*node{}
	for p, n := range m.nodes {
		if rest, ok := strings.CutPrefix(p, from+"/"); ok {
			below[to+"/"+rest] = n
			delete(m.nodes, p)
		}
	}
	for p, n := range below {
		m.nodes[p] = n
	}
	m.nodes[to] = moved
	return nil
}

func main() { plugin.Run("memory-wasi", "Files in the memory of a WASI program.", &memory{}) }
