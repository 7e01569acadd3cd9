package text

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
)

// uniqueness is what the flags of uniq ask for.
type uniqueness struct {
	count, repeated, single, fold bool
	fields, chars, width          int // of what is not compared, and of what is; width -1 is all
}

var uniqSyntax = syntax{flags: "cdf:is:uw:", usage: 1, long: map[string]string{
	"count": "c", "repeated": "d", "skip-fields": "f", "ignore-case": "i", "skip-chars": "s", "unique": "u", "check-chars": "w",
}}

// uniq prints one of equal lines that follow each other.
func uniq(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := uniqSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	u := &uniqueness{count: has(opts, 'c'), repeated: has(opts, 'd'), single: has(opts, 'u'), fold: has(opts, 'i'), width: -1}
	for _, o := range opts {
		switch o.name {
		case 'f':
			u.fields, err = count("number of fields to skip", o.value, 0)
		case 's':
			u.chars, err = count("number of bytes to skip", o.value, 0)
		case 'w':
			u.width, err = count("number of bytes to compare", o.value, 0)
		}
		if err != nil {
			return err
		}
	}
	in := []string{}
	switch {
	case len(names) > 2:
		return fail(1, "extra operand '%s'", names[2])
	case len(names) > 0:
		in = names[:1]
	}
	do := func(w *bufio.Writer) error {
		return c.each(ctx, in, func(_ string, r io.Reader) error { return u.filter(newLines(r), w) })
	}
	if len(names) == 2 && names[1] != "-" {
		return c.write(ctx, names[1], false, do)
	}
	return do(out)
}

func (u *uniqueness) filter(l *lines, out *bufio.Writer) error {
	var last []byte
	n := 0
	err := l.all(func(line []byte) error {
		if n > 0 && u.same(last, line) {
			n++
			return nil
		}
		err := u.print(out, last, n)
		last, n = append(last[:0], line...), 1
		return err
	})
	if err != nil {
		return err
	}
	return u.print(out, last, n)
}

func (u *uniqueness) print(out *bufio.Writer, line []byte, n int) error {
	if n == 0 || u.repeated && n == 1 || u.single && n > 1 {
		return nil
	}
	if u.count {
		fmt.Fprintf(out, "%7d ", n) // its error stays in out
	}
	return put(out, line)
}

func (u *uniqueness) same(a, b []byte) bool {
	a, b = u.compared(a), u.compared(b)
	if u.fold {
		return bytes.Equal(lowered(a), lowered(b))
	}
	return bytes.Equal(a, b)
}

func (u *uniqueness) compared(line []byte) []byte {
	line = line[skip(line, u.fields, -1, false):]
	line = line[min(u.chars, len(line)):]
	if u.width >= 0 {
		line = line[:min(u.width, len(line))]
	}
	return line
}

// lowered is b with small letters, ASCII alone.
func lowered(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}
