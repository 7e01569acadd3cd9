package prochost

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// python packs one of the plugins in examples/python-msgpack.
func python(t testing.TB, name string) []byte {
	t.Helper()
	dir, from := t.TempDir(), filepath.Join("..", "examples", "python-msgpack")
	for to, file := range map[string]string{"__main__.py": name + ".py", "pfsplugin.py": "pfsplugin.py"} {
		b, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), name)
	if b, err := exec.Command("python3", "-m", "zipapp", "-p", "/usr/bin/env python3", "-o", out, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return read(t, out)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plugin makes a plugin of a program.
func plugin(t testing.TB, code []byte, l vfs.Limits) vfs.Plugin {
	t.Helper()
	h := New("1.2.3", nil, nil)
	lib, err := h.Inspect(t.Context(), code, l, vfs.Grants{})
	if err != nil {
		t.Fatal(err)
	}
	return h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return code, nil })
}

// program builds one of the plugins in examples/go-http.
func program(t testing.TB, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, "./"+name)
	cmd.Dir = filepath.Join("..", "examples", "go-http")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return read(t, out)
}

// Test judges the examples.
func Test(t *testing.T) {
	for name, code := range map[string]func(testing.TB, string) []byte{
		"msgpack/hello": python, "msgpack/memory": python, "http/hello": program, "http/memory": program,
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin(t, code(t, filepath.Base(name)), vfs.Limits{})
			vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{}, Scripts: filepath.Join("testdata", name)})
		})
	}
}
