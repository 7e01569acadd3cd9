package text

import (
	"bufio"
	"context"
	"io"
	"strings"
)

var trSyntax = syntax{flags: "cCdst", first: true, usage: 1, long: map[string]string{
	"complement": "c", "delete": "d", "squeeze-repeats": "s", "truncate-set1": "t",
}}

// tr translates, deletes and squeezes bytes.
func tr(_ context.Context, c *Call, out *bufio.Writer) error {
	opts, sets, err := trSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	t, err := newTranslation(opts, sets)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(c.Stdin, bufSize)
	last := -1
	for {
		b, err := in.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if t.drop[b] {
			continue
		}
		b = t.to[b]
		if t.squeeze[b] && last == int(b) {
			continue
		}
		last = int(b)
		if err := out.WriteByte(b); err != nil {
			return err
		}
	}
}

// translation is what tr does with each byte, and with repeated ones of its output.
type translation struct {
	to            [256]byte
	drop, squeeze [256]bool
}

func newTranslation(opts []option, args []string) (*translation, error) {
	complement := has(opts, 'c') || has(opts, 'C')
	drop, squeeze := has(opts, 'd'), has(opts, 's')
	most := 2
	if drop && !squeeze {
		most = 1
	}
	switch {
	case len(args) == 0:
		return nil, fail(1, "missing operand")
	case len(args) > most:
		return nil, fail(1, "extra operand '%s'", args[most])
	case len(args) == 1 && drop == squeeze:
		return nil, fail(1, "missing operand after '%s'", args[0])
	}
	from, err := parseSet(args[0], -1)
	if err != nil {
		return nil, err
	}
	if complement {
		from = complementOf(from)
	}
	var to []byte
	if len(args) == 2 {
		if to, err = parseSet(args[1], len(from)); err != nil {
			return nil, err
		}
	}
	t := &translation{}
	for i := range t.to {
		t.to[i] = byte(i)
	}
	mark := from
	switch {
	case drop:
		for _, b := range from {
			t.drop[b] = true
		}
		mark = to
	case len(args) == 2:
		if len(to) == 0 {
			return nil, fail(1, "when not truncating set1, string2 must be non-empty")
		}
		t.pairs(from, to, has(opts, 't'))
		mark = to
	}
	if squeeze {
		for _, b := range mark {
			t.squeeze[b] = true
		}
	}
	return t, nil
}

// pairs translates the bytes of a set to those of another, whose last one stands
// for all that it lacks.
func (t *translation) pairs(from, to []byte, truncate bool) {
	for i, b := range from {
		switch {
		case i < len(to):
			t.to[b] = to[i]
		case !truncate:
			t.to[b] = to[len(to)-1]
		}
	}
}

func complementOf(set []byte) (out []byte) {
	var in [256]bool
	for _, b := range set {
		in[b] = true
	}
	for i, there := range in {
		if !there {
			out = append(out, byte(i))
		}
	}
	return out
}

// trClasses are the character classes, of ASCII.
func trClass(name string) (func(b byte) bool, bool) {
	lower := func(b byte) bool { return b >= 'a' && b <= 'z' }
	upper := func(b byte) bool { return b >= 'A' && b <= 'Z' }
	digit := func(b byte) bool { return b >= '0' && b <= '9' }
	alnum := func(b byte) bool { return lower(b) || upper(b) || digit(b) }
	graph := func(b byte) bool { return b > ' ' && b < 0x7f }
	is, ok := map[string]func(byte) bool{
		"alnum": alnum, "digit": digit, "lower": lower, "upper": upper, "graph": graph, "blank": blank,
		"alpha":  func(b byte) bool { return lower(b) || upper(b) },
		"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
		"print":  func(b byte) bool { return b == ' ' || graph(b) },
		"punct":  func(b byte) bool { return graph(b) && !alnum(b) },
		"space":  func(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' },
		"xdigit": func(b byte) bool { return digit(b) || b|0x20 >= 'a' && b|0x20 <= 'f' },
	}[name]
	return is, ok
}

// parseSet reads a set. fill is the length that [x*] fills up to, -1 where it may
// not stand.
func parseSet(s string, fill int) ([]byte, error) {
	var out []byte
	grow := -1 // where [x*] stands
	var grown byte
	for len(s) > 0 {
		part, rest, star, err := setPart(s, fill >= 0)
		if err != nil {
			return nil, err
		}
		if star && len(part) == 1 {
			grow, grown = len(out), part[0]
			part = nil
		}
		out, s = append(out, part...), rest
	}
	if grow >= 0 && len(out) < fill {
		middle := strings.Repeat(string([]byte{grown}), fill-len(out))
		out = append(out[:grow:grow], append([]byte(middle), out[grow:]...)...)
	}
	return out, nil
}

// setPart reads the first part of a set: a class, a range, a repeat or a byte. star
// says that the byte is to be repeated as often as needed.
func setPart(s string, second bool) (part []byte, rest string, star bool, err error) {
	if strings.HasPrefix(s, "[:") {
		if name, rest, ok := strings.Cut(s[2:], ":]"); ok {
			is, known := trClass(name)
			if !known {
				return nil, "", false, fail(1, "invalid character class '%s'", name)
			}
			for i := range 256 {
				if is(byte(i)) {
					part = append(part, byte(i))
				}
			}
			return part, rest, false, nil
		}
	}
	if strings.HasPrefix(s, "[=") && len(s) >= 5 && s[3:5] == "=]" {
		return []byte{s[2]}, s[5:], false, nil
	}
	if part, rest, star, ok := repeatPart(s); ok && second {
		return part, rest, star, nil
	}
	from, rest := setByte(s)
	if len(rest) < 2 || rest[0] != '-' {
		return []byte{from}, rest, false, nil
	}
	to, behind := setByte(rest[1:])
	if to < from {
		return nil, "", false, fail(1, "range-endpoints of '%c-%c' are in reverse collating sequence order", from, to)
	}
	for b := int(from); b <= int(to); b++ {
		part = append(part, byte(b))
	}
	return part, behind, false, nil
}

// repeatPart reads "[x*]" or "[x*12]"; digits with a 0 in front are octal.
func repeatPart(s string) (part []byte, rest string, star, ok bool) {
	if len(s) < 4 || s[0] != '[' {
		return nil, "", false, false
	}
	b, after := setByte(s[1:])
	if !strings.HasPrefix(after, "*") {
		return nil, "", false, false
	}
	number, rest, closed := strings.Cut(after[1:], "]")
	n := 0
	unit := 10
	if strings.HasPrefix(number, "0") {
		unit = 8
	}
	for _, d := range []byte(number) {
		if d < '0' || d > '9' {
			return nil, "", false, false
		}
		n = min(n*unit+int(d-'0'), 1<<16)
	}
	if n == 0 {
		return []byte{b}, rest, true, closed
	}
	return []byte(strings.Repeat(string([]byte{b}), n)), rest, false, closed
}

// setByte reads one byte, which may be escaped.
func setByte(s string) (byte, string) {
	if s[0] != '\\' || len(s) == 1 {
		return s[0], s[1:]
	}
	if i := strings.IndexByte("abfnrtv", s[1]); i >= 0 {
		return "\a\b\f\n\r\t\v"[i], s[2:]
	}
	n, i := 0, 1
	for i < len(s) && i < 4 && s[i] >= '0' && s[i] <= '7' && n*8+int(s[i]-'0') < 256 {
		n, i = n*8+int(s[i]-'0'), i+1
	}
	if i > 1 {
		return byte(n), s[i:]
	}
	return s[1], s[2:]
}
