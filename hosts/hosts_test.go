package hosts

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func TestFormOf(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code string
		want Form
	}{
		{"\x00asm\x01\x00\x00\x00", Module}, {"#!/bin/sh\n", Program}, {string(program), Program},
		{"\x7fELF cut off", Library}, {"MZ", Library}, {"\xcf\xfa\xed\xfe", Library},
		{"", Unknown}, {"\x00as", Unknown}, {"text", Unknown},
	} {
		if got := FormOf([]byte(c.code)); got != c.want {
			t.Errorf("%.10q is %q; expected %q", c.code, got, c.want)
		}
	}
}

// Each kind of code reaches its host, which says what is wrong with it; the code of a
// library is what was loaded, or it does not start.
func TestHosts(t *testing.T) {
	h, err := New(Config{PluginHost: "/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for code, want := range map[string]string{
		"\x00asm\x01\x00\x00\x00": "module", "#!/bin/false\n": "program", "\x7fELF": "", "text": "unknown",
	} {
		if _, err := h.Inspect(t.Context(), []byte(code), vfs.Limits{}, vfs.Grants{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.10q: %v", code, err)
		}
	}
	for _, kind := range []string{"wasm", "native", "http", "msgpack"} {
		p := h.Plugin(vfs.Library{Name: "x", Kind: kind, Place: vfs.Pinned, Data: []byte("code"), Sum: "other"})
		fs, err := p.New(vfs.Env{Log: slog.New(slog.DiscardHandler)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := fs.(vfs.Starter).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "not what was loaded") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
