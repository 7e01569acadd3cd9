// Memory is a plugin that can be written to: files in the memory of its process,
// which are gone when that ends. It is an example, no place for data.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/examples/go-http/plugin"
)

// node is a file, or a directory.
type node struct {
	data []byte
	mode uint32
	time time.Time
	dir  bool
}

// memory is all nodes by path. Reads come while a change is made.
type memory struct {
	mu    sync.RWMutex
	nodes map[string]*node
}

func (m *memory) find(p string) (*node, error) {
	if n := m.nodes[p]; n != nil {
		return n, nil
	}
	return nil, plugin.NotFound
}

// parent returns nil if there is a directory for p to be in.
func (m *memory) parent(p string) error {
	n, err := m.find(path.Dir(p))
	if err == nil && !n.dir {
		err = plugin.NotDir
	}
	return err
}

func (m *memory) below(dir string) (out []string) {
	for p := range m.nodes {
		if strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") && p != "/" {
			out = append(out, p)
		}
	}
	return out
}

func (m *memory) file(p string, n *node) plugin.File {
	return plugin.File{Name: path.Base(p), Size: int64(len(n.data)), Mode: n.mode, IsDir: n.dir, ModTime: n.time}
}

func (m *memory) Stat(p string) (plugin.File, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(p)
	if err != nil {
		return plugin.File{}, err
	}
	return m.file(p, n), nil
}

func (m *memory) List(p string) (out []plugin.File, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(p)
	if err == nil && !n.dir {
		err = plugin.NotDir
	}
	if err != nil {
		return nil, err
	}
	for _, name := range m.below(p) {
		if path.Dir(name) == p {
			out = append(out, m.file(name, m.nodes[name]))
		}
	}
	return out, nil
}

func (m *memory) Read(p string, b []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(p)
	switch {
	case err != nil:
		return 0, err
	case n.dir:
		return 0, plugin.IsDir
	case off >= int64(len(n.data)):
		return 0, nil
	}
	return copy(b, n.data[off:]), nil
}

// add puts a node where there is nothing.
func (m *memory) add(p string, n *node, mode, usual uint32) error {
	if m.nodes[p] != nil {
		return plugin.Exists
	}
	if err := m.parent(p); err != nil {
		return err
	}
	if n.mode = mode; mode == 0 {
		n.mode = usual
	}
	n.time = time.Now()
	m.nodes[p] = n
	return nil
}

func (m *memory) Create(p string, mode uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.add(p, &node{}, mode, 0o644)
}

func (m *memory) Mkdir(p string, mode uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.add(p, &node{dir: true}, mode, 0o755)
}

func (m *memory) Write(p string, data []byte, w plugin.Writing) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, off := m.nodes[p], w.Off
	var old []byte
	if n != nil && !w.Truncate {
		old = n.data
	}
	if w.Append {
		off = int64(len(old))
	}
	switch {
	case n == nil && !w.Create:
		return plugin.NotFound
	case n != nil && n.dir:
		return plugin.IsDir
	case n != nil && w.Exclusive:
		return plugin.Exists
	case off > maxFile-int64(len(data)): // before anything is changed, or made
		return plugin.TooLarge
	case n == nil:
		n = &node{}
		if err := m.add(p, n, w.Mode, 0o644); err != nil {
			return err
		}
	}
	n.data = old
	if end := off + int64(len(data)); end > int64(len(old)) {
		n.data = append(old, make([]byte, end-int64(len(old)))...)
	}
	copy(n.data[off:], data)
	n.time = time.Now()
	return nil
}

// maxFile is how long a file may be, in bytes.
const maxFile = 64 << 20

// Put reads first: as long as bytes come, the old file is there.
func (m *memory) Put(p string, r io.Reader, w plugin.Writing) (int64, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return 0, err
	}
	if len(data) > maxFile {
		return 0, plugin.TooLarge
	}
	return int64(len(data)), m.Write(p, data, w)
}

func (m *memory) Remove(p string, recursive bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find(p); err != nil {
		return err
	}
	below := m.below(p)
	if len(below) > 0 && !recursive {
		return plugin.NotEmpty
	}
	for _, name := range append(below, p) {
		delete(m.nodes, name)
	}
	return nil
}

func (m *memory) Rename(p, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(p)
	if err != nil || p == to {
		return err
	}
	if err := m.parent(to); err != nil {
		return err
	}
	old := m.nodes[to]
	switch {
	case strings.HasPrefix(to, p+"/"):
		return plugin.Invalid
	case old == nil:
	case old.dir && !n.dir:
		return plugin.IsDir
	case !old.dir && n.dir:
		return plugin.NotDir
	case len(m.below(to)) > 0:
		return plugin.NotEmpty
	}
	for _, name := range append(m.below(p), p) {
		m.nodes[to+name[len(p):]] = m.nodes[name]
		delete(m.nodes, name)
	}
	return nil
}

func (m *memory) SetAttr(p string, size *int64, mode *uint32, touch bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[p]
	if n == nil && touch {
		n = &node{}
		if err := m.add(p, n, 0, 0o644); err != nil {
			return err
		}
	}
	switch {
	case n == nil:
		return plugin.NotFound
	case size != nil && n.dir:
		return plugin.IsDir
	case size != nil && (*size < 0 || *size > 256<<20): // what is in memory at least once more
		return plugin.Invalid
	case size != nil:
		fresh := make([]byte, *size)
		copy(fresh, n.data)
		n.data = fresh
	}
	if mode != nil {
		n.mode = *mode
	}
	if touch || size != nil {
		n.time = time.Now()
	}
	return nil
}

func main() {
	plugin.Run(plugin.Kind{
		Contract: "fileSystem", Type: "memory-http", Description: "Files and directories in the memory of the plugin.",
		Schema: `{"type": "object", "additionalProperties": false}`,
		Verbs:  []string{"create", "mkdir", "write", "put", "truncate", "chmod", "touch", "remove", "rename"},
		Open: func(json.RawMessage) (http.Handler, error) {
			return plugin.Serve(&memory{nodes: map[string]*node{"/": {dir: true, mode: 0o755, time: time.Now()}}}), nil
		},
	})
}
