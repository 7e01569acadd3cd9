package wasmhost

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// addresses returns how many bytes of address space the process has.
func addresses(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// Modules that fail at their start, or later, give back what was reserved for them.
func TestMemoryIsGivenBack(t *testing.T) {
	outside := plain().malloc().reads()
	outside.data[outside.pages*pageSize-1] = "behind the end"
	trap := plain().malloc().reads()
	trap.fn("plugin_initialize", "i:i", op(0x00))
	crash := bad(op(0x00))
	l := vfs.Limits{Memory: 1 << 30}
	h := newHost(t)
	fine := started(t, crash.bytes(), l, nil)
	before := addresses(t)
	for range 100 {
		if _, err := h.Inspect(t.Context(), outside.bytes(), l); vfs.KindOf(err) != vfs.Invalid {
			t.Fatalf("data outside: %v", err)
		}
		p := plugin(t, h, trap.bytes(), l)
		fs, err := p.New(vfs.Env{Log: h.log, Mount: "/at"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := fs.(*FS).Start(t.Context()); vfs.KindOf(err) != vfs.Crashed {
			t.Fatalf("a trap at the start: %v", err)
		}
		if _, err := fine.ReadAt(t.Context(), nil, "/f", make([]byte, 5), 0); vfs.KindOf(err) != vfs.Crashed {
			t.Fatalf("a trap in a call: %v", err)
		}
	}
	if more := addresses(t) - before; more > 10<<30 { // of 300 GiB
		t.Errorf("%d GiB more of addresses", more>>30)
	}
}
