package text

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// awkValue is a value of awk: a number, a string, or a string from outside that
// counts as a number if it looks like one.
type awkValue struct {
	kind awkKind
	n    float64
	s    string
}

type awkKind byte

const (
	awkNothing awkKind = iota // never set: "" and 0
	awkNumber
	awkString
	awkInput // a string that may look like a number
)

func number(n float64) awkValue   { return awkValue{kind: awkNumber, n: n} }
func text(s string) awkValue      { return awkValue{kind: awkString, s: s} }
func fromInput(s string) awkValue { return awkValue{kind: awkInput, s: s} }
func logical(yes bool) awkValue   { return number(float64(truth(yes))) }
func (v awkValue) isNumber() bool { return v.kind == awkNumber || v.kind == awkInput && numeric(v.s) }
func (v awkValue) isString() bool { return v.kind == awkString || v.kind == awkInput && !numeric(v.s) }

// numeric reports whether all of a string is a number, blanks aside.
func numeric(s string) bool {
	s = strings.Trim(s, " \t\n\r\f\v")
	return s != "" && numberPrefix(s) == len(s)
}

// numberPrefix returns the length of the decimal number that s starts with.
func numberPrefix(s string) int {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	whole := digits([]byte(s[i:]))
	i += whole
	part := 0
	if i < len(s) && s[i] == '.' {
		part = digits([]byte(s[i+1:]))
		i += 1 + part
	}
	if whole+part == 0 {
		return 0
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if e := digits([]byte(s[j:])); e > 0 {
			i = j + e
		}
	}
	return i
}

func (v awkValue) num() float64 {
	if v.kind == awkNumber || v.kind == awkNothing {
		return v.n
	}
	s := strings.TrimLeft(v.s, " \t\n\r\f\v")
	n := numberPrefix(s)
	x, err := strconv.ParseFloat(s[:n], 64)
	if err != nil && !math.IsInf(x, 0) {
		return 0
	}
	return x
}

// str is the value as a string; format is CONVFMT or OFMT.
func (v awkValue) str(format string) string {
	switch {
	case v.kind != awkNumber:
		return v.s
	case v.n == math.Trunc(v.n) && math.Abs(v.n) < 1e16:
		return strconv.FormatInt(int64(v.n), 10)
	case v.n == math.Trunc(v.n) && !math.IsInf(v.n, 0):
		return strconv.FormatFloat(v.n, 'f', 0, 64)
	}
	return awkFormat(format, []awkValue{v}, format)
}

func (v awkValue) truth() bool {
	if v.isNumber() {
		return v.num() != 0
	}
	return v.s != ""
}

// compareValues orders numbers as numbers, and all else as strings.
func compareValues(a, b awkValue, format string) int {
	if !(a.isString() || b.isString()) {
		x, y := a.num(), b.num()
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return strings.Compare(a.str(format), b.str(format))
}

// awkSlot is a variable: a value, or an array. A parameter that was given no array
// becomes one with the variable it was given, of.
type awkSlot struct {
	v   awkValue
	arr map[string]awkValue
	of  *awkSlot
}

func (s *awkSlot) array() map[string]awkValue {
	if s.arr == nil {
		if s.of != nil {
			s.arr = s.of.array()
		} else {
			s.arr = map[string]awkValue{}
		}
	}
	return s.arr
}

// awkKeys are the keys of an array: numbers in their order, then the rest.
func awkKeys(m map[string]awkValue) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		x, errX := strconv.Atoi(a)
		y, errY := strconv.Atoi(b)
		switch {
		case errX == nil && errY == nil:
			return x - y
		case errX == nil:
			return -1
		case errY == nil:
			return 1
		}
		return strings.Compare(a, b)
	})
	return keys
}

// awkFormat is sprintf. convert is CONVFMT.
func awkFormat(format string, args []awkValue, convert string) string {
	var b strings.Builder
	next := func() (v awkValue) {
		if len(args) > 0 {
			v, args = args[0], args[1:]
		}
		return v
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		start := i
		spec := "%"
		for i++; i < len(format) && strings.IndexByte("-+ #0123456789.*", format[i]) >= 0; i++ {
			if format[i] == '*' {
				spec += strconv.Itoa(int(next().num()))
			} else {
				spec += format[i : i+1]
			}
		}
		for i < len(format) && strings.IndexByte("hlLqjzt", format[i]) >= 0 {
			i++
		}
		switch {
		case i >= len(format):
			b.WriteString(format[start:])
		case format[i] == '%':
			b.WriteByte('%')
		case strings.IndexByte("diouxXcsaAeEfFgG", format[i]) < 0:
			b.WriteString(format[start : i+1])
		case tooWide(spec):
			panic(awkError{fail(exitUsage, "%s%c: width and precision are %d at the most", spec, format[i], widest)})
		default:
			b.WriteString(directive(spec, format[i], next(), convert))
		}
	}
	return b.String()
}

// tooWide reports whether a width or a precision of a directive is over widest.
func tooWide(spec string) bool {
	for n := range strings.FieldsFuncSeq(spec, func(r rune) bool { return r < '0' || r > '9' }) {
		if v, err := strconv.Atoi(n); err != nil || v > widest {
			return true
		}
	}
	return false
}

// directive formats one value.
func directive(spec string, verb byte, v awkValue, convert string) string {
	switch verb {
	case 's':
		return fmt.Sprintf(spec+"s", v.str(convert))
	case 'c':
		s := v.str(convert)
		if v.kind == awkNumber {
			s = string(rune(v.n))
		} else if _, size := utf8.DecodeRuneInString(s); size > 0 {
			s = s[:size]
		}
		return fmt.Sprintf(spec+"s", s)
	}
	x := v.num()
	switch {
	case math.IsInf(x, 0) || math.IsNaN(x):
		return fmt.Sprintf(strings.ReplaceAll(spec, "0", "")+"s", map[bool]string{true: "-"}[math.Signbit(x)]+map[bool]string{true: "nan", false: "inf"}[math.IsNaN(x)])
	case strings.IndexByte("aAeEfFgG", verb) >= 0:
		if !strings.Contains(spec, ".") {
			spec += ".6"
		}
		return fmt.Sprintf(spec+string(verb), x)
	case verb == 'i' || verb == 'u' && x < 0:
		verb = 'd'
	case verb == 'u':
		return wholeNumber(spec, 'd', uint64(min(x, 1<<63)))
	}
	if verb != 'd' && x >= 0 {
		return wholeNumber(spec, verb, uint64(min(x, 1<<63)))
	}
	if math.Abs(x) >= 1<<63 {
		return fmt.Sprintf("%.0f", math.Trunc(x))
	}
	return wholeNumber(spec, verb, int64(x))
}

// wholeNumber formats with a precision as C does: as many digits, and no zeros of
// the flag 0.
func wholeNumber(spec string, verb byte, n any) string {
	flags, precision, dotted := strings.Cut(spec, ".")
	if !dotted {
		return fmt.Sprintf(spec+string(verb), n)
	}
	p, _ := strconv.Atoi(precision)
	p = min(p, widest)
	s := fmt.Sprintf("%"+string(verb), n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	} else if strings.Contains(flags, "+") {
		sign = "+"
	}
	s = sign + strings.Repeat("0", max(p-len(s), 0)) + s
	left := strings.Contains(flags, "-")
	width, _ := strconv.Atoi(strings.TrimLeft(flags, "%-+ #0"))
	if width = min(width, widest); left {
		width = -width
	}
	return fmt.Sprintf("%*s", width, s)
}
