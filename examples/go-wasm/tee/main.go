//go:build wasip1

// Tee is a plugin that uses what it is granted: what is written to a file of its
// mount is kept in a directory of the server's tree, and posted to a URL.
package main

import (
	"fmt"
	"strings"

	"github.com/pfs-project/pfs/examples/go-wasm/guest"
)

const readme = `# tee-go

What is written to a file is kept in the directory "to" of the tree, which must be
granted to be read and written, and posted to "url", whose host must be granted.
`

type tee struct{ to, url string }

func (t *tee) Params() []guest.Param {
	return []guest.Param{
		{Name: "to", Type: "string", Required: true, Description: "the directory of the tree that keeps the files"},
		{Name: "url", Type: "string", Description: "where what is written is posted to"},
	}
}

func (t *tee) Validate(config map[string]any) error {
	if to, _ := config["to"].(string); !strings.HasPrefix(to, "/") {
		return fmt.Errorf("to must be a directory of the tree")
	}
	return nil
}

func (t *tee) Initialize(config map[string]any) error {
	t.to, _ = config["to"].(string)
	t.url, _ = config["url"].(string)
	return nil
}

func (t *tee) Stat(path string) (guest.Info, error) {
	if path == "/" {
		return guest.Info{Name: "/", Mode: 0o755, IsDir: true}, nil
	}
	list, err := t.List("/")
	if err != nil {
		return guest.Info{}, err
	}
	for _, i := range list {
		if "/"+i.Name == path {
			return i, nil
		}
	}
	return guest.Info{}, guest.ErrNotFound
}

func (t *tee) List(string) ([]guest.Info, error) { return guest.HostList(t.to) }

func (t *tee) Read(path string, off, size int64) ([]byte, error) {
	return guest.HostRead(t.to+path, off, size)
}

// Write takes whole files.
func (t *tee) Write(path string, data []byte, off int64, flags uint32) (int, error) {
	if off >= 0 || flags&guest.Truncate == 0 {
		return 0, guest.ErrUnsupported
	}
	if err := guest.HostWrite(t.to+path, data); err != nil {
		return 0, err
	}
	if t.url != "" {
		r, err := guest.HTTP(guest.Request{Method: "POST", URL: t.url, Body: data, Headers: map[string]string{"X-File": path}})
		if err != nil {
			return 0, err
		}
		if r.Status/100 != 2 {
			return 0, fmt.Errorf("%s answers %d", t.url, r.Status)
		}
	}
	return len(data), nil
}

func (t *tee) Create(path string) error             { return guest.HostCreate(t.to + path) }
func (t *tee) Mkdir(path string, mode uint32) error { return guest.HostMkdir(t.to+path, mode) }
func (t *tee) Remove(path string) error             { return guest.HostRemove(t.to + path) }
func (t *tee) RemoveAll(path string) error          { return guest.HostRemoveAll(t.to + path) }
func (t *tee) Rename(from, to string) error         { return guest.HostRename(t.to+from, t.to+to) }
func (t *tee) Chmod(path string, mode uint32) error { return guest.HostChmod(t.to+path, mode) }

func init() { guest.Serve("tee-go", readme, &tee{}) }

func main() {}
