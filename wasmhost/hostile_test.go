package wasmhost

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// bad is a plugin whose fs_read does what it must not, once, and whose other
// functions are in order.
func bad(body ...[]byte) *guest {
	g := plain().malloc()
	g.fn("fs_stat", "i:I", isRoot(), op(0x04, 0x7e), pair(atFile+512, 0), op(0x05), pair(atFile, 0), op(0x0b))
	g.fn("fs_readdir", "i:I", pair(atList, 0))
	g.fn("fs_read", "iII:I", cat(body...))
	return g
}

// What a module does in a call ends that call, and nothing else.
func TestHostileCalls(t *testing.T) {
	loop := op(0x03, 0x40, 0x0c, 0, 0x0b)
	for name, c := range map[string]struct {
		body []byte
		kind vfs.Kind
		text string
	}{
		"endless loop":    {cat(loop, pair(0, 0)), vfs.Timeout, "did not answer"},
		"trap":            {op(0x00), vfs.Crashed, "unreachable"},
		"division":        {cat(i64(1), i64(0), op(0x7f)), vfs.Crashed, "divide by zero"},
		"outside":         {cat(i32(-4), op(0x28, 2, 0, 0xad)), vfs.Crashed, "out of bounds"},
		"pointer outside": {pair(0xfffffff0, 5), vfs.Crashed, "outside"},
		"length outside":  {pair(atBytes, 0xffffffff), vfs.Crashed, "outside"},
	} {
		t.Run(name, func(t *testing.T) {
			f := started(t, bad(c.body).bytes(), vfs.Limits{Call: time.Second}, nil)
			for range 3 {
				_, err := f.ReadAt(t.Context(), nil, "/f", make([]byte, 9), 0)
				if vfs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v; expected %s: %s", err, c.kind.Code(), c.text)
				}
				if err := f.soon(t); err != nil {
					t.Errorf("the next call: %v", err)
				}
			}
		})
	}
}

// soon asks until a call is answered: its second may pass on a busy machine, and
// hardly ten times.
func (f *FS) soon(t *testing.T) (err error) {
	for range 10 {
		if _, err = f.Stat(t.Context(), nil, "/f"); vfs.KindOf(err) != vfs.Timeout {
			break
		}
	}
	return err
}

// However many instances of a module loop, they take half of what modules may take of
// the machine, and others are called beside them.
func TestTurns(t *testing.T) {
	h := newHost(t)
	h.turns = make(chan struct{}, 4)
	mount := func(module []byte, l vfs.Limits) *FS {
		return mounted(t, plugin(t, h, module, l), vfs.Env{Log: h.log, Mount: "/at"}, nil)
	}
	loops := mount(bad(cat(op(0x03, 0x40, 0x0c, 0, 0x0b), pair(0, 0))).bytes(), vfs.Limits{Instances: 8, Call: time.Second})
	fine := mount(plain().malloc().reads().bytes(), vfs.Limits{})
	var callers sync.WaitGroup
	ended := make(chan struct{})
	for range 8 {
		callers.Go(func() { _, _ = loops.ReadAt(t.Context(), nil, "/f", make([]byte, 9), 0) })
	}
	go func() { callers.Wait(); close(ended) }()
	most, calls := 0, 0
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		case <-time.After(10 * time.Millisecond):
			most = max(most, len(h.turns))
			if _, err := fine.Stat(t.Context(), nil, "/f"); err != nil {
				t.Error(err)
			}
			calls++
		}
	}
	if most != 2 || calls == 0 || len(h.turns) != 0 {
		t.Errorf("%d loop at once, %d calls beside them, %d turns are kept", most, calls, len(h.turns))
	}
}

// A module that calls itself without an end runs out of its own stack.
func TestRecursion(t *testing.T) {
	g := plain().malloc().reads()
	me := g.nfuncs
	g.fn("fs_create", "i:i", get(0), run(me))
	g.data[atFile] = "{}\x00"
	g.fn("fs_write", "iiiIi:I", pair(0, 0))
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	err := f.with(t.Context(), func(c *call) error { return c.done("fs_create", 1) })
	if vfs.KindOf(err) != vfs.Crashed || !strings.Contains(err.Error(), "stack overflow") {
		t.Error(err)
	}
	if _, err := f.Stat(t.Context(), nil, "/"); err != nil {
		t.Error(err)
	}
}

// Memory ends at its limit.
func TestMemoryBomb(t *testing.T) {
	// It grows by 16 pages as long as it can, and answers the pages.
	g := bad(op(0x03, 0x40), i32(16), op(0x40, 0), i32(-1), op(0x47, 0x0d, 0, 0x0b), i32(9000), op(0x3f, 0), store(), pair(atBytes, 5))
	f := started(t, g.bytes(), vfs.Limits{Memory: 4 << 20}, nil)
	if got := f.mustRead(t, "/f", 5, 0); got != "hello" {
		t.Errorf("%q", got)
	}
	if b := f.memory(t, 9000, 2); int(b[0])|int(b[1])<<8 > 64 {
		t.Errorf("it has %d pages", int(b[0])|int(b[1])<<8)
	}
	big := plain().malloc().reads()
	big.pages = 65536
	if _, err := newHost(t).Inspect(t.Context(), big.bytes(), vfs.Limits{}); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("4 GiB: %v", err)
	}
}

// Tables have an end, also where the module has none.
func TestTableBomb(t *testing.T) {
	with := func(section []byte, body ...[]byte) []byte {
		g := bad(body...)
		g.table = section
		return g.bytes()
	}
	// It grows its table by a sixteenth of what is allowed as long as it can.
	grow := cat(op(0x03, 0x40, 0xd0, 0x70), i32(maxTable/16), op(0xfc, 0x0f, 0), i32(-1), op(0x47, 0x0d, 0, 0x0b),
		i32(9000), op(0xfc, 0x10, 0), store(), pair(atBytes, 5))
	f := started(t, with(cat(leb(1), op(0x70, 0), leb(1)), grow), vfs.Limits{}, nil)
	if got := f.mustRead(t, "/f", 5, 0); got != "hello" {
		t.Errorf("%q", got)
	}
	b := f.memory(t, 9000, 4)
	if n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16 | int(b[3])<<24; n > maxTable || n < maxTable/2 {
		t.Errorf("it has %d entries", n)
	}
	for name, section := range map[string][]byte{
		"a large one":  cat(leb(1), op(0x70, 0), leb(10_000_000)),
		"a few":        cat(leb(3), op(0x70, 0), leb(maxTable/2), op(0x70, 0), leb(maxTable/2), op(0x70, 0), leb(1)),
		"many":         cat(leb(1_000_000), op(0x70, 0), leb(1)),
		"least > most": cat(leb(1), op(0x70, 1), leb(5), leb(4)),
		"no kind":      leb(1),
		"more behind":  cat(leb(0), leb(0)),
	} {
		if _, err := newHost(t).Inspect(t.Context(), with(section, pair(0, 0)), vfs.Limits{}); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is said of files is checked as what clients send.
func TestHostileAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"a path":          `[{"Name":"../../etc/passwd"}]`,
		"a slash":         `[{"Name":"a/b"}]`,
		"dots":            `[{"Name":".."}]`,
		"no name":         `[{"Size":1}]`,
		"a zero":          `[{"Name":"a\u0000b"}]`,
		"a long name":     `[{"Name":"` + strings.Repeat("x", 300) + `"}]`,
		"twice":           `[{"Name":"a"},{"Name":"a"}]`,
		"a negative size": `[{"Name":"a","Size":-1}]`,
		"a huge size":     `[{"Name":"a","Size":1e300}]`,
		"an object":       `{"Name":"a"}`,
		"half of it":      `[{"Name":"a"`,
		"nothing at all":  `?`,
	} {
		g := plain().malloc().reads()
		g.data[atList] = answer + "\x00"
		f := started(t, g.bytes(), vfs.Limits{}, nil)
		if list, err := f.List(t.Context(), nil, "/", "", 0); vfs.KindOf(err) != vfs.Crashed {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		if _, err := f.Stat(t.Context(), nil, "/f"); err != nil {
			t.Errorf("%s: the next call: %v", name, err)
		}
	}
}

// Modules that are no plugins are refused with a reason.
func TestRefuses(t *testing.T) {
	h := newHost(t)
	whole := plain().malloc().reads().bytes()
	refuse := func(name string, module []byte, l vfs.Limits) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := h.Inspect(ctx, module, l); err == nil || vfs.KindOf(err) == vfs.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("nothing", nil, vfs.Limits{})
	refuse("no function", whole[:8], vfs.Limits{})
	refuse("too long", make([]byte, MaxModule+1), vfs.Limits{})
	for n := 9; n < len(whole); n += 7 {
		refuse("cut off", whole[:n], vfs.Limits{})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, id := range []byte{1, 2, 3, 5, 6, 7, 9, 10, 11} { // it says that it has 200 million entries
		refuse("a section without its entries", append(whole[:8:8], id, 5, 0x80, 0x84, 0xaf, 0x5f, 0), vfs.Limits{})
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
		t.Errorf("%d MiB for entries that are not there", (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	refuse("no malloc", plain().reads().bytes(), vfs.Limits{})
	wrong := plain().malloc().reads()
	wrong.fn("fs_write", "i:I", pair(0, 0))
	refuse("another signature", wrong.bytes(), vfs.Limits{})
	for _, name := range []string{"_initialize", "_start"} {
		g := plain().malloc().reads()
		g.fn(name, ":", op(0x03, 0x40, 0x0c, 0, 0x0b))
		refuse("a beginning without an end", g.bytes(), vfs.Limits{})
	}
	exits := newGuest()
	exit := exits.imp("wasi_snapshot_preview1", "proc_exit", "i:")
	exits.fill()
	exits.malloc().reads()
	exits.fn("_start", ":", i32(0), run(exit))
	refuse("one that exits", exits.bytes(), vfs.Limits{})
	unknown := newGuest()
	unknown.imp("wasi_snapshot_preview1", "no_such", ":")
	unknown.fill()
	refuse("an unknown function of the system", unknown.malloc().reads().bytes(), vfs.Limits{})
	buffers := plain().reads()
	buffers.fn("get_input_buffer_ptr", ":i", i32(-1))
	buffers.fn("get_output_buffer_ptr", ":i", i32(0))
	buffers.fn("get_shared_buffer_size", ":i", i32(1<<20))
	refuse("buffers outside", buffers.bytes(), vfs.Limits{})
	for _, l := range []vfs.Limits{{Memory: 1}, {Memory: 1 << 40}, {Call: 1}, {Call: time.Hour}, {Instances: -1}, {Instances: 1000}} {
		refuse("limits", whole, l)
	}
}

// Damaged modules are refused or do damage to themselves alone.
func TestDamagedModules(t *testing.T) {
	h := newHost(t)
	whole := plain().malloc().frees("ii:").reads().bytes()
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b := append([]byte(nil), whole...)
		for range 1 + r.IntN(4) {
			b[8+r.IntN(len(b)-8)] = byte(r.Uint32())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if lib, err := h.Inspect(ctx, b, vfs.Limits{Call: 100 * time.Millisecond, Memory: 1 << 20}); err == nil {
			p := h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return b, nil })
			fs, _ := p.New(vfs.Env{Log: h.log}, nil)
			f := fs.(*FS)
			if f.Start(ctx) == nil { // what they answer is their own
				_, _ = f.Stat(ctx, nil, "/f")
				_, _ = f.List(ctx, nil, "/", "", 0)
				_, _ = f.ReadAt(ctx, nil, "/f", make([]byte, 16), 1)
				_ = f.Close()
			}
		}
		cancel()
	}
}

// Callers at once get their own bytes, though others crash the module.
func TestManyCallers(t *testing.T) {
	f := started(t, example(t, "memory"), vfs.Limits{}, nil)
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			p := vfs.Path("/" + string(rune('a'+n)))
			want := strings.Repeat(string(rune('a'+n)), 1000+n)
			if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Data: []byte(want), Flag: vfs.FlagCreate | vfs.FlagTruncate}); err != nil {
				t.Error(err)
			}
			for range 30 {
				if got := f.mustRead(t, p, 2000, 0); got != want {
					t.Errorf("%s has %d other bytes", p, len(got))
				}
			}
		})
	}
	wg.Wait()
}
