package wasmhost

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// What the rewriting and the runtime would read in different ways is refused: behind
// it a loop could be that is not seen. Each of these is refused for itself alone.
func TestRefusesWhatIsReadOtherwise(t *testing.T) {
	twice := func(b ...byte) []byte { return cat(op(0xfd, 0x0c), make([]byte, 16), op(0xfd), b, op(0x1a)) }
	refs := func(rest ...byte) []byte { return cat(op(0xd0, 0x70, 0xd0, 0x70), i32(1), rest, op(0x1a)) }
	for name, c := range map[string]struct {
		body []byte
		ok   bool
	}{
		"a loop in a block of a typed reference": {op(0x02, 0x63, 0x02, 0x03, 0x40, 0x01, 0x0c, 0, 0x0b, 0, 0x0b, 0x1a), false},
		"the same, not null":                     {op(0x02, 0x64, 0x70, 0x00, 0x0b, 0x1a), false},
		"a block of exceptions":                  {op(0x02, 0x69, 0x00, 0x0b, 0x1a), false},
		"a block of a long negative number":      {op(0x02, 0xff, 0x7f, 0x00, 0x0b, 0x1a), false},
		"a block of a long number":               {op(0x41, 0, 0x02, 0x80, 0x80, 0x80, 0x80, 0x00, 0x0b, 0x1a), true},
		"a block of too long a number":           {op(0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x00, 0x0b), false},
		"a block of nothing":                     {op(0x02, 0x40, 0x0b), true},
		"a block of a number":                    {op(0x02, 0x7f, 0x41, 0x00, 0x0b, 0x1a), true},
		"a vector, its number of one byte":       {twice(0x4d), true},
		"a vector, its number of two":            {twice(0xe0, 0x01), true},
		"a vector, its number too long":          {twice(0xcd, 0x00), false},
		"a vector's constant, too long":          {cat(op(0xfd, 0x8c, 0x00), make([]byte, 16), op(0x1a)), false},
		"a choice of references":                 {refs(0x1c, 0x01, 0x70), true},
		"a choice of typed references":           {refs(0x1c, 0x01, 0x63, 0x70), false},
		"a choice of typed ones, not null":       {refs(0x1c, 0x01, 0x64, 0x70), false},
		"a choice of two":                        {refs(0x1c, 0x02, 0x70, 0x70), false},
		"a choice, its count too long":           {refs(0x1c, 0x81, 0x00, 0x70), false},
		"a typed null":                           {op(0xd0, 0x00, 0x1a), false},
		"a null":                                 {op(0xd0, 0x6f, 0x1a), true},
		"a tail call":                            {op(0x12, 0x00), false},
		"an exception":                           {op(0x06, 0x40, 0x0b), false},
	} {
		module := bad(cat(c.body, pair(0, 0))).bytes()
		_, err := newHost(t).Inspect(t.Context(), module, vfs.Limits{})
		if c.ok != (err == nil) || !c.ok && (vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "WebAssembly 2.0")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// withLocals is a plugin of many functions with local variables, as groups.
func withLocals(functions int, groups ...[]byte) []byte {
	g := plain().malloc().reads()
	code := cat(vec(groups), op(0x0b))
	for n := range functions {
		g.fn(fmt.Sprint("f", n), ":")
		g.codes[len(g.codes)-1] = cat(leb(uint64(len(code))), code)
	}
	return g.bytes()
}

// replaced is a module with a section that has another body, at its place.
func replaced(module []byte, id byte, body []byte) []byte {
	out, done := slices.Clone(module[:8]), false
	for at, was := range sections(module) {
		if at >= id && !done {
			out, done = section(out, id, body), true
		}
		if at != id {
			out = section(out, at, was)
		}
	}
	if !done {
		out = section(out, id, body)
	}
	return out
}

// Whatever a module says it has, what takes memory to load is there, or it is refused.
func TestRefusesWhatIsNotThere(t *testing.T) {
	whole := plain().malloc().reads().bytes()
	const many = 200_000_000
	for name, module := range map[string][]byte{
		"local variables":             withLocals(1, cat(leb(many), op(0x7f))),
		"local variables in groups":   withLocals(1, cat(leb(30_000), op(0x7f)), cat(leb(30_000), op(0x7e))),
		"those of all functions":      withLocals(300, cat(leb(40_000), op(0x7f))),
		"typed local variables":       withLocals(1, cat(leb(1), op(0x63, 0x70))),
		"parameters":                  replaced(whole, 1, cat(leb(1), op(0x60), leb(many), op(0x7f, 0x7f))),
		"results":                     replaced(whole, 1, cat(leb(1), op(0x60, 0), leb(many), op(0x7f, 0x7f))),
		"many parameters":             replaced(whole, 1, cat(leb(1), op(0x60), leb(2000), bytes.Repeat(op(0x7f), 2000), op(0))),
		"a group of types":            replaced(whole, 1, cat(leb(1), op(0x4e), leb(many), op(0x60, 0, 0))),
		"types":                       replaced(whole, 1, cat(leb(maxFuncTypes+1), bytes.Repeat(op(0x60, 0, 0), maxFuncTypes+1))),
		"an import's name":            replaced(whole, 2, cat(leb(1), leb(many), op(0x7f))),
		"a typed global":              replaced(whole, 6, cat(leb(1), op(0x63, 0x70, 0, 0xd0, 0x70, 0x0b))),
		"an export's name":            replaced(whole, 7, cat(leb(1), leb(many), op(0x7f))),
		"functions of an element":     replaced(whole, 9, cat(leb(1), op(0), i32(0), op(0x0b), leb(many), op(0))),
		"expressions of an element":   replaced(whole, 9, cat(leb(1), op(5, 0x70), leb(many), op(0xd2, 0, 0x0b))),
		"functions of many elements":  replaced(whole, 9, cat(leb(9), bytes.Repeat(cat(op(1, 0), leb(maxInitially/8), make([]byte, maxInitially/8)), 9))),
		"typed references":            replaced(whole, 9, cat(leb(1), op(5, 0x63, 0x70), leb(0))),
		"data":                        replaced(whole, 11, cat(leb(1), op(1), leb(many), op(0))),
		"what no section is":          section(slices.Clone(whole), 13, []byte{0}),
		"a table of typed references": replaced(whole, 4, cat(leb(1), op(0x63, 0x01), leb(0))),
		"a table with an expression":  replaced(whole, 4, cat(leb(1), op(0x40, 0x00, 0x70, 0, 0))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := newHost(t).Inspect(t.Context(), module, vfs.Limits{})
		runtime.ReadMemStats(&after)
		if vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "module is ") {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Errorf("%s: %d MiB", name, n>>20)
		}
	}
}

// Of the sections that the runtime has no need of, the names of functions are kept,
// if they are sound.
func TestNames(t *testing.T) {
	custom := func(name string, body ...[]byte) []byte { return cat(text(name), cat(body...)) }
	functions := cat(leb(1), leb(0), text("main"))
	part := func(id byte, body []byte) []byte { return cat(op(id), leb(uint64(len(body))), body) }
	for name, c := range map[string]struct{ body, want []byte }{
		"functions":      {custom("name", part(0, text("module")), part(1, functions), part(2, leb(1<<30))), custom("name", part(1, functions))},
		"too many":       {custom("name", part(1, leb(1<<30))), nil},
		"a long name":    {custom("name", part(1, cat(leb(1), leb(0), leb(1<<30)))), nil},
		"more behind":    {custom("name", part(1, cat(functions, op(0)))), nil},
		"another":        {custom("producers", functions), nil},
		"no name at all": {leb(1 << 30), nil},
		"half of it":     {custom("name", op(1, 100)), nil},
	} {
		module := section(plain().malloc().reads().bytes(), 0, c.body)
		out, err := tamed(module)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for id, body := range sections(out) {
			if id == 0 {
				got = body
			}
		}
		if !bytes.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
		if _, err := newHost(t).Inspect(t.Context(), module, vfs.Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Code without a loop is left, too, and ends with its call: much that is moved, and
// slow instructions.
func TestStopsLongCode(t *testing.T) {
	slow := bytes.Repeat(cat(i64(7), op(0x7f)), 5_000)
	fill := cat(i32(0), i32(1), i32(32<<20), op(0xfc, 0x0b, 0))
	for name, body := range map[string][]byte{
		"fills memory": bytes.Repeat(fill, 1000),
		"divides":      cat(op(0x03, 0x40), i64(1<<62), slow, op(0x1a, 0x0c, 0, 0x0b)),
	} {
		g := bad(cat(body, pair(0, 0)))
		g.pages = 513
		f := started(t, g.bytes(), vfs.Limits{Call: 300 * time.Millisecond}, nil)
		began := time.Now()
		_, err := f.ReadAt(t.Context(), nil, "/f", make([]byte, 9), 0)
		if vfs.KindOf(err) != vfs.Timeout || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
	}
}

// A function that calls itself twice, a hundred deep, never overflows its stack: it
// ends with its call all the same.
func TestStopsRecursion(t *testing.T) {
	g := plain().malloc().reads()
	me := g.nfuncs
	again := cat(get(0), i32(1), op(0x6b), run(me))
	g.fn("deeper", "i:", get(0), op(0x04, 0x40), again, again, op(0x0b))
	g.fn("fs_create", "i:i", i32(100), run(me), i32(0))
	f := started(t, g.bytes(), vfs.Limits{Call: 300 * time.Millisecond}, nil)
	err := f.with(t.Context(), func(c *call) error { return c.done("fs_create", 1) })
	if vfs.KindOf(err) != vfs.Timeout {
		t.Error(err)
	}
}

// Long code without a loop is checked at each stretch of it, wherever that is.
func TestStretches(t *testing.T) {
	count := func(body []byte) int {
		out, err := stoppable(bad(cat(body, pair(0, 0))).bytes())
		if err != nil {
			t.Fatal(err)
		}
		pause := binary.AppendUvarint([]byte{opIf, blockEmpty, opCall}, 4)
		return bytes.Count(out.module, append(pause, opEnd))
	}
	none := count(nil)
	for name, c := range map[string]struct {
		body []byte
		more int
	}{
		"short": {bytes.Repeat(op(0x01), 100), 0}, "long": {bytes.Repeat(op(0x01), 10*stretch), 10},
		"a loop":  {op(0x03, 0x40, 0x0b), 1},
		"moves":   {cat(i32(0), i32(0), i32(1), op(0xfc, 0x0a, 0, 0)), 1},
		"drops":   {op(0xfc, 0x09, 0), 0},
		"rounds":  {cat(op(0x43, 0, 0, 0, 0, 0xfc, 0x00), op(0x1a)), 0},
		"at once": {bytes.Repeat(op(0x03, 0x40, 0x0b), 5), 5},
	} {
		if got := count(c.body) - none; got != c.more {
			t.Errorf("%s: %d checks, expected %d", name, got, c.more)
		}
	}
}

// A panic of the compiler is an error, and the next module is compiled.
func TestCompilerPanics(t *testing.T) {
	h := newHost(t)
	if err := h.alone(func() error { panic("no such thing") }); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Error(err)
	}
	if !h.compiling.TryLock() {
		t.Fatal("the lock is kept")
	}
	h.compiling.Unlock()
}
