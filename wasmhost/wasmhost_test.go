package wasmhost

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// example builds one of the plugins in examples/go-wasm.
func example(t *testing.T, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "./"+name)
	cmd.Dir = filepath.Join("..", "examples", "go-wasm")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// newHost returns a Host that keeps what it compiles in memory.
func newHost(t *testing.T) *Host {
	t.Helper()
	h, err := New("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// plugin makes a plugin of a module.
func plugin(t *testing.T, h *Host, module []byte, l vfs.Limits) vfs.Plugin {
	t.Helper()
	lib, err := h.Inspect(t.Context(), module, l)
	if err != nil {
		t.Fatal(err)
	}
	return h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return module, nil })
}

// Test judges the examples, as one instance and as several.
func Test(t *testing.T) {
	for name, many := range map[string]int{"hello": 4, "memory": 1} {
		t.Run(name, func(t *testing.T) {
			p := plugin(t, newHost(t), example(t, name), vfs.Limits{Instances: many})
			vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{}, Scripts: filepath.Join("testdata", name)})
		})
	}
}
