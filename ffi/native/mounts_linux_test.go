package native_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/ffi/native"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// built names the environment variable with the directory of the program, which is
// built once for all tests.
const built = "PFS_TEST_FFI"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pfs-native-*")
	if err == nil {
		err = errors.Join(os.Setenv(built, dir), command(filepath.Join("..", ".."), "go", "build", "-o", dir, "./cmd/"+ffi.Program))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// hosts are both ways to run a library.
func hosts(t testing.TB) map[string]*ffi.Host {
	t.Helper()
	all := map[string]*ffi.Host{}
	for _, way := range []string{"process", "none"} {
		h, err := ffi.New(filepath.Join(os.Getenv(built), ffi.Program), nil)
		if err != nil {
			t.Fatal(err)
		}
		all[way] = h
	}
	all["none"].InProcess(native.NewCopies().Open)
	return all
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

// compiled returns the library that a C file makes.
func compiled(t testing.TB, source string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "lib.so")
	if err := command(".", "cc", append([]string{"-O2", "-w", "-fPIC", "-shared", "-pthread", "-I../../examples/c-native", "-o", out, source}, flags...)...); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

const memory = "../../examples/c-native/memory.c"

func plugin(t testing.TB, h *ffi.Host, code []byte, l vfs.Limits) vfs.Plugin {
	t.Helper()
	lib, err := h.Inspect(t.Context(), code, l, vfs.Grants{})
	if err != nil {
		t.Fatal(err)
	}
	return h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return code, nil })
}

// mount makes a mount and starts it.
func mount(t testing.TB, p vfs.Plugin, c vfs.Config) *ffi.FS {
	t.Helper()
	fs, err := p.New(vfs.Env{Mount: "/m", Log: discard()}, c)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*ffi.FS)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func text(t testing.TB, f *ffi.FS, p vfs.Path) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := f.ReadAt(t.Context(), nil, p, b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%s: %v", p, err)
	}
	return string(b[:n])
}

// The laws hold for libraries in this process, too.
func TestNear(t *testing.T) {
	h := hosts(t)["none"]
	for _, many := range []int{1, 8} {
		p := plugin(t, h, compiled(t, memory), vfs.Limits{Instances: many})
		vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{}, Scripts: filepath.Join("..", "testdata", "memory")})
	}
}

// Two mounts of one library have neither settings nor globals in common, and one
// outlives the other; a third gets fresh settings.
func TestTwoMounts(t *testing.T) {
	code := compiled(t, "testdata/globals.c")
	for way, h := range hosts(t) {
		t.Run(way, func(t *testing.T) {
			p := plugin(t, h, code, vfs.Limits{})
			one, two := mount(t, p, vfs.Config{"name": "one"}), mount(t, p, vfs.Config{"name": "two"})
			sees := func(f *ffi.FS, name, self string) {
				t.Helper()
				if s := text(t, f, "/settings"); s != `{"mount_path":"/m","name":"`+name+`"}` {
					t.Errorf("%s sees %s", name, s)
				}
				if s := text(t, f, "/self"); s != self {
					t.Errorf("%s is %q", name, s)
				}
			}
			sees(one, "one", "one")
			sees(two, "two", "other")
			if err := one.Close(); err != nil {
				t.Fatal(err)
			}
			sees(two, "two", "other")
			if _, err := one.ReadAt(t.Context(), nil, "/self", make([]byte, 9), 0); vfs.KindOf(err) != vfs.Unavailable {
				t.Errorf("of a closed one: %v", err)
			}
			three := mount(t, p, vfs.Config{"name": "three"})
			sees(three, "three", "other")
			sees(two, "two", "other")
		})
	}
}

// In this process: an instance is freed once, when its last call is over; one that
// is refused is freed, too, and its copy serves the next.
func TestNearEnds(t *testing.T) {
	h := hosts(t)["none"]
	p := plugin(t, h, compiled(t, "testdata/globals.c"), vfs.Limits{Instances: 5})
	var log bytes.Buffer
	start := func(c vfs.Config) (*ffi.FS, error) {
		fs, err := p.New(vfs.Env{Mount: "/m", Log: slog.New(slog.NewTextHandler(&log, nil))}, c)
		if err != nil {
			t.Fatal(err)
		}
		return fs.(*ffi.FS), fs.(*ffi.FS).Start(t.Context())
	}
	f, err := start(nil)
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			if s := text(t, f, "/slow"); s != "other" {
				t.Errorf("in a call while the mount ends: %q", s)
			}
		})
	}
	for text(t, f, "/most") != "5" { // this one is inside, too
		time.Sleep(time.Millisecond)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	calls.Wait()
	if _, err := start(vfs.Config{"refuse": true}); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "it is refused") {
		t.Errorf("refused settings: %v", err)
	}
	if f, err = start(nil); err != nil {
		t.Fatal(err)
	}
	if s := text(t, f, "/counts"); s != "made 3 freed 2" {
		t.Errorf("the copy that has served all three: %s", s)
	}
	if err := f.Close(); err != nil || strings.Contains(log.String(), "under way") {
		t.Errorf("%v, log: %s", err, log.String())
	}
}

// soaks reports whether the long forms run.
func soaks() bool { return os.Getenv("PFS_SOAK") != "" }

// Sixteen callers of one mount get their own bytes and nobody else's. PFS_SOAK=1
// makes it a minute of each.
func TestOwnBytes(t *testing.T) {
	within := time.Second / 2
	if soaks() {
		within = time.Minute
	}
	code := compiled(t, memory)
	for way, h := range hosts(t) {
		for _, many := range []int{1, 16} {
			t.Run(fmt.Sprint(way, many), func(t *testing.T) {
				f := mount(t, plugin(t, h, code, vfs.Limits{Instances: many}), nil)
				var callers sync.WaitGroup
				var rounds atomic.Int64
				for n := range 16 {
					callers.Go(func() {
						random := rand.New(rand.NewPCG(uint64(n), 1))
						for end := time.Now().Add(within); time.Now().Before(end) && !t.Failed(); rounds.Add(1) {
							ownBytes(t, f, vfs.Path(fmt.Sprintf("/%d", n)), random)
						}
					})
				}
				callers.Wait()
				t.Logf("%d files of 16 callers written, read and compared", rounds.Load())
				if rounds.Load() < 16 {
					t.Error("too few to tell")
				}
			})
		}
	}
}

// ownBytes writes a file of up to 2 MiB, reads it in two ways, and compares hashes.
func ownBytes(t *testing.T, f *ffi.FS, p vfs.Path, random *rand.Rand) {
	b := make([]byte, 1+random.IntN(1<<random.IntN(22)))
	for n := range b {
		b[n] = byte(random.Uint32())
	}
	want := sha256.Sum256(b)
	try := func(what string, do func() error) {
		for { // what is refused because too many call was not done
			err := do()
			if vfs.KindOf(err) != vfs.Throttled {
				if err != nil && !errors.Is(err, io.EOF) {
					t.Errorf("%s %s: %v", what, p, err)
				}
				return
			}
		}
	}
	try("write", func() error {
		_, err := f.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: p}, bytes.NewReader(b))
		return err
	})
	got := make([]byte, len(b)+1)
	n := 0
	try("read", func() (err error) { n, err = f.ReadAt(t.Context(), nil, p, got, 0); return err })
	if sha256.Sum256(got[:n]) != want {
		t.Errorf("%s: %d bytes that are not the %d written", p, n, len(b))
	}
	half := len(b) / 2
	try("read", func() (err error) { n, err = f.ReadAt(t.Context(), nil, p, got[:len(b)-half], int64(half)); return err })
	if !bytes.Equal(got[:n], b[half:]) {
		t.Errorf("%s: the second half is another's", p)
	}
	try("stat", func() error {
		i, err := f.Stat(t.Context(), nil, p)
		if err == nil && i.Size != int64(len(b)) {
			t.Errorf("%s: %d bytes, not %d", p, i.Size, len(b))
		}
		return err
	})
}
