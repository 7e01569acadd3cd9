package text

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// sortOrder is how keys are compared.
type sortOrder struct {
	blank, dictionary, fold, printing, reverse bool
	kind                                       byte // n, g, h, V; 0 for bytes
}

// set takes an ordering flag; false if it is none.
func (o *sortOrder) set(flag byte) bool {
	switch flag {
	case 'b':
		o.blank = true
	case 'd':
		o.dictionary = true
	case 'f':
		o.fold = true
	case 'i':
		o.printing = true
	case 'r':
		o.reverse = true
	case 'n', 'g', 'h', 'V':
		o.kind = flag
	default:
		return false
	}
	return true
}

// sortKey is a -k: from a byte of a field to a byte of a field.
type sortKey struct {
	field, char       int // from 0
	endField, endChar int // endField is -1 for the end of the line; endChar 0 for all of the field before it
	blankEnd          bool
	order             sortOrder
}

// parseKey reads F[.C][OPTS][,F[.C][OPTS]].
func parseKey(def string) (sortKey, error) {
	k := sortKey{endField: -1}
	from, to, both := strings.Cut(def, ",")
	var err error
	if k.field, k.char, err = k.position(def, from, false); err != nil {
		return k, err
	}
	k.field, k.char = k.field-1, max(k.char-1, 0)
	if !both {
		return k, nil
	}
	if k.endField, k.endChar, err = k.position(def, to, true); err != nil {
		return k, err
	}
	if k.endChar > 0 {
		k.endField--
	}
	return k, nil
}

// position reads F[.C][OPTS].
func (k *sortKey) position(def, s string, end bool) (field, char int, err error) {
	place := strings.TrimRight(s, "bdfghinrV")
	for _, flag := range []byte(s[len(place):]) {
		if flag == 'b' && end {
			k.blankEnd = true
		} else {
			k.order.set(flag)
		}
	}
	f, c, dotted := strings.Cut(place, ".")
	field, err = strconv.Atoi(f)
	if err == nil && dotted {
		char, err = strconv.Atoi(c)
	}
	if err != nil || field < 1 || char < 0 || dotted && !end && char < 1 {
		return 0, 0, fmt.Errorf("invalid field specification '%s'", def)
	}
	return field, char, nil
}

func blank(b byte) bool { return b == ' ' || b == '\t' }

// skip returns where in line so many fields from its start end; with a separator,
// behind it if past is set.
func skip(line []byte, fields, tab int, past bool) int {
	at := 0
	for ; fields > 0 && at < len(line); fields-- {
		if tab >= 0 {
			n := bytes.IndexByte(line[at:], byte(tab))
			if n < 0 {
				return len(line)
			}
			if at += n; past || fields > 1 {
				at++
			}
			continue
		}
		for at < len(line) && blank(line[at]) {
			at++
		}
		for at < len(line) && !blank(line[at]) {
			at++
		}
	}
	return at
}

// of returns the key in a line.
func (k *sortKey) of(line []byte, tab int) []byte {
	start := skip(line, k.field, tab, true)
	if k.order.blank {
		for start < len(line) && blank(line[start]) {
			start++
		}
	}
	start = min(start+k.char, len(line))
	end := len(line)
	if k.endField >= 0 {
		end = skip(line, k.endField, tab, k.endChar > 0)
		if k.endChar > 0 {
			for k.blankEnd && end < len(line) && blank(line[end]) {
				end++
			}
			end = min(end+k.endChar, len(line))
		}
	}
	return line[start:max(start, end)]
}

func (k *sortKey) compare(a, b []byte, tab int) int {
	n := k.order.compare(k.of(a, tab), k.of(b, tab))
	if k.order.reverse {
		return -n
	}
	return n
}

func (o *sortOrder) compare(a, b []byte) int {
	switch o.kind {
	case 'n':
		return compareNumbers(a, b)
	case 'h':
		return compareSizes(a, b)
	case 'g':
		x, okX := general(a)
		y, okY := general(b)
		if !okX || !okY {
			return cmp.Compare(truth(okX), truth(okY))
		}
		return cmp.Compare(x, y)
	case 'V':
		return compareVersions(a, b)
	}
	if o.fold || o.dictionary || o.printing {
		a, b = o.translate(a), o.translate(b)
	}
	return bytes.Compare(a, b)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// translate drops what is not compared, and makes letters capitals under -f.
func (o *sortOrder) translate(key []byte) []byte {
	out := make([]byte, 0, len(key))
	for _, b := range key {
		alnum := b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
		if o.dictionary && !alnum && !blank(b) || o.printing && (b < ' ' || b > '~') {
			continue
		}
		if o.fold && b >= 'a' && b <= 'z' {
			b -= 'a' - 'A'
		}
		out = append(out, b)
	}
	return out
}

// general reads the floating-point number that a key starts with.
func general(key []byte) (float64, bool) {
	s := strings.TrimLeft(string(key), " \t")
	for end := min(len(s), 64); end > 0; end-- {
		if x, err := strconv.ParseFloat(s[:end], 64); err == nil || x != 0 {
			return x, true
		}
	}
	return 0, false
}

// decimal is a number as -n reads it: no exponents, any length.
type decimal struct {
	negative       bool
	whole, decimal []byte // digits without zeros at the outer ends
	rest           []byte
}

func parseDecimal(s []byte) (d decimal) {
	s = bytes.TrimLeft(s, " \t")
	if len(s) > 0 && s[0] == '-' {
		d.negative, s = true, s[1:]
	}
	n := digits(s)
	d.whole, s = bytes.TrimLeft(s[:n], "0"), s[n:]
	if len(s) > 0 && s[0] == '.' {
		n = digits(s[1:])
		d.decimal, s = bytes.TrimRight(s[1:1+n], "0"), s[1+n:]
	}
	if d.rest = s; len(d.whole) == 0 && len(d.decimal) == 0 {
		d.negative = false
	}
	return d
}

func digits(s []byte) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func (d decimal) compare(e decimal) int {
	if d.negative != e.negative {
		return truth(e.negative) - truth(d.negative)
	}
	n := cmp.Compare(len(d.whole), len(e.whole))
	if n == 0 {
		n = bytes.Compare(d.whole, e.whole)
	}
	if n == 0 {
		n = bytes.Compare(d.decimal, e.decimal)
	}
	if d.negative {
		return -n
	}
	return n
}

func compareNumbers(a, b []byte) int { return parseDecimal(a).compare(parseDecimal(b)) }

// compareSizes compares numbers with suffixes, as 2K: sign, then suffix, then number.
func compareSizes(a, b []byte) int {
	x, y := parseDecimal(a), parseDecimal(b)
	if n := cmp.Compare(x.unit(), y.unit()); n != 0 {
		return n
	}
	return x.compare(y)
}

// unit is the suffix's place, negative for negative numbers, 0 for none or zero.
func (d decimal) unit() int {
	if len(d.whole) == 0 && len(d.decimal) == 0 || len(d.rest) == 0 {
		return 0
	}
	n := strings.IndexByte(" KMGTPEZY", d.rest[0])
	if d.rest[0] == 'k' {
		n = 1
	}
	if n < 0 {
		n = 0
	}
	if d.negative {
		return -n
	}
	return n
}

// compareVersions compares runs of digits as numbers and all else as bytes.
func compareVersions(a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 {
			if n := compareNumbers(a[:i], b[:j]); n != 0 {
				return n
			}
			a, b = a[i:], b[j:]
			continue
		}
		if a[0] != b[0] {
			return versionRank(a[0]) - versionRank(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// versionRank puts "~" first and letters before other signs.
func versionRank(b byte) int {
	switch {
	case b == '~':
		return -1
	case b >= '0' && b <= '9':
		return 0
	case b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z':
		return int(b)
	}
	return int(b) + 256
}
