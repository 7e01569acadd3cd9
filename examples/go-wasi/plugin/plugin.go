// Package plugin makes a Go program a plugin of PFS that speaks MessagePack over
// its standard input and output. Built for wasip1 it runs within the server, with
// nothing of the machine; built for the machine it is a program beside the server.
// The source is the same:
//
//	func main() { plugin.Run("hellofs-wasi", readme, hello{}) }
//
//	GOOS=wasip1 GOARCH=wasm go build -o hello.wasm ./hello
//
// One call comes after the other. What is printed to standard output would end the
// conversation: Run leads it to standard error, which is in the log of the node.
package plugin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// File describes a file.
type File struct {
	Name    string // the last element of its path
	Size    int64
	IsDir   bool
	ModTime time.Time // zero: that of the mount
}

// FS is what every plugin is. Paths begin with a slash and are clean. Errors are
// told apart as those of io/fs; others are a 500 with their text.
type FS interface {
	// Start gets what the mount was given. An error refuses it.
	Start(config map[string]any) error
	// Stat is not asked for the root.
	Stat(path string) (File, error)
	List(path string) ([]File, error)
	// Read returns at most size bytes; fewer are the end of the file.
	Read(path string, off int64, size int) ([]byte, error)
}

// Changer is a plugin that can be written to.
type Changer interface {
	// Create makes an empty file, or empties the one that is there.
	Create(path string) error
	// Append writes behind the end of a file that Create has emptied.
	Append(path string, data []byte) error
	Mkdir(path string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// Rename replaces a file, and moves a directory with all in it.
	Rename(from, to string) error
}

// server answers until standard input ends.
type server struct {
	name, doc string
	fs        FS
	in        *bufio.Reader
	out       io.Writer
	buf       []byte           // of the answer
	files     map[int64]string // that are open
	last      int64
}

// Run answers the server, and ends with it. name is the type that mounts have.
func Run(name, doc string, fs FS) {
	s := &server{name: name, doc: doc, fs: fs, in: bufio.NewReaderSize(os.Stdin, 64<<10), out: os.Stdout, files: map[int64]string{}}
	os.Stdout = os.Stderr
	if err := s.loop(); err != nil {
		fmt.Fprintln(os.Stderr, "plugin:", err)
		os.Exit(1)
	}
}

func (s *server) loop() error {
	for {
		v, err := unpack(s.in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m, ok := v.(map[string]any)
		if !ok || m["t"] != int64(0) {
			continue // we ask nothing
		}
		method, _ := m["m"].(string)
		d, _ := m["d"].(map[string]any)
		answer := map[string]any{"t": 1, "i": m["i"]}
		if result, err := s.answer(method, d); err != nil {
			answer["e"] = words(err)
		} else if result != nil {
			answer["d"] = result
		}
		s.buf = pack(s.buf[:0], answer)
		if _, err := s.out.Write(s.buf); err != nil {
			return err
		}
	}
}

// words is the text by which the server knows an error.
func words(err error) string {
	for _, known := range []error{io.EOF, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

var errHandle = errors.New("bad handle")

func (s *server) answer(method string, d map[string]any) (any, error) {
	path, _ := d["Path"].(string)
	id, _ := d["ID"].(int64)
	switch method {
	case "Plugin.Init":
		return s.start(d)
	case "VFS.Stat":
		f, err := s.fs.Stat(path)
		return item(f), err
	case "VFS.ReadDir":
		return s.list(path)
	case "VFS.Open":
		f, err := s.file(path)
		return s.opened(path, f.Size, err)
	case "VFS.CloseFile":
		delete(s.files, id)
		return nil, nil
	case "VFS.ReadAt":
		path, open := s.files[id]
		if !open {
			return nil, errHandle
		}
		return s.read(path, d)
	case "VFS.ReadFile":
		if _, err := s.file(path); err != nil {
			return nil, err
		}
		return s.read(path, d)
	}
	c, ok := s.fs.(Changer)
	if !ok {
		return nil, fmt.Errorf("method %q not found", method)
	}
	switch method {
	case "VFS.PutFile":
		return nil, s.put(c, path, d)
	case "VFS.Create":
		return s.opened(path, 0, c.Create(path))
	case "VFS.Write":
		file, open := s.files[id]
		if !open {
			return nil, errHandle
		}
		data, _ := d["Data"].([]byte)
		return nil, c.Append(file, data)
	case "VFS.MkDir":
		return nil, c.Mkdir(path)
	case "VFS.Remove":
		return nil, c.Remove(path)
	case "VFS.Rename":
		from, _ := d["Old"].(string)
		to, _ := d["New"].(string)
		return nil, c.Rename(from, to)
	}
	return nil, fmt.Errorf("method %q not found", method)
}

func (s *server) start(d map[string]any) (any, error) {
	config := map[string]any{}
	if text, ok := d["Config"].(string); ok {
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			return nil, err
		}
	}
	methods := []any{"VFS.ReadFile", "VFS.PutFile"} // of PFS: one question for a file
	return map[string]any{"Drives": []any{s.name}, "Name": s.name, "Doc": s.doc, "Methods": methods}, s.fs.Start(config)
}

func (s *server) list(path string) (any, error) {
	files, err := s.fs.List(path)
	out := make([]any, len(files))
	for i, f := range files {
		out[i] = item(f)
	}
	return out, err
}

func item(f File) map[string]any {
	m := map[string]any{"Name": f.Name, "Size": f.Size, "IsDir": f.IsDir}
	if !f.ModTime.IsZero() {
		m["MTime"] = f.ModTime
	}
	return m
}

// opened gives a handle, unless err says that there is no file for it.
func (s *server) opened(path string, size int64, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	s.last++
	s.files[s.last] = path
	return map[string]any{"ID": s.last, "Size": size}, nil
}

func (s *server) read(path string, d map[string]any) (any, error) {
	off, _ := d["Off"].(int64)
	size, _ := d["Len"].(int64)
	b, err := s.fs.Read(path, off, int(size))
	if err == nil && len(b) == 0 {
		err = io.EOF
	}
	return b, err
}

var (
	errIsDir  = errors.New("is a directory")
	errNotDir = errors.New("not a directory")
)

// file returns what is at path, if it is a file.
func (s *server) file(path string) (File, error) {
	f, err := s.fs.Stat(path)
	if err == nil && f.IsDir {
		err = errIsDir
	}
	return f, err
}

// put replaces a file, or makes it, as the question says.
func (s *server) put(c Changer, path string, d map[string]any) error {
	switch _, err := s.file(path); {
	case errors.Is(err, fs.ErrNotExist) && d["Create"] == true:
		if above := path[:strings.LastIndexByte(path, '/')]; above != "" {
			if dir, err := s.fs.Stat(above); err != nil {
				return err
			} else if !dir.IsDir {
				return errNotDir
			}
		}
	case err != nil:
		return err
	case d["Exclusive"] == true:
		return fs.ErrExist
	}
	data, _ := d["Data"].([]byte)
	if err := c.Create(path); err != nil || len(data) == 0 {
		return err
	}
	return c.Append(path, data)
}
