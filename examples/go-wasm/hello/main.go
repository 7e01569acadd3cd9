//go:build wasip1

// Hello is a plugin with one file, /hello. With the setting "from" it also shows
// a directory of the server's tree, as far as it is granted that.
package main

import (
	"fmt"
	"strings"

	"github.com/pfs-project/pfs/examples/go-wasm/guest"
)

const readme = "# hellofs-go\n\nOne file, /hello. The setting `greeting` is what it says.\n"

type hello struct{ greeting, from string }

func (h *hello) Params() []guest.Param {
	return []guest.Param{
		{Name: "greeting", Type: "string", Default: "Hello from Go WASM plugin!", Description: "what /hello says"},
		{Name: "from", Type: "string", Description: "a directory of the tree that is shown as /from"},
	}
}

func (h *hello) Validate(config map[string]any) error {
	for name, v := range config {
		if name != "greeting" && name != "from" && name != "mount_path" {
			return fmt.Errorf("unknown setting %q", name)
		}
		if _, ok := v.(string); !ok {
			return fmt.Errorf("%s must be a string", name)
		}
	}
	return nil
}

func (h *hello) Initialize(config map[string]any) error {
	h.greeting, _ = config["greeting"].(string)
	if h.greeting == "" {
		h.greeting = "Hello from Go WASM plugin!"
	}
	h.from, _ = config["from"].(string)
	return nil
}

func (h *hello) text() string { return h.greeting + "\n" }

func (h *hello) Stat(path string) (guest.Info, error) {
	switch path {
	case "/":
		return guest.Info{Name: "/", Mode: 0o555, IsDir: true}, nil
	case "/hello":
		return guest.Info{Name: "hello", Size: int64(len(h.text())), Mode: 0o444}, nil
	}
	if name, ok := strings.CutPrefix(path, "/from"); ok && h.from != "" {
		if name == "" {
			return guest.Info{Name: "from", Mode: 0o555, IsDir: true}, nil
		}
		list, err := guest.HostList(h.from)
		if err != nil {
			return guest.Info{}, err
		}
		for _, i := range list {
			if "/"+i.Name == name {
				return i, nil
			}
		}
	}
	return guest.Info{}, guest.ErrNotFound
}

func (h *hello) List(path string) ([]guest.Info, error) {
	i, err := h.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case path == "/from":
		return guest.HostList(h.from)
	case !i.IsDir:
		return nil, guest.ErrNotDir
	}
	file, _ := h.Stat("/hello")
	list := []guest.Info{file}
	if h.from != "" {
		dir, _ := h.Stat("/from")
		list = append(list, dir)
	}
	return list, nil
}

func (h *hello) Read(path string, off, size int64) ([]byte, error) {
	if name, ok := strings.CutPrefix(path, "/from/"); ok && h.from != "" {
		return guest.HostRead(h.from+"/"+name, off, size)
	}
	if path != "/hello" {
		return nil, guest.ErrNotFound
	}
	b := []byte(h.text())
	b = b[min(max(off, 0), int64(len(b))):]
	if size >= 0 && size < int64(len(b)) {
		b = b[:size]
	}
	return b, nil
}

func init() { guest.Serve("hellofs-go", readme, &hello{}) }

func main() {}
