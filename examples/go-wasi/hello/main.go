// Hello is a plugin with one file, /hello.
package main

import (
	"fmt"
	"io/fs"

	"github.com/pfs-project/pfs/examples/go-wasi/plugin"
)

type hello struct{ text string }

func (h *hello) Start(config map[string]any) error {
	h.text = "Hello from a WASI program!\n"
	for name, v := range config {
		s, ok := v.(string)
		if name != "greeting" || !ok {
			return fmt.Errorf("unknown setting %q", name)
		}
		h.text = s + "\n"
	}
	return nil
}

func (h *hello) Stat(path string) (plugin.File, error) {
	if path != "/hello" {
		return plugin.File{}, fs.ErrNotExist
	}
	return plugin.File{Name: "hello", Size: int64(len(h.text))}, nil
}

func (h *hello) List(string) ([]plugin.File, error) {
	f, err := h.Stat("/hello")
	return []plugin.File{f}, err
}

func (h *hello) Read(_ string, off int64, size int) ([]byte, error) {
	b := []byte(h.text)
	b = b[min(off, int64(len(b))):]
	return b[:min(size, len(b))], nil
}

func main() {
	plugin.Run("hellofs-wasi", "One file, hello. The setting greeting is what it says.", &hello{})
}
