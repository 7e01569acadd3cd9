package wasmhost

import (
	"encoding/binary"
	"math"

	"github.com/pfs-project/pfs/vfs"
)

// A call that takes too long has to be ended, and the server's own runtime has to
// come to its turn while a module computes: it cannot interrupt it. The runtime of
// modules leaves them for that at the head of every loop, which takes most of the
// time of most of them, and not in functions without one. So they get a counter
// instead, which every loop, every function and each stretch of code counts up, and
// what moves memory by how much that is. Each time that it is full they call a function that was added,
// which the runtime tells the host of (leaving), and which traps if the variable
// is set by which the host stops them. What is not known here is refused: of it, or
// behind it, there could be a loop that is not seen.

// The names under which a module that can be stopped exports what it was given.
const (
	stopExport  = "pfs:stop"
	startExport = "pfs:start" // what its start section named: it must be stopped, too
)

// The sections that are looked at.
const (
	customSection    = 0
	typeSection      = 1
	importSection    = 2
	functionSection  = 3
	tableSection     = 4
	memorySection    = 5
	globalSection    = 6
	exportSection    = 7
	startSection     = 8
	elementSection   = 9
	codeSection      = 10
	dataSection      = 11
	dataCountSection = 12
)

// full is how much is counted until a module is left: a loop, a function, and each
// stretch of code is 1, and so is each 1<<bulk bytes (entries of a table) that an
// instruction moves.
const (
	full    = 1000
	stretch = 4096 // bytes
	bulk    = 12
)

// stopper rewrites one module. The indices are those of what it adds, behind all
// that is there.
type stopper struct {
	counter  uint64 // the global that counts; the one behind it stops, the next is a place to keep a number
	pause    uint64 // the function that leaves the module
	kind     uint64 // its type
	memories uint64
	starts   bool
	locals   uint64 // variables of all functions
	check    []byte // the instructions at the head of loops and functions
	weigh    []byte // and before those that move memory
}

// stopping is a module with its variables.
type stopping struct {
	module []byte
	starts bool   // it has a start function, which is to be called as startExport
	pause  uint32 // the function that leaves it
}

// stoppable returns the module with its variables. Invalid are modules that are
// damaged, or newer than this.
func stoppable(module []byte) (stopping, error) {
	s := &stopper{}
	var start []byte
	has := [codeSection + 1]bool{}
	for id, body := range sections(module) {
		r := &reader{b: body}
		switch id {
		case typeSection:
			s.kind = r.num()
		case importSection:
			s.imports(r)
		case functionSection:
			s.pause += r.num()
		case memorySection:
			s.memories += r.num()
		case globalSection:
			s.counter += r.num()
		case startSection:
			start, s.starts = body, true
		}
		if id <= codeSection {
			has[id] = true
		}
		if r.bad || s.counter+s.pause+s.kind > math.MaxInt32 {
			return stopping{}, errOdd
		}
	}
	if s.memories != 1 || !has[typeSection] || !has[functionSection] || !has[exportSection] || !has[codeSection] {
		return stopping{}, vfs.Invalid.With("the module has no functions, no exports, or not just one memory")
	}
	s.instructions()
	out := append([]byte(nil), module[:8]...)
	for id, body := range sections(module) {
		switch id {
		case typeSection:
			body = grown(body, 1, []byte{0x60, 0, 0})
		case functionSection:
			body = grown(body, 1, binary.AppendUvarint(nil, s.kind))
		case globalSection:
			body = grown(body, 3, variables)
		case exportSection:
			if !has[globalSection] {
				out = section(out, globalSection, append([]byte{3}, variables...))
			}
			body = s.exports(body, start)
		case startSection:
			continue
		case codeSection:
			var err error
			if body, err = s.code(body); err != nil {
				return stopping{}, err
			}
		}
		out = section(out, id, body)
	}
	return stopping{out, s.starts, uint32(s.pause)}, nil
}

// instructions writes down what is added to functions.
func (s *stopper) instructions() {
	num := binary.AppendUvarint
	kept := s.counter + 2
	s.weigh = num([]byte{opGlobalSet}, kept) // the amount is the last operand
	s.weigh = num(append(s.weigh, opGlobalGet), s.counter)
	s.weigh = num(append(s.weigh, opGlobalGet), kept)
	s.weigh = append(s.weigh, opI32Const, bulk, opI32ShiftU, opI32Add)
	s.weigh = num(append(s.weigh, opGlobalSet), s.counter)
	s.weigh = num(append(s.weigh, opGlobalGet), kept)
	s.check = num([]byte{opGlobalGet}, s.counter)
	s.check = num(append(s.check, opI32Const, 1, opI32Add, opGlobalSet), s.counter)
	s.check = num(append(s.check, opGlobalGet), s.counter)
	s.check = append(s.check, opI32Const, full&0x7f|0x80, full>>7, opI32GreaterU, opIf, blockEmpty, opCall)
	s.check = append(num(s.check, s.pause), opEnd)
}

// paused is the function that leaves the module.
func (s *stopper) paused() []byte {
	b := binary.AppendUvarint([]byte{0, opI32Const, 0, opGlobalSet}, s.counter) // it has no local variables
	b = binary.AppendUvarint(append(b, opGlobalGet), s.counter+1)
	return append(b, opIf, blockEmpty, opUnreachable, opEnd, opEnd)
}

// variables are three globals of 32 bits that can be changed and begin as 0.
var variables = []byte{0x7f, 0x01, opI32Const, 0x00, opEnd, 0x7f, 0x01, opI32Const, 0x00, opEnd, 0x7f, 0x01, opI32Const, 0x00, opEnd}

// sections yields what a module is made of, as far as it is whole.
func sections(module []byte) func(yield func(byte, []byte) bool) {
	return func(yield func(byte, []byte) bool) {
		for rest := module[8:]; len(rest) > 0; {
			size, n := binary.Uvarint(rest[1:])
			if n <= 0 || size > uint64(len(rest)-1-n) || !yield(rest[0], rest[1+n:1+n+int(size)]) {
				return
			}
			rest = rest[1+n+int(size):]
		}
	}
}

func section(out []byte, id byte, body []byte) []byte {
	return append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
}

// grown is a list with more entries at its end.
func grown(list []byte, more uint64, entries []byte) []byte {
	r := &reader{b: list}
	out := binary.AppendUvarint(nil, r.num()+more)
	return append(append(out, r.b...), entries...)
}

// exports adds the variable, and the start function if there is one.
func (s *stopper) exports(list, start []byte) []byte {
	more, entries := uint64(1), exportEntry(stopExport, 3, binary.AppendUvarint(nil, s.counter+1))
	if s.starts {
		more, entries = 2, append(entries, exportEntry(startExport, 0, start)...)
	}
	return grown(list, more, entries)
}

func exportEntry(name string, kind byte, index []byte) []byte {
	out := append(binary.AppendUvarint(nil, uint64(len(name))), name...)
	return append(append(out, kind), index...)
}

// imports counts what is imported.
func (s *stopper) imports(r *reader) {
	for range r.count(maxEntries) {
		r.skip(r.num())
		r.skip(r.num())
		switch r.byte() {
		case 0:
			r.num()
			s.pause++
		case 1:
			r.operands(kindOf)
			r.limits()
		case 2:
			r.limits()
			s.memories++
		case 3:
			r.value()
			r.skip(1)
			s.counter++
		default:
			r.bad = true
		}
		if r.bad {
			return
		}
	}
}

// limits skips those of a table or a memory.
func (r *reader) limits() {
	flag := r.byte()
	r.num()
	if flag&1 != 0 {
		r.num()
	}
	r.bad = r.bad || flag > 1
}

// code adds the checks to all functions.
func (s *stopper) code(list []byte) ([]byte, error) {
	r := &reader{b: list}
	count := r.num()
	out := binary.AppendUvarint(nil, count+1)
	for range count {
		size := r.num()
		if r.bad || size > uint64(len(r.b)) {
			return nil, errOdd
		}
		body, err := s.function(r.b[:size])
		if err != nil {
			return nil, err
		}
		out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
		r.b = r.b[size:]
	}
	if r.bad || len(r.b) > 0 {
		return nil, errOdd
	}
	last := s.paused()
	return append(binary.AppendUvarint(out, uint64(len(last))), last...), nil
}

// function adds the checks to the body of one.
func (s *stopper) function(body []byte) ([]byte, error) {
	r := &reader{b: body}
	if err := s.variables(r); err != nil {
		return nil, err
	}
	from := len(body) - len(r.b)
	out := append(make([]byte, 0, len(body)+len(body)/4+len(s.check)), body[:from]...)
	out = append(out, s.check...)
	checked := from
	for len(r.b) > 0 {
		at, op := len(body)-len(r.b), r.b[0]
		s.instruction(r)
		if r.bad {
			return nil, errOdd
		}
		to := len(body) - len(r.b)
		moves := op == opMore && moving(body[at+1:])
		if moves {
			out = append(append(out, body[from:at]...), s.weigh...)
			from = at
		}
		if len(r.b) > 0 && (moves || op == opLoop || to-checked >= stretch) {
			out = append(append(out, body[from:to]...), s.check...)
			from, checked = to, to
		}
	}
	return append(out, body[from:]...), nil
}

// variables skips the kinds of local variables.
func (s *stopper) variables(r *reader) error {
	sum := uint64(0)
	for range r.count(maxLocals) {
		sum += r.num()
		r.value()
		if r.bad {
			return errOdd
		}
	}
	if s.locals += sum; r.many || sum > maxLocals || s.locals > maxAllLocals {
		return errTooMany
	}
	if r.bad {
		return errOdd
	}
	return nil
}
