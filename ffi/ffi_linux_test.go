package ffi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// built names the environment variable with the directory of what is built once for
// all tests.
const built = "PFS_TEST_FFI"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pfs-ffi-*")
	if err == nil {
		err = errors.Join(os.Setenv(built, dir), command("..", "go", "build", "-o", dir, "./cmd/"+Program))
	}
	for _, lib := range []string{"c-native", "rust-native"} {
		err = errors.Join(err, command(filepath.Join("..", "examples", lib), "make", "-s", "SUFFIX=so", "OUT="+dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// newHost returns a Host, which logs to the test.
func newHost(t testing.TB) *Host {
	t.Helper()
	h, err := New(filepath.Join(os.Getenv(built), Program), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// command runs a command that must succeed.
func command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, b)
	}
	return nil
}

// run is command, for a test.
func run(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	if err := command(dir, name, args...); err != nil {
		t.Fatal(err)
	}
}

// examples returns the bytes of those in C and in Rust by name.
func examples(t testing.TB) map[string][]byte {
	t.Helper()
	libs := map[string][]byte{}
	for _, name := range []string{"hello", "memory", "memory-old", "words"} {
		libs[name] = read(t, filepath.Join(os.Getenv(built), name+".so"))
	}
	return libs
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// trap compiles testdata/NAME.c.
func trap(t *testing.T, name string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name+".so")
	run(t, "testdata", "cc", append([]string{"-O1", "-g", "-w", "-fPIC", "-shared", "-pthread", "-I../../examples/c-native", "-o", out, name + ".c"}, flags...)...)
	return read(t, out)
}

// plugin makes a plugin of a library.
func plugin(t testing.TB, h *Host, code []byte, l vfs.Limits, abi int) vfs.Plugin {
	t.Helper()
	return granted(t, h, code, l, abi, vfs.Grants{})
}

// granted is plugin of a library that is granted something.
func granted(t testing.TB, h *Host, code []byte, l vfs.Limits, abi int, g vfs.Grants) vfs.Plugin {
	t.Helper()
	lib, err := h.Inspect(t.Context(), code, l, g)
	if err != nil {
		t.Fatal(err)
	}
	lib.ABI, lib.Grants = abi, g
	return h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return code, nil })
}

// mount makes a mount of a plugin and starts it.
func mount(t testing.TB, p vfs.Plugin, c vfs.Config) *FS {
	t.Helper()
	fs, err := p.New(vfs.Env{Mount: "/m", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, c)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Test judges the examples: the generations found out and told, one call at a
// time and many, in shared memory and over the socket alone.
func Test(t *testing.T) {
	h, libs := newHost(t), examples(t)
	for _, c := range []struct {
		lib, scripts string
		abi, many    int
		socket       bool
	}{
		{"hello", "hello", 0, 4, false}, {"memory", "memory", 0, 1, false}, {"memory", "memory", 2, 8, false},
		{"memory-old", "memory", 0, 1, false}, {"memory-old", "memory", 1, 8, false}, {"words", "words", 0, 8, false},
		{"memory", "memory", 0, 1, true}, {"memory-old", "memory", 0, 8, true},
	} {
		t.Run(fmt.Sprint(c.lib, c.abi, c.socket), func(t *testing.T) {
			h.socket = c.socket
			p := plugin(t, h, libs[c.lib], vfs.Limits{Instances: c.many}, c.abi)
			vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{}, Scripts: filepath.Join("testdata", c.scripts)})
		})
	}
}

// Without memory in common, as on other systems, long data crosses in pieces.
func TestSocket(t *testing.T) {
	h := newHost(t)
	h.socket = true
	f := mount(t, plugin(t, h, examples(t)["memory"], vfs.Limits{}, 0), nil)
	want := bytes.Repeat([]byte("0123456789abcdef"), 10<<16)
	if _, err := f.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/f"}, bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want)+1)
	if n, err := f.ReadAt(t.Context(), nil, "/f", got, 0); err != io.EOF || !bytes.Equal(got[:n], want) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
