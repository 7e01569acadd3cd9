//go:build wasip1

// A module whose files do what plugins must not when they are read. Which, their
// names say.
package main

import (
	"os"
	"strings"
	"time"

	"github.com/pfs-project/pfs/examples/go-wasm/guest"
)

type hostile struct{ held [][]byte }

func (h *hostile) Stat(path string) (guest.Info, error) {
	if path == "/" {
		return guest.Info{Name: "/", Mode: 0o555, IsDir: true}, nil
	}
	return guest.Info{Name: path[1:], Size: 5, Mode: 0o444}, nil
}

func (h *hostile) List(string) ([]guest.Info, error) {
	return []guest.Info{{Name: "f", Size: 5, Mode: 0o444}}, nil
}

func deep(n int) int { return deep(n+1) + n }

func (h *hostile) Read(path string, off, size int64) ([]byte, error) {
	switch path {
	case "/loop":
		for n := 0; ; n++ {
		}
	case "/sleep":
		time.Sleep(time.Hour)
	case "/eat":
		for {
			h.held = append(h.held, make([]byte, 1<<20))
		}
	case "/once":
		h.held = append(h.held, make([]byte, 1<<31-1))
	case "/exit":
		os.Exit(3)
	case "/panic":
		panic("it cannot go on")
	case "/null":
		var p *hostile
		p.held = nil
	case "/deep":
		return make([]byte, deep(0)), nil
	case "/shout":
		for {
			os.Stderr.WriteString(strings.Repeat("x", 1<<16))
		}
	}
	return []byte("fine.")[min(max(off, 0), 5):], nil
}

func init() { guest.Serve("hostile-wasm", "# hostile-wasm\n", &hostile{}) }

func main() {}
