package text

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// rev turns the characters of every line around.
func rev(ctx context.Context, c *Call, out *bufio.Writer) error {
	_, names, err := syntax{usage: 1}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	return c.eachLine(ctx, names, func(line []byte, ended bool) error {
		for end := len(line); end > 0; {
			_, size := utf8.DecodeLastRune(line[:end])
			out.Write(line[end-size : end]) // its error stays in out
			end -= size
		}
		if !ended {
			return nil
		}
		return out.WriteByte('\n')
	})
}

// tac prints the lines of each file from the last to the first.
func tac(ctx context.Context, c *Call, out *bufio.Writer) error {
	_, names, err := syntax{usage: 1}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	return c.each(ctx, names, func(_ string, r io.Reader) error {
		kept := &spool{}
		defer kept.close()
		if _, err := io.Copy(kept, r); err != nil {
			return err
		}
		return backwards(ctx, kept, out)
	})
}

// backwards prints lines from the last to the first, reading blocks from the end.
func backwards(ctx context.Context, kept *spool, out *bufio.Writer) error {
	in := kept.reader()
	var tail []byte // the start of it is the end of a line that begins earlier
	for end := kept.size; end > 0 && ctx.Err() == nil; {
		size := min(end, bufSize)
		block := make([]byte, size, int(size)+len(tail))
		if _, err := in.ReadAt(block, end-size); err != nil && err != io.EOF {
			return err
		}
		end -= size
		tail = append(block, tail...)
		for {
			i := bytes.LastIndexByte(tail[:max(len(tail)-1, 0)], '\n')
			if i < 0 {
				break
			}
			if _, err := out.Write(tail[i+1:]); err != nil {
				return err
			}
			tail = tail[:i+1]
		}
		if len(tail) > maxLine {
			return fmt.Errorf("a line is longer than %d bytes", maxLine)
		}
	}
	_, err := out.Write(tail)
	return err
}

// fold breaks lines at a width, with -s behind blanks.
func fold(ctx context.Context, c *Call, out *bufio.Writer) error {
	args := c.Args[1:]
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && digits([]byte(args[0][1:])) == len(args[0])-1 {
		args = append([]string{"-w", args[0][1:]}, args[1:]...)
	}
	opts, names, err := syntax{flags: "bsw:", usage: 1, long: map[string]string{"bytes": "b", "spaces": "s", "width": "w"}}.parse(args)
	if err != nil {
		return err
	}
	width, err := count("number of columns", last(opts, 'w', "80"), 1)
	if err != nil {
		return err
	}
	f := folding{width: width, bytes: has(opts, 'b'), spaces: has(opts, 's')}
	return c.eachLine(ctx, names, func(line []byte, ended bool) error {
		for {
			n := f.fits(line)
			if n == len(line) {
				break
			}
			put(out, line[:n]) // its error stays in out
			line = line[n:]
		}
		if _, err := out.Write(line); err != nil || !ended {
			return err
		}
		return out.WriteByte('\n')
	})
}

type folding struct {
	width         int
	bytes, spaces bool
}

// fits returns how much of a line to print on one.
func (f folding) fits(line []byte) int {
	column, behind := 0, 0
	for i, b := range line {
		next := column + 1
		switch {
		case f.bytes:
		case b == '\t':
			next = column/8*8 + 8
		case b == '\b':
			next = max(column-1, 0)
		case b == '\r':
			next = 0
		}
		if next > f.width && i > 0 {
			if f.spaces && behind > 0 {
				return behind
			}
			return i
		}
		if column = next; blank(b) {
			behind = i + 1
		}
	}
	return len(line)
}

// widest is how wide a number may be printed, in bytes: no wider is formatted.
const widest = 1_000_000

// numbering is what the flags of nl ask for.
type numbering struct {
	style    string // a, t, n
	match    *regexp.Regexp
	width    int
	step     int
	next     int
	sep      string
	format   string
	delim    string
	sections [3]string // styles of header, body, footer
	section  int
	keep     bool // -p: numbers go on behind a section
	start    int
}

var nlSyntax = syntax{flags: "b:d:f:h:i:n:ps:v:w:", usage: 1, long: map[string]string{
	"body-numbering": "b", "number-format": "n", "number-separator": "s", "starting-line-number": "v", "number-width": "w", "line-increment": "i",
}}

// nl numbers lines.
func nl(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := nlSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	n := &numbering{width: 6, step: 1, next: 1, start: 1, sep: "\t", format: "%*d", delim: `\:`, sections: [3]string{"n", "t", "n"}, section: 1}
	for _, o := range opts {
		if err := n.set(o); err != nil {
			return err
		}
	}
	if err := n.use(n.sections[1]); err != nil {
		return err
	}
	return c.eachLine(ctx, names, func(line []byte, _ bool) error { return n.print(out, line) })
}

func (n *numbering) set(o option) (err error) {
	switch o.name {
	case 'h', 'b', 'f':
		at := strings.IndexByte("hbf", o.name)
		n.sections[at] = o.value
		return n.use(o.value)
	case 'd':
		if n.delim = o.value; len(o.value) == 1 {
			n.delim += ":"
		}
	case 'i':
		n.step, err = count("line number increment", o.value, -1<<31)
	case 'v':
		n.start, err = count("starting line number", o.value, -1<<31)
		n.next = n.start
	case 'w':
		if n.width, err = count("line number field width", o.value, 1); n.width > widest {
			err = fail(1, "invalid line number field width: '%s': the widest is %d", o.value, widest)
		}
	case 'p':
		n.keep = true
	case 's':
		n.sep = o.value
	case 'n':
		form, ok := map[string]string{"ln": "%-*d", "rn": "%*d", "rz": "%0*d"}[o.value]
		if !ok {
			return fail(1, "invalid line numbering format: '%s'", o.value)
		}
		n.format = form
	}
	return err
}

// use takes a style: a, t, n or pREGEX.
func (n *numbering) use(style string) (err error) {
	n.style = style
	switch {
	case style == "a", style == "t", style == "n":
	case strings.HasPrefix(style, "p"):
		n.match, err = dialect{}.compile(style[1:])
	default:
		err = fail(1, "invalid numbering style: '%s'", style)
	}
	return err
}

func (n *numbering) print(out *bufio.Writer, line []byte) error {
	for i := range 3 {
		if n.delim != "" && string(line) == strings.Repeat(n.delim, 3-i) {
			n.section = i
			if !n.keep {
				n.next = n.start
			}
			if err := n.use(n.sections[i]); err != nil {
				return err
			}
			return out.WriteByte('\n')
		}
	}
	if n.style == "a" || n.style == "t" && len(line) > 0 || n.style[0] == 'p' && n.match.Match(line) {
		fmt.Fprintf(out, n.format, n.width, n.next) // its error stays in out
		out.WriteString(n.sep)
		n.next += n.step
	} else {
		out.WriteString(strings.Repeat(" ", n.width+len(n.sep)))
	}
	return put(out, line)
}
