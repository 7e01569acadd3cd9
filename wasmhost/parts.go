package wasmhost

import (
	"bytes"
	"encoding/binary"

	"github.com/pfs-project/pfs/vfs"
)

// What the sections of a module may have. The runtime makes memory of the host for
// each entry before it looks at it, and more of it than the module has bytes.
const (
	maxEntries    = 1 << 18 // of a section
	maxFuncTypes  = 1 << 12 // each has a page of memory of the host, as functions are told of
	maxTypes      = 1000    // of parameters, or of results
	maxLocals     = 50_000  // of a function
	maxAllLocals  = 8 << 20 // of all
	maxInitially  = maxTable
	funcType      = 0x60
	functionNames = 1 // the part of the name section that has them
)

// errOdd refuses what is not known here: it could compute without an end, unseen.
var errOdd = vfs.Invalid.With("the module is damaged, or uses what is not in WebAssembly 2.0 (threads, exceptions, tail calls, typed references): build it without")

// errTooMany refuses a module that would take more memory to load than to run.
var errTooMany = vfs.Invalid.Withf("the module is too large: a section has at most %d entries, that of the types %d, a type %d parameters, a function %d local variables",
	maxEntries, maxFuncTypes, maxTypes, maxLocals)

// sectionParts are what reads the sections but that of the tables.
var sectionParts = map[byte]func(*reader){
	typeSection:      func(r *reader) { r.atMost(maxFuncTypes, r.functionType) },
	importSection:    func(r *reader) { (&stopper{}).imports(r) },
	functionSection:  func(r *reader) { r.each(func() { r.num() }) },
	memorySection:    func(r *reader) { r.each(r.limits) },
	globalSection:    func(r *reader) { r.each(func() { r.value(); r.skip(1); r.constant() }) },
	exportSection:    func(r *reader) { r.each(func() { r.skip(r.num()); r.byte(); r.num() }) },
	startSection:     func(r *reader) { r.num() },
	elementSection:   (*reader).elements,
	codeSection:      func(r *reader) { r.each(func() { r.skip(r.num()) }) },
	dataSection:      func(r *reader) { r.each(r.data) },
	dataCountSection: func(r *reader) { r.num() },
}

// parts checks the lists in a section: that all of what they say they have is there,
// and is not too much.
func parts(id byte, body []byte) error {
	read, ok := sectionParts[id]
	if !ok {
		return errOdd
	}
	r := &reader{b: body}
	read(r)
	switch {
	case r.many:
		return errTooMany
	case r.bad || len(r.b) > 0:
		return errOdd
	}
	return nil
}

// each reads a list.
func (r *reader) each(entry func()) { r.atMost(maxEntries, entry) }

func (r *reader) atMost(most int, entry func()) {
	n := r.count(most)
	for ; n > 0 && !r.bad; n-- {
		entry()
	}
}

// count reads how long a list is, of which each entry has a byte at least.
func (r *reader) count(most int) int {
	n := r.num()
	if n > uint64(len(r.b)) {
		r.bad = true
	} else if n > uint64(most) {
		r.bad, r.many = true, true
	}
	if r.bad {
		return 0
	}
	return int(n)
}

// functionType skips the parameters and results of a function.
func (r *reader) functionType() {
	r.bad = r.byte() != funcType || r.bad
	for range 2 {
		for n := r.count(maxTypes); n > 0; n-- {
			r.value()
		}
	}
}

// value skips the type of a value: those of typed references have more bytes.
func (r *reader) value() {
	if b := r.byte(); b < 0x7b || b > 0x7f {
		r.bad = r.bad || !reference(b)
	}
}

// reference reports whether b is the type of references to functions, or to what
// the host has.
func reference(b byte) bool { return b == 0x70 || b == 0x6f }

// constant skips an expression that is computed as the module begins.
func (r *reader) constant() {
	for !r.bad {
		switch op := r.byte(); op {
		case opEnd:
			return
		case opI32Const, opI64Const, opF32Const, opF64Const, opRefNull, opRefFunc:
			r.operands(shapes[op])
		case opGlobalGet:
			r.num()
		case opVector:
			r.bad = r.byte() != 12 || r.bad
			r.skip(16)
		default:
			r.bad = true
		}
	}
}

// elements skips what is put into tables.
func (r *reader) elements() {
	left := maxInitially
	r.each(func() {
		r.element(&left)
		r.many = r.many || left < 0
		r.bad = r.bad || r.many
	})
}

// element skips what is put into a table, as long as so many are left.
func (r *reader) element(left *int) {
	const passive, explicit, expressions = 1, 2, 4 // as its first number has them
	flags := r.num()
	r.bad = r.bad || flags > 7
	if flags&passive == 0 {
		if flags&explicit != 0 {
			r.num() // the table
		}
		r.constant()
	}
	if flags&(passive|explicit) != 0 {
		kind := r.byte()
		r.bad = r.bad || (flags&expressions == 0 && kind != 0) || (flags&expressions != 0 && !reference(kind))
	}
	n := r.count(maxInitially)
	*left -= n
	for ; n > 0 && !r.bad && *left >= 0; n-- {
		if flags&expressions != 0 {
			r.constant()
		} else {
			r.num()
		}
	}
}

// data skips what is put into the memory.
func (r *reader) data() {
	flags := r.num()
	r.bad = r.bad || flags > 2
	if flags == 2 {
		r.num() // the memory
	}
	if flags != 1 {
		r.constant()
	}
	r.skip(r.num())
}

// names is the custom section that has the names of functions, which are in the
// traces of crashes; nil of any other, and of one that is damaged.
func names(body []byte) []byte {
	rest, ok := bytes.CutPrefix(body, []byte("\x04name"))
	if !ok {
		return nil
	}
	for r := (&reader{b: rest}); len(r.b) > 0 && !r.bad; {
		id, size := r.byte(), r.num()
		part := r.b
		r.skip(size)
		if id != functionNames || r.bad {
			continue
		}
		list := &reader{b: part[:size]}
		list.each(func() { list.num(); list.skip(list.num()) })
		if list.bad || len(list.b) > 0 {
			return nil
		}
		out := binary.AppendUvarint([]byte("\x04name\x01"), size)
		return append(out, part[:size]...)
	}
	return nil
}
