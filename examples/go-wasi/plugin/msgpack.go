package plugin

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"
)

// pack appends a value as MessagePack.
func pack(out []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(out, 0xc0)
	case bool:
		if v {
			return append(out, 0xc3)
		}
		return append(out, 0xc2)
	case int:
		return pack(out, int64(v))
	case int64:
		if v >= 0 && v < 128 {
			return append(out, byte(v))
		}
		return binary.BigEndian.AppendUint64(append(out, 0xd3), uint64(v))
	case string:
		return append(binary.BigEndian.AppendUint32(append(out, 0xdb), uint32(len(v))), v...)
	case []byte:
		return append(binary.BigEndian.AppendUint32(append(out, 0xc6), uint32(len(v))), v...)
	case time.Time:
		out = binary.BigEndian.AppendUint32(append(out, 0xc7, 12, 0xff), uint32(v.Nanosecond()))
		return binary.BigEndian.AppendUint64(out, uint64(v.Unix()))
	case []any:
		out = binary.BigEndian.AppendUint32(append(out, 0xdd), uint32(len(v)))
		for _, e := range v {
			out = pack(out, e)
		}
		return out
	case map[string]any:
		out = binary.BigEndian.AppendUint32(append(out, 0xdf), uint32(len(v)))
		for k, e := range v {
			out = pack(pack(out, k), e)
		}
		return out
	}
	panic(fmt.Sprintf("a %T cannot be sent", v))
}

// number reads n bytes as a number.
func number(r *bufio.Reader, n int) (v uint64, err error) {
	for range n {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		v = v<<8 | uint64(b)
	}
	return v, nil
}

// unpack reads one value: numbers are int64 or float64, maps have texts for keys.
func unpack(r *bufio.Reader) (any, error) {
	head, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	switch {
	case head < 0x80:
		return int64(head), nil
	case head < 0x90:
		return unpackMap(r, uint64(head&15))
	case head < 0xa0:
		return unpackList(r, uint64(head&15))
	case head < 0xc0:
		b, err := unpackBytes(r, uint64(head&31))
		return string(b), err
	case head >= 0xe0:
		return int64(int8(head)), nil
	case head >= 0xd4 && head <= 0xd8: // a type that the server does not send
		_, err := unpackBytes(r, 1+1<<(head-0xd4))
		return nil, err
	}
	return unpackLong(r, head)
}

// unpackLong reads what has its length, or its number, behind the first byte.
func unpackLong(r *bufio.Reader, head byte) (any, error) {
	switch head {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return head == 0xc3, nil
	case 0xca:
		n, err := number(r, 4)
		return float64(math.Float32frombits(uint32(n))), err
	case 0xcb:
		n, err := number(r, 8)
		return math.Float64frombits(n), err
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, err := number(r, 1<<(head-0xcc))
		return int64(n), err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		bytes := 1 << (head - 0xd0)
		n, err := number(r, bytes)
		unused := 64 - 8*bytes
		return int64(n<<unused) >> unused, err
	}
	n, err := uint64(0), error(nil)
	switch head {
	case 0xc4, 0xc7, 0xd9:
		n, err = number(r, 1)
	case 0xc5, 0xc8, 0xda, 0xdc, 0xde:
		n, err = number(r, 2)
	case 0xc6, 0xc9, 0xdb, 0xdd, 0xdf:
		n, err = number(r, 4)
	default:
		return nil, fmt.Errorf("byte %#x means nothing", head)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case head <= 0xc6:
		return unpackBytes(r, n)
	case head <= 0xc9:
		_, err := unpackBytes(r, n+1)
		return nil, err
	case head <= 0xdb:
		b, err := unpackBytes(r, n)
		return string(b), err
	case head <= 0xdd:
		return unpackList(r, n)
	}
	return unpackMap(r, n)
}

func unpackBytes(r io.Reader, n uint64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func unpackList(r *bufio.Reader, n uint64) (any, error) {
	var out []any
	for range n {
		v, err := unpack(r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func unpackMap(r *bufio.Reader, n uint64) (any, error) {
	out := map[string]any{}
	for range n {
		k, err := unpack(r)
		if err != nil {
			return nil, err
		}
		v, err := unpack(r)
		if err != nil {
			return nil, err
		}
		if name, ok := k.(string); ok {
			out[name] = v
		}
	}
	return out, nil
}
