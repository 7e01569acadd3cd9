package text

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds what a tool keeps of one line, in bytes.
const maxLine = 16 << 20

// lines reads a file line by line.
type lines struct {
	r      *bufio.Reader
	delim  byte
	ended  bool   // the last line that next returned had its delimiter
	long   []byte // a line that does not fit into the buffer of r
	number int    // of the last line, from 1
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, bufSize), delim: '\n'}
}

// next returns a line without its delimiter, until the next call; io.EOF behind the
// last one.
func (l *lines) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice(l.delim)
		switch {
		case err == nil && len(l.long) == 0:
			l.number, l.ended = l.number+1, true
			return part[:len(part)-1], nil
		case len(l.long)+len(part) > maxLine:
			return nil, fmt.Errorf("line %d is longer than %d bytes", l.number+1, maxLine)
		}
		l.long = append(l.long, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(l.long) == 0, err != nil && err != io.EOF:
			return nil, err
		}
		l.number, l.ended = l.number+1, err == nil
		if l.ended {
			l.long = l.long[:len(l.long)-1]
		}
		return l.long, nil
	}
}

// open opens an operand: "-" is standard input.
func (c *Call) open(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" || name == "/dev/stdin" {
		return io.NopCloser(c.Stdin), nil
	}
	f, err := c.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, reason(err))
	}
	return &file{ReadCloser: f, ctx: ctx, name: name}, nil
}

// file is one that was opened: it ends with its context, and its errors name it.
type file struct {
	io.ReadCloser
	ctx  context.Context
	name string
}

// Read reads.
func (f *file) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", f.name, reason(err))
	}
	return n, err
}

// each opens the operands in turn, or standard input if there are none, and calls
// do. One that cannot be opened is told and passed over; the tool then fails with 1.
func (c *Call) each(ctx context.Context, names []string, do func(name string, r io.Reader) error) error {
	if len(names) == 0 {
		names = []string{"-"}
	}
	var failed error
	for _, name := range names {
		f, err := c.open(ctx, name)
		if err == nil {
			var wrong *failure
			var ended status
			err = do(name, f)
			f.Close()
			if gone(err) || ctx.Err() != nil || errors.As(err, &wrong) || errors.As(err, &ended) {
				return err
			}
		}
		if err != nil {
			c.say("%s", err)
			failed = status(1)
		}
	}
	return failed
}

// eachLine calls do with every line of the operands, without its newline.
func (c *Call) eachLine(ctx context.Context, names []string, do func(line []byte, ended bool) error) error {
	return c.eachLineTo(ctx, names, '\n', do)
}

// eachLineTo is eachLine for lines that end with another byte.
func (c *Call) eachLineTo(ctx context.Context, names []string, delim byte, do func(line []byte, ended bool) error) error {
	return c.each(ctx, names, func(_ string, r io.Reader) error {
		l := newLines(r)
		l.delim = delim
		return l.all(func(line []byte) error { return do(line, l.ended) })
	})
}

// all calls do with every line that is left.
func (l *lines) all(do func(line []byte) error) error {
	for {
		line, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(line); err != nil {
			return err
		}
	}
}

// put prints a line and its newline.
func put(out *bufio.Writer, line []byte) error {
	out.Write(line) // its error stays in out
	return out.WriteByte('\n')
}
