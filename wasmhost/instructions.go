package wasmhost

// The instructions that are more than a byte, as WebAssembly 2.0 has them.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBranches    = 0x0e
	opReturn      = 0x0f
	opCall        = 0x10
	opDrop        = 0x1a
	opSelect      = 0x1b
	opSelectOf    = 0x1c
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opTableSet    = 0x26
	opFirstLoad   = 0x28
	opLastStore   = 0x3e
	opMemGrow     = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32GreaterU = 0x4b
	opI32Add      = 0x6a
	opF32Const    = 0x43
	opF64Const    = 0x44
	opLastPlain   = 0xc4
	opRefNull     = 0xd0
	opRefIsNull   = 0xd1
	opRefFunc     = 0xd2
	opI32ShiftU   = 0x76
	opMore        = 0xfc
	opVector      = 0xfd

	blockEmpty = 0x40 // the type of a block that takes and leaves nothing
)

// shape is what follows the first byte of an instruction.
type shape byte

const (
	unknown shape = iota
	bare
	number
	numbers // two
	signed
	blockOf // the type of a block
	kindOf  // the type of a reference
	four
	eight
)

// shapes are those of the instructions that are no loads, stores or arithmetic, and
// have no end of their own.
var shapes = [256]shape{
	opUnreachable: bare, 0x01: bare, 0x02: blockOf, opLoop: blockOf, opIf: blockOf, opElse: bare, opEnd: bare,
	0x0c: number, 0x0d: number, opReturn: bare, opCall: number, 0x11: numbers, opDrop: bare, opSelect: bare,
	0x20: number, 0x21: number, 0x22: number, 0x25: number, opTableSet: number, 0x3f: number, opMemGrow: number,
	opI32Const: signed, opI64Const: signed, opF32Const: four, opF64Const: eight,
	opRefNull: kindOf, opRefIsNull: bare, opRefFunc: number,
}

// instruction skips one. bad is set for what is not known, and for a module that
// names a variable of the host.
func (s *stopper) instruction(r *reader) {
	switch op := r.byte(); {
	case op > opF64Const && op <= opLastPlain:
	case op >= opFirstLoad && op <= opLastStore:
		r.operands(numbers)
	case op == opGlobalGet || op == opGlobalSet:
		r.bad = r.num() >= s.counter || r.bad
	case op == opBranches:
		for range r.num() {
			if r.num(); r.bad {
				return
			}
		}
		r.num()
	case op == opSelectOf:
		r.bad = r.byte() != 1 || r.bad // the compiler takes them for two bytes, whatever they are
		r.value()
	case op == opMore:
		r.more()
	case op == opVector:
		r.vector()
	default:
		r.operands(shapes[op])
	}
}

// operands skips those of a shape.
func (r *reader) operands(of shape) {
	switch of {
	case bare:
	case number:
		r.num()
	case numbers:
		r.num()
		r.num()
	case signed:
		r.signed()
	case blockOf:
		r.blockType()
	case kindOf:
		r.bad = !reference(r.byte()) || r.bad
	case four:
		r.skip(4)
	case eight:
		r.skip(8)
	default:
		r.bad = true
	}
}

// more skips the rest of an instruction on much memory, or a conversion.
func (r *reader) more() {
	const largest = 17
	operands := [...]int{8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}
	op := r.num()
	if op > largest {
		r.bad = true
		return
	}
	for range operands[op] {
		r.num()
	}
}

// moving reports whether the rest of an instruction as in more moves what its last
// operand says: not what lets data go, and the size of a table.
func moving(b []byte) bool {
	op := (&reader{b: b}).num()
	return op >= 8 && op != 9 && op != 13 && op != 16
}

// vector skips the rest of an instruction on 128 bits.
func (r *reader) vector() {
	op := r.byte() // and not a number: that is what the runtime reads
	if op >= 0x80 {
		r.bad = r.byte() != 1 || r.bad // the rest of it as a number, which the runtime takes for a nop
	}
	switch {
	case op <= 11, op == 92, op == 93: // loads and stores
		r.num()
		r.num()
	case op == 12 || op == 13: // a constant, a shuffle
		r.skip(16)
	case op >= 21 && op <= 34: // lanes
		r.skip(1)
	case op >= 84 && op <= 91: // loads and stores of lanes
		r.num()
		r.num()
		r.skip(1)
	}
}

// blockType skips the type of a block: none, that of one value, or the number of one
// with parameters. Typed references would have more bytes.
func (r *reader) blockType() {
	if len(r.b) > 0 && r.b[0] >= blockEmpty && r.b[0] < 0x80 {
		if r.b[0] == blockEmpty {
			r.skip(1)
			return
		}
		r.value()
		return
	}
	for n := range 5 {
		switch b := r.byte(); {
		case b < blockEmpty && (n < 4 || b < 0x10): // it is not negative
			return
		case b < 0x80:
			r.bad = true
			return
		}
	}
	r.bad = true
}

// skip passes n bytes.
func (r *reader) skip(n uint64) {
	if n > uint64(len(r.b)) {
		r.bad, n = true, 0
	}
	r.b = r.b[n:]
}

// signed skips a number with a sign, of up to 64 bits.
func (r *reader) signed() {
	for range 10 {
		if r.byte() < 0x80 {
			return
		}
	}
	r.bad = true
}
