package wasmhost

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// example builds one of the plugins in examples/go-wasm.
func example(t *testing.T, name string) []byte { return examples(t, "go-wasm")[name] }

// examples builds those of one language as its Makefile does, and returns them by
// name.
func examples(t *testing.T, language string) map[string][]byte {
	t.Helper()
	out := t.TempDir()
	execute(t, filepath.Join("..", "examples", language), "make", "-s", "OUT="+out)
	files, err := filepath.Glob(filepath.Join(out, "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string][]byte{}
	for _, f := range files {
		if modules[strings.TrimSuffix(filepath.Base(f), ".wasm")], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return modules
}

// execute runs a command that must succeed.
func execute(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, b)
	}
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

// Test judges the examples: those without state as several instances.
func Test(t *testing.T) {
	built := map[string]map[string][]byte{}
	for _, language := range []string{"go-wasm", "c-wasm", "rust-wasm"} {
		built[language] = examples(t, language)
	}
	for _, c := range []struct {
		language, name, scripts string
		many                    int
	}{
		{"go-wasm", "hello", "hello", 4}, {"go-wasm", "memory", "memory", 1},
		{"c-wasm", "hello", "readonly", 4}, {"c-wasm", "memory", "memory", 1}, {"c-wasm", "memory-old", "memory", 1},
		{"rust-wasm", "hello", "readonly", 4}, {"rust-wasm", "memory", "memory", 1},
	} {
		t.Run(c.language+" "+c.name, func(t *testing.T) {
			p := plugin(t, newHost(t), built[c.language][c.name], vfs.Limits{Instances: c.many})
			vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{}, Scripts: filepath.Join("testdata", c.scripts)})
		})
	}
}
