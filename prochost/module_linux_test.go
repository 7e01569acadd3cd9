package prochost

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
	"github.com/pfs-project/pfs/wasmhost"
)

// wasi builds one of the plugins in examples/go-wasi.
func wasi(t testing.TB, name string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.Command("go", append(append([]string{"build", "-ldflags", "-s -w", "-o", out}, flags...), "./"+name)...)
	cmd.Dir = filepath.Join("..", "examples", "go-wasi")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return read(t, out)
}

// moduleHost runs modules as the server does.
func moduleHost(t testing.TB) *Host {
	t.Helper()
	w, err := wasmhost.New("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return New("1.2.3", w.Run, nil)
}

// TestModules judges the examples as modules.
func TestModules(t *testing.T) {
	for _, name := range []string{"hello", "memory"} {
		t.Run(name, func(t *testing.T) {
			code, h := wasi(t, name), moduleHost(t)
			lib, err := h.InspectModule(t.Context(), code, vfs.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if lib.Kind != Module || !strings.HasSuffix(lib.Name, "-wasi") || lib.Limits.Memory != moduleMemory {
				t.Errorf("%+v", lib)
			}
			p := h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return code, nil })
			vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{}, Scripts: filepath.Join("testdata", "wasi", name)})
		})
	}
}

// hostileModule is the memory example with a Stat that does what it must not.
func hostileModule(t *testing.T) []byte {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "examples", "go-wasi", "memory", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	const stat = "func (m *memory) Stat(p string) (plugin.File, error) {\n"
	text := strings.Replace(string(read(t, source)), stat, stat+`	raw := os.NewFile(1, "stdout")
	switch p {
	case "/loop":
		for {
		}
	case "/bomb":
		for {
			m.nodes[p+string(rune(len(m.nodes)))] = &node{data: make([]byte, 1<<20)}
		}
	case "/garbage":
		raw.WriteString("Hello, world")
	case "/half":
		raw.WriteString("\x83\xa1t")
		os.Exit(3)
	case "/close":
		raw.Close()
		time.Sleep(time.Hour)
	case "/sleep":
		time.Sleep(time.Hour)
	case "/exit":
		os.Exit(0)
	case "/panic":
		panic("I had enough")
	case "/flood":
		for {
			raw.WriteString("\x82\xa1t\x01\xa1i\xcd\xff\xff")
		}
	case "/shout":
		for range 20000 {
			os.Stderr.WriteString("what I have to say is long\n")
		}
		os.Exit(4)
	case "/reach":
		_, err1 := os.ReadFile("/etc/passwd")
		_, err2 := os.ReadDir("/")
		_, err3 := os.ReadDir(".")
		err4 := os.WriteFile("/tmp/x", nil, 0o600)
		if err1 == nil || err2 == nil || err3 == nil || err4 == nil || len(os.Environ()) > 0 || len(os.Args) != 1 {
			return plugin.File{Name: "reach"}, nil
		}
		return plugin.File{}, fs.ErrNotExist
	}
`, 1)
	dir := t.TempDir()
	edited, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: edited}})
	if err == nil {
		err = os.WriteFile(edited, []byte(text), 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return wasi(t, "memory", "-overlay", overlay)
}

// What a module does ends its run, and nothing else: the call fails with the
// reason, and the next ones are answered.
func TestHostileModules(t *testing.T) {
	code, h := hostileModule(t), moduleHost(t)
	for path, c := range map[string]struct {
		kind vfs.Kind
		text string
	}{
		"/loop":    {vfs.Timeout, "in time"},
		"/sleep":   {vfs.Timeout, "in time"},
		"/bomb":    {vfs.Crashed, "exit status 2"},
		"/garbage": {vfs.Crashed, "it is no map"},
		"/half":    {vfs.Crashed, "exit status 3"},
		"/exit":    {vfs.Crashed, "exit status 0"},
		"/panic":   {vfs.Crashed, "I had enough"},
		"/flood":   {vfs.Crashed, "flood"},
		"/shout":   {vfs.Crashed, "what I have to say"},
		"/close":   {vfs.Timeout, "in time"},
		"/reach":   {vfs.NotFound, ""},
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			l := &log{}
			patience := 3 * time.Second
			if c.kind != vfs.Timeout { // it ends by itself, which may take a busy machine longer
				patience = 8 * time.Second
			}
			lib := vfs.Library{Name: "p", Kind: Module, Place: vfs.Pinned, Limits: vfs.Limits{Memory: 32 << 20, Call: patience}}
			fs, err := h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return code, nil }).
				New(vfs.Env{Log: slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), Mount: "/p"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			f := fs.(*FS)
			if err := f.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.Stat(t.Context(), nil, vfs.Path(path)); vfs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, expected %s: %s", err, c.kind.Code(), c.text)
			}
			if path == "/bomb" && !strings.Contains(l.String(), "out of memory") {
				t.Error("the log does not say that it has no memory")
			}
			if len(l.String()) > 1<<20 {
				t.Errorf("%d bytes of log", len(l.String()))
			}
			if c.kind == vfs.Timeout { // it is given up once too many calls hang
				var wg sync.WaitGroup
				for range mostLate + 1 {
					wg.Go(func() { _, _ = f.Stat(t.Context(), nil, vfs.Path(path)) })
				}
				wg.Wait()
			}
			soon(t, "the next call is answered", func() bool {
				_, err := f.List(t.Context(), nil, "/", "", 0)
				return err == nil
			})
		})
	}
}

// What is no plugin is refused with the reason.
func TestNoModule(t *testing.T) {
	h := moduleHost(t)
	if _, err := h.InspectModule(t.Context(), []byte("\x00asm\x01\x00\x00\x00"), vfs.Limits{}); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("an empty module: %v", err)
	}
	for _, l := range []vfs.Limits{{Memory: 1}, {Memory: 2 << 30}, {Instances: 2}} {
		if _, err := h.InspectModule(t.Context(), nil, l); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if _, err := New("", nil, nil).InspectModule(t.Context(), nil, vfs.Limits{}); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("without a host of modules: %v", err)
	}
}
