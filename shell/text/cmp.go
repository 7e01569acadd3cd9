package text

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// cmpTool is cmp: whether two files are the same, and where they differ first; -l
// tells all differing bytes, -s nothing.
func cmpTool(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := syntax{flags: "ln:s", long: map[string]string{"silent": "s", "quiet": "s", "verbose": "l", "bytes": "n"}}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	most := -1
	if has(opts, 'n') {
		if most, err = count("--bytes value", last(opts, 'n', ""), 0); err != nil {
			return fail(exitUsage, "%s", err)
		}
	}
	switch len(names) {
	case 0:
		return fail(exitUsage, "missing operand")
	case 1:
		names = append(names, "-")
	case 2:
	default:
		return fail(exitUsage, "extra operand '%s'", names[2])
	}
	var in [2]*bufio.Reader
	for i, name := range names {
		f, err := c.open(ctx, name)
		if err != nil && has(opts, 's') {
			return status(exitUsage)
		}
		if err != nil {
			return fail(exitUsage, "%s", err)
		}
		defer f.Close()
		var r io.Reader = f
		if most >= 0 {
			r = io.LimitReader(f, int64(most))
		}
		in[i] = bufio.NewReaderSize(r, bufSize)
	}
	d := &difference{c: c, out: out, names: names, all: has(opts, 'l'), silent: has(opts, 's')}
	return d.find(in[0], in[1])
}

// difference compares two files.
type difference struct {
	c           *Call
	out         *bufio.Writer
	names       []string
	all, silent bool
}

func (d *difference) find(a, b io.ByteReader) error {
	line, differs := 1, false
	for at := 1; ; at++ {
		x, errX := a.ReadByte()
		y, errY := b.ReadByte()
		switch {
		case errX == io.EOF && errY == io.EOF:
			if differs {
				return status(1)
			}
			return nil
		case errX != nil && errX != io.EOF:
			return fail(exitUsage, "%s", errX)
		case errY != nil && errY != io.EOF:
			return fail(exitUsage, "%s", errY)
		case errX != nil:
			return d.ends(d.names[0], at-1)
		case errY != nil:
			return d.ends(d.names[1], at-1)
		case x != y && d.silent:
			return status(1)
		case x != y && !d.all:
			fmt.Fprintf(d.out, "%s differ: byte %d, line %d\n", strings.Join(d.names, " "), at, line)
			return status(1)
		}
		if x != y {
			differs = true
			if _, err := fmt.Fprintf(d.out, "%d %o %o\n", at, x, y); err != nil {
				return err
			}
		}
		if x == '\n' {
			line++
		}
	}
}

func (d *difference) ends(name string, at int) error {
	if d.silent {
		return status(1)
	}
	return fail(1, "EOF on %s after byte %d", name, at)
}
