package wasmhost

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// guest is a module put together by hand, for shapes that no compiler makes. It
// has a memory that is exported, with a pointer to where malloc gives next in
// the global 0, and zero in the global 1.
type guest struct {
	types   []string // signatures as the host writes them
	imports [][]byte
	nfuncs  int // imports among them
	funcs   [][]byte
	codes   [][]byte
	exports [][]byte
	data    map[uint32]string
	pages   uint32
	table   []byte // the body of the section; nil: none
	name    string // in the name section
}

func newGuest() *guest { return &guest{data: map[uint32]string{}, pages: 2} }

func leb(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// sleb is a signed number in LEB128.
func sleb(n int64) (out []byte) {
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func vec(items [][]byte) []byte { return cat(leb(uint64(len(items))), cat(items...)) }

func text(s string) []byte { return cat(leb(uint64(len(s))), []byte(s)) }

// Instructions.
func i32(n int64) []byte   { return cat([]byte{0x41}, sleb(int64(int32(n)))) }
func i64(n int64) []byte   { return cat([]byte{0x42}, sleb(n)) }
func get(n uint64) []byte  { return cat([]byte{0x20}, leb(n)) }
func gget(n uint64) []byte { return cat([]byte{0x23}, leb(n)) }
func gset(n uint64) []byte { return cat([]byte{0x24}, leb(n)) }
func run(n int) []byte     { return cat([]byte{0x10}, leb(uint64(n))) }
func op(b ...byte) []byte  { return b }

// store puts the i32 on the stack at an address that is below it.
func store() []byte { return op(0x36, 2, 0) }

// pair is a result of two halves.
func pair(low, high uint32) []byte { return i64(int64(uint64(high)<<32 | uint64(low))) }

func (g *guest) typ(sign string) int {
	if i := slices.Index(g.types, sign); i >= 0 {
		return i
	}
	g.types = append(g.types, sign)
	return len(g.types) - 1
}

// imp imports a function, before any is added, and returns its number.
func (g *guest) imp(module, name, sign string) int {
	g.imports = append(g.imports, cat(text(module), text(name), op(0), leb(uint64(g.typ(sign)))))
	g.nfuncs++
	return g.nfuncs - 1
}

// fn adds a function and exports it, and returns its number.
func (g *guest) fn(name, sign string, body ...[]byte) int {
	g.funcs = append(g.funcs, leb(uint64(g.typ(sign))))
	code := cat(op(0), cat(body...), op(0x0b))
	g.codes = append(g.codes, cat(leb(uint64(len(code))), code))
	g.exports = append(g.exports, cat(text(name), op(0), leb(uint64(g.nfuncs))))
	g.nfuncs++
	return g.nfuncs - 1
}

func valtypes(s string) []byte {
	out := leb(uint64(len(s)))
	for _, c := range s {
		out = append(out, map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d}[c])
	}
	return out
}

// bytes is the module.
func (g *guest) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, body []byte) {
		out = cat(out, op(id), leb(uint64(len(body))), body)
	}
	var types, data [][]byte
	for _, t := range g.types {
		params, results, _ := strings.Cut(t, ":")
		types = append(types, cat(op(0x60), valtypes(params), valtypes(results)))
	}
	for _, at := range slices.Sorted(maps.Keys(g.data)) {
		data = append(data, cat(op(0), i32(int64(at)), op(0x0b), text(g.data[at])))
	}
	section(1, vec(types))
	if len(g.imports) > 0 {
		section(2, vec(g.imports))
	}
	section(3, vec(g.funcs))
	if g.table != nil {
		section(4, g.table)
	}
	section(5, cat(leb(1), op(0), leb(uint64(g.pages))))
	section(6, vec([][]byte{cat(op(0x7f, 1), i32(65536), op(0x0b)), cat(op(0x7f, 1), i32(0), op(0x0b))}))
	section(7, vec(append(slices.Clone(g.exports), cat(text("memory"), op(2, 0)))))
	section(10, vec(g.codes))
	if len(data) > 0 {
		section(11, vec(data))
	}
	if g.name != "" {
		body := cat(text("name"), op(0), leb(uint64(len(text(g.name)))), text(g.name))
		section(0, body)
	}
	return out
}

// Where the texts of a plain guest are.
const (
	atFile  = 1024 // what fs_stat says of everything
	atList  = 2048
	atError = 3072
	atBytes = 4096
	atFrees = 8192 // what was passed to free: pairs of numbers
)

// plain is a guest with one directory and the file /f in it. malloc takes memory
// that is never used again.
func plain() *guest {
	g := newGuest()
	g.fill()
	return g
}

func (g *guest) fill() {
	g.data[atFile] = `{"Name":"f","Size":5,"Mode":420,"ModTime":"0001-01-01T00:00:00Z","IsDir":false,"Meta":{"Name":"m","Type":"t","Content":{"n":1,"s":"x"}}}` + "\x00"
	g.data[atFile+512] = `{"Name":"","Mode":493,"IsDir":true}` + "\x00"
	g.data[atList] = `[{"Name":"f","Size":5,"Mode":420}]` + "\x00"
	g.data[atError] = "file not found\x00"
	g.data[atBytes] = "hello, and more"
}

// isRoot leaves on the stack whether the path in the first parameter is "/".
func isRoot() []byte { return cat(get(0), op(0x2d, 0, 1, 0x45)) } // no second byte

// reads adds what every plugin has.
func (g *guest) reads() *guest {
	g.fn("fs_stat", "i:I", isRoot(), op(0x04, 0x7e), pair(atFile+512, 0), op(0x05), pair(atFile, 0), op(0x0b))
	g.fn("fs_readdir", "i:I", pair(atList, 0))
	g.fn("fs_read", "iII:I", pair(atBytes, 5))
	return g
}

// malloc adds one that gives memory in order.
func (g *guest) malloc() *guest {
	g.fn("malloc", "i:i", gget(0), gget(0), get(0), op(0x6a), gset(0))
	return g
}

// frees adds a free that writes down what it gets.
func (g *guest) frees(sign string) *guest {
	at := func(n int64) []byte { return cat(i32(atFrees+n), gget(1), op(0x6a)) }
	second := i32(0)
	if sign == "ii:" {
		second = get(1)
	}
	g.fn("free", sign, at(0), get(0), store(), at(4), second, store(), gget(1), i32(8), op(0x6a), gset(1))
	return g
}
