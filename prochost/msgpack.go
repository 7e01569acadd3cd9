package prochost

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// What one message may be. All of it is checked before memory is taken for it.
const (
	maxMessage = 16 << 20 // bytes
	maxDepth   = 32       // of lists and maps in each other
	maxEntries = 100_000  // of one list or map
	maxValues  = 1 << 20  // in all
)

// field is one entry of a map that is sent, in the order in which it is sent.
type field struct {
	key   string
	value any
}

// appendValue encodes what the host sends: nil, bool, int, int64, uint32, string,
// []byte and []field.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 0xc0)
	case bool:
		if v {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case int:
		return appendInt(b, int64(v))
	case int64:
		return appendInt(b, v)
	case uint32:
		return appendInt(b, int64(v))
	case string:
		return append(appendLen(b, len(v), 0xa0, 31, 0xd9), v...)
	case []byte:
		return append(appendLen(b, len(v), 0, -1, 0xc4), v...)
	case []field:
		b = appendLen(b, len(v), 0x80, 15, 0xde-1)
		for _, f := range v {
			b = appendValue(appendValue(b, f.key), f.value)
		}
		return b
	}
	panic(fmt.Sprintf("prochost: %T is not sent", v))
}

// appendLen writes a header: fix|n up to most, and wide, wide+1, wide+2 for one,
// two and four bytes of length. Maps have no form with one byte.
func appendLen(b []byte, n int, fix byte, most int, wide byte) []byte {
	switch {
	case n <= most:
		return append(b, fix|byte(n))
	case n <= math.MaxUint8 && fix != 0x80:
		return append(b, wide, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, wide+1), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, wide+2), uint32(n))
}

func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n <= 127:
		return append(b, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}

// errFrame is a message that is none; what follows it cannot be read any more.
var errFrame = errors.New("the plugin sends what is no MessagePack message")

func badFrame(why string) error { return fmt.Errorf("%w: %s", errFrame, why) }

// decoder reads messages from a stream: nil, bool, int64, uint64, float64, string,
// []byte, time.Time, []any and map[string]any. Entries of maps whose keys are no
// texts are dropped.
type decoder struct {
	r      *bufio.Reader
	bytes  int // that the message may still have
	values int
}

// message reads one; io.EOF is the end of the stream between two.
func (d *decoder) message() (any, error) {
	d.bytes, d.values = maxMessage, maxValues
	if _, err := d.r.Peek(1); err != nil {
		return nil, err
	}
	v, err := d.value(0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

// take reads n bytes. Memory grows with what has arrived.
func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(d.bytes) {
		return nil, badFrame("it is too long")
	}
	d.bytes -= int(n)
	b := make([]byte, min(int(n), 64<<10))
	for at := 0; ; {
		if _, err := io.ReadFull(d.r, b[at:]); err != nil {
			return nil, err
		}
		if at = len(b); at == int(n) {
			return b, nil
		}
		b = append(b, make([]byte, min(int(n)-at, at))...)
	}
}

// num reads an unsigned number of n bytes.
func (d *decoder) num(n int) (v uint64, err error) {
	if n > d.bytes {
		return 0, badFrame("it is too long")
	}
	d.bytes -= n
	for range n {
		c, err := d.r.ReadByte()
		if err != nil {
			return 0, err
		}
		v = v<<8 | uint64(c)
	}
	return v, nil
}

// value reads one value.
func (d *decoder) value(depth int) (any, error) {
	if d.values--; d.values < 0 {
		return nil, badFrame("it has too many values")
	}
	if depth > maxDepth {
		return nil, badFrame("it is too deep")
	}
	head, err := d.num(1)
	if err != nil {
		return nil, err
	}
	switch c := byte(head); {
	case c < 0x80:
		return int64(c), nil
	case c < 0x90:
		return d.table(uint64(c&15), depth)
	case c < 0xa0:
		return d.list(uint64(c&15), depth)
	case c < 0xc0:
		return d.text(uint64(c & 31))
	case c >= 0xe0:
		return int64(int8(c)), nil
	case c == 0xc1:
		return nil, badFrame("it has a byte that means nothing")
	default:
		return d.long(c, depth)
	}
}

// widths are the bytes of length, or of the number, behind the heads from 0xc0.
var widths = [32]int{
	0xc4 - 0xc0: 1, 0xc5 - 0xc0: 2, 0xc6 - 0xc0: 4, // bin
	0xc7 - 0xc0: 1, 0xc8 - 0xc0: 2, 0xc9 - 0xc0: 4, // ext
	0xca - 0xc0: 4, 0xcb - 0xc0: 8, // float
	0xcc - 0xc0: 1, 0xcd - 0xc0: 2, 0xce - 0xc0: 4, 0xcf - 0xc0: 8, // uint
	0xd0 - 0xc0: 1, 0xd1 - 0xc0: 2, 0xd2 - 0xc0: 4, 0xd3 - 0xc0: 8, // int
	0xd9 - 0xc0: 1, 0xda - 0xc0: 2, 0xdb - 0xc0: 4, // str
	0xdc - 0xc0: 2, 0xdd - 0xc0: 4, 0xde - 0xc0: 2, 0xdf - 0xc0: 4, // array, map
}

// long reads a value with a head of its own.
func (d *decoder) long(c byte, depth int) (any, error) {
	width := widths[c-0xc0]
	n, err := d.num(width)
	if err != nil {
		return nil, err
	}
	switch {
	case c == 0xc0:
		return nil, nil
	case c <= 0xc3:
		return c == 0xc3, nil
	case c <= 0xc6:
		return d.take(n)
	case c <= 0xc9:
		return d.ext(n)
	case c == 0xca:
		return float64(math.Float32frombits(uint32(n))), nil
	case c == 0xcb:
		return math.Float64frombits(n), nil
	case c <= 0xcf:
		return n, nil
	case c <= 0xd3:
		return int64(n) << (64 - 8*width) >> (64 - 8*width), nil
	default:
		return d.longer(c, n, depth)
	}
}

func (d *decoder) longer(c byte, n uint64, depth int) (any, error) {
	switch {
	case c <= 0xd8: // fixext 1, 2, 4, 8, 16
		return d.ext(1 << (c - 0xd4))
	case c <= 0xdb:
		return d.text(n)
	case c <= 0xdd:
		return d.list(n, depth)
	}
	return d.table(n, depth)
}

// aShortText is how long a text may be that is looked at where it is, in bytes.
const aShortText = 1 << 10

func (d *decoder) text(n uint64) (any, error) {
	if n <= aShortText && n <= uint64(d.bytes) {
		d.bytes -= int(n)
		b, err := d.r.Peek(int(n))
		if err != nil {
			return nil, err
		}
		s := string(b)
		_, err = d.r.Discard(int(n))
		return s, err
	}
	b, err := d.take(n)
	return string(b), err
}

func (d *decoder) list(n uint64, depth int) (any, error) {
	if n > maxEntries {
		return nil, badFrame("a list is too long")
	}
	out := make([]any, 0, min(n, 64))
	for range n {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (d *decoder) table(n uint64, depth int) (any, error) {
	if n > maxEntries {
		return nil, badFrame("a map is too long")
	}
	out := make(map[string]any, min(n, 16))
	for range n {
		k, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if key, ok := k.(string); ok {
			out[key] = v
		}
	}
	return out, nil
}

// ext reads a value with a type: a time, or one that nobody here knows, which is
// nil.
func (d *decoder) ext(n uint64) (any, error) {
	kind, err := d.num(1)
	if err != nil {
		return nil, err
	}
	b, err := d.take(n)
	if err != nil || int8(kind) != -1 {
		return nil, err
	}
	switch len(b) {
	case 4:
		return time.Unix(int64(binary.BigEndian.Uint32(b)), 0).UTC(), nil
	case 8:
		v := binary.BigEndian.Uint64(b)
		return time.Unix(int64(v&(1<<34-1)), int64(v>>34)).UTC(), nil
	case 12:
		return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint32(b))).UTC(), nil
	}
	return nil, badFrame("a time of an unknown length")
}

// whole returns a number of any width, if it is one and fits.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}
