package cluster

import (
	"fmt"

	"github.com/pfs-project/pfs/vfs"
)

// The bounds of one request of raft.
const (
	maxText     = 2 * vfs.MaxEntry // bytes of one field; an entry of the log is the longest
	maxElements = 1024             // of one array
	maxKeys     = 64               // of one map
	maxNesting  = 8

	lastRequest    = 4 // the kinds of requests are counted from 0, in the first byte
	requestInstall = 2 // is followed by the content of a snapshot
)

// grammar reads requests of raft before raft's transport does, and bounds what
// they make it do: that takes any length at its word, and much more memory than
// it has read. A request is a byte for its kind and one value in MessagePack.
type grammar struct {
	begun  bool
	kind   byte     // of the request at hand
	open   []uint64 // values that each open array or map still lacks
	skip   uint64   // bytes that the value at hand still lacks
	digits int      // bytes that its length still lacks
	length uint64
	form   form
}

// form is what a length is of.
type form byte

const (
	text form = iota
	extension
	array
	keyed
)

// scan reads b, at most to the end of a request, and returns how much of b it
// has read.
func (g *grammar) scan(b []byte) (n int, whole bool, err error) {
	for n < len(b) && !whole && err == nil {
		switch {
		case g.skip > 0:
			k := min(g.skip, uint64(len(b)-n))
			g.skip -= k
			n += int(k)
			whole = g.skip == 0 && g.value()
			continue
		case g.digits > 0:
			g.length = g.length<<8 | uint64(b[n])
			if g.digits--; g.digits == 0 {
				whole, err = g.enter(g.form, g.length)
			}
		case !g.begun:
			if g.begun, g.kind = true, b[n]; g.kind > lastRequest {
				err = fmt.Errorf("request %d is not known", g.kind)
			}
		default:
			whole, err = g.lead(b[n])
		}
		n++
	}
	if whole {
		*g = grammar{kind: g.kind, open: g.open[:0]}
	}
	return n, whole, err
}

// lead reads the first byte of a value.
func (g *grammar) lead(b byte) (whole bool, err error) {
	switch {
	case b <= 0x7f, b >= 0xe0, b == 0xc0, b == 0xc2, b == 0xc3: // small numbers, nil, false, true
		return g.value(), nil
	case b <= 0x8f:
		return g.enter(keyed, uint64(b&0x0f))
	case b <= 0x9f:
		return g.enter(array, uint64(b&0x0f))
	case b <= 0xbf:
		return g.enter(text, uint64(b&0x1f))
	}
	l, ok := leads[b]
	switch {
	case !ok:
		return false, fmt.Errorf("byte %#x begins no value", b)
	case l.digits > 0:
		g.form, g.digits, g.length = l.form, l.digits, 0
		return false, nil
	}
	return g.enter(l.form, l.length)
}

// leads are the first bytes of values with a length, or of one.
var leads = map[byte]struct {
	form   form
	digits int
	length uint64
}{
	0xc4: {form: text, digits: 1}, 0xc5: {form: text, digits: 2}, 0xc6: {form: text, digits: 4},
	0xd9: {form: text, digits: 1}, 0xda: {form: text, digits: 2}, 0xdb: {form: text, digits: 4},
	0xc7: {form: extension, digits: 1}, 0xc8: {form: extension, digits: 2}, 0xc9: {form: extension, digits: 4},
	0xca: {length: 4}, 0xcb: {length: 8},
	0xcc: {length: 1}, 0xcd: {length: 2}, 0xce: {length: 4}, 0xcf: {length: 8},
	0xd0: {length: 1}, 0xd1: {length: 2}, 0xd2: {length: 4}, 0xd3: {length: 8},
	0xd4: {form: extension, length: 1}, 0xd5: {form: extension, length: 2}, 0xd6: {form: extension, length: 4},
	0xd7: {form: extension, length: 8}, 0xd8: {form: extension, length: 16},
	0xdc: {form: array, digits: 2}, 0xdd: {form: array, digits: 4},
	0xde: {form: keyed, digits: 2}, 0xdf: {form: keyed, digits: 4},
}

var mosts = [...]uint64{text: maxText, extension: maxText, array: maxElements, keyed: maxKeys}

// enter begins a value of n bytes, elements or keys.
func (g *grammar) enter(f form, n uint64) (whole bool, err error) {
	if most := mosts[f]; n > most {
		return false, fmt.Errorf("a value has length %d, and at most %d is sent", n, most)
	}
	switch f {
	case text:
		g.skip = n
	case extension:
		g.skip = n + 1 // its type
	case keyed:
		return g.nest(2 * n)
	case array:
		return g.nest(n)
	}
	return g.skip == 0 && g.value(), nil
}

func (g *grammar) nest(n uint64) (whole bool, err error) {
	switch {
	case n == 0:
		return g.value(), nil
	case len(g.open) == maxNesting:
		return false, fmt.Errorf("values are nested more than %d times", maxNesting)
	}
	g.open = append(g.open, n)
	return false, nil
}

// value ends a value, and those that it was the last of. It reports whether
// that was the request.
func (g *grammar) value() bool {
	for i := len(g.open) - 1; i >= 0; i-- {
		if g.open[i]--; g.open[i] > 0 {
			return false
		}
		g.open = g.open[:i]
	}
	return true
}
