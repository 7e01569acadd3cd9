package text

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// sedRun is one run of sed.
type sedRun struct {
	c        *Call
	script   []sedCommand
	do       map[byte]func(context.Context, *sedCommand) error
	quiet    bool
	separate bool // lines are counted in each file, as -i and -s ask for
	delim    byte

	in     *sedInput
	out    *sedOutput
	files  map[string]*sedOutput // of w
	closes []io.Closer

	space, hold []byte
	swapped     bool // t: a substitution since the last line or t
	append      []sedCommand
	lastRE      *regexp.Regexp
}

const (
	exitSedUsage = 1
	exitSedInput = 2
	exitSedIO    = 4
)

var sedSyntax = syntax{flags: "nEre:f:isuz", usage: exitSedUsage, long: map[string]string{
	"quiet": "n", "silent": "n", "regexp-extended": "E", "expression": "e", "file": "f", "in-place": "i",
	"separate": "s", "unbuffered": "u", "null-data": "z",
}}

// sed edits a stream. Not supported: the commands e, F, R, v, W; suffixes of -i; \1
// inside a regular expression.
func sed(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := sedSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	text, names, err := c.sedScript(ctx, opts, names)
	if err != nil {
		return err
	}
	script, err := parseSed(text, dialect{extended: has(opts, 'E') || has(opts, 'r')})
	if err != nil {
		return fail(exitSedUsage, "%s", err)
	}
	s := &sedRun{
		c: c, script: script, delim: '\n', separate: has(opts, 's') || has(opts, 'i'),
		quiet: has(opts, 'n') || strings.HasPrefix(text, "#n\n"), files: map[string]*sedOutput{},
	}
	if has(opts, 'z') {
		s.delim = 0
	}
	s.do = s.commands()
	defer s.close()
	if err := s.createFiles(ctx, out); err != nil {
		return fail(exitSedIO, "%s", err)
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	if has(opts, 'i') {
		err = s.inPlace(ctx, names)
	} else {
		s.out = &sedOutput{w: out}
		err = s.group(ctx, names)
	}
	if closed := s.close(); err == nil && closed != nil {
		return fail(exitSedIO, "%s", closed)
	}
	return err
}

// sedScript joins what -e and -f give, or takes the first operand.
func (c *Call) sedScript(ctx context.Context, opts []option, names []string) (string, []string, error) {
	var parts []string
	for _, o := range opts {
		switch o.name {
		case 'e':
			parts = append(parts, o.value)
		case 'f':
			text, err := c.readAll(ctx, o.value)
			if err != nil {
				return "", nil, fail(exitSedUsage, "%s", err)
			}
			parts = append(parts, strings.TrimSuffix(string(text), "\n"))
		}
	}
	if parts != nil {
		return strings.Join(parts, "\n"), names, nil
	}
	if len(names) == 0 {
		return "", nil, fail(exitSedUsage, "no script: give one, as sed 's/a/b/' FILE")
	}
	return names[0], names[1:], nil
}

// readAll returns a file that is a script, at most maxLine bytes.
func (c *Call) readAll(ctx context.Context, name string) ([]byte, error) {
	f, err := c.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLine+1))
	if err == nil && len(text) > maxLine {
		err = fmt.Errorf("%s: longer than %d bytes", name, maxLine)
	}
	return text, err
}

// createFiles opens the files of w and s///w.
func (s *sedRun) createFiles(ctx context.Context, out *bufio.Writer) error {
	for _, c := range s.script {
		if c.name != 'w' && c.name != 's' || c.text == "" || s.files[c.text] != nil {
			continue
		}
		switch c.text {
		case "/dev/stdout":
			s.files[c.text] = &sedOutput{w: out}
			continue
		case "/dev/stderr":
			s.files[c.text] = &sedOutput{w: bufio.NewWriterSize(s.c.Stderr, 16)}
			continue
		}
		f, err := s.c.Create(ctx, c.text, false)
		if err != nil {
			return fmt.Errorf("couldn't open file %s: %w", c.text, reason(err))
		}
		s.closes = append(s.closes, f)
		s.files[c.text] = &sedOutput{w: bufio.NewWriterSize(f, bufSize)}
	}
	return nil
}

// close ends the files of w.
func (s *sedRun) close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.w.Flush())
	}
	for _, f := range s.closes {
		errs = append(errs, f.Close())
	}
	s.closes, s.files = nil, nil
	return errors.Join(errs...)
}

// group edits files as one, or with separate each for itself.
func (s *sedRun) group(ctx context.Context, names []string) error {
	s.in = &sedInput{c: s.c, ctx: ctx, names: names, separate: s.separate, delim: s.delim}
	defer s.in.close()
	err := s.cycles(ctx)
	if err == nil && s.in.failed {
		return status(exitSedInput)
	}
	return err
}

// inPlace edits each file and puts the result in its place, all of it or nothing.
func (s *sedRun) inPlace(ctx context.Context, names []string) error {
	var failed error
	for _, name := range names {
		kept := &spool{}
		w := bufio.NewWriterSize(kept, bufSize)
		s.out = &sedOutput{w: w}
		err := s.group(ctx, []string{name})
		if err == nil {
			if err = w.Flush(); err == nil {
				err = s.c.write(ctx, name, false, func(to *bufio.Writer) error {
					_, err := io.Copy(to, kept.reader())
					return err
				})
			}
		}
		kept.close()
		if err == status(exitSedInput) {
			failed = err
			continue
		}
		if err != nil {
			return err
		}
	}
	return failed
}

// sedOutput prints lines; it adds the newline that the last line of the input
// lacked only if more follows.
type sedOutput struct {
	w       *bufio.Writer
	missing bool
}

func (o *sedOutput) raw(text string) error {
	if o.missing {
		o.missing = false
		o.w.WriteByte('\n')
	}
	_, err := o.w.WriteString(text)
	return err
}

func (o *sedOutput) line(text []byte, delim byte, ended bool) error {
	if err := o.raw(""); err != nil {
		return err
	}
	o.w.Write(text) // its error stays in w
	if !ended {
		o.missing = true
		return nil
	}
	return o.w.WriteByte(delim)
}

// sedInput reads lines of files in turn, and looks ahead only when asked.
type sedInput struct {
	c        *Call
	ctx      context.Context
	names    []string
	separate bool
	delim    byte
	file     io.Closer
	lines    *lines
	number   int
	ended    bool // the last line had its newline
	failed   bool // a file could not be read
}

func (in *sedInput) close() {
	if in.file != nil {
		in.file.Close()
	}
	in.file, in.lines = nil, nil
}

// ready reports whether there is another line; it opens files for that. within
// stays in the file that is open.
func (in *sedInput) ready(within bool) bool {
	for {
		if in.lines != nil {
			if _, err := in.lines.r.Peek(1); err == nil {
				return true
			} else if err != io.EOF {
				in.tell(err)
			}
			if within {
				return false
			}
			in.close()
		}
		if len(in.names) == 0 || in.ctx.Err() != nil {
			return false
		}
		name := in.names[0]
		in.names = in.names[1:]
		f, err := in.c.open(in.ctx, name)
		if err != nil {
			in.tell(fmt.Errorf("can't read %w", err))
			continue
		}
		if in.separate {
			in.number = 0
		}
		in.file, in.lines = f, newLines(f)
		in.lines.delim = in.delim
	}
}

func (in *sedInput) tell(err error) {
	if in.ctx.Err() == nil && !gone(err) {
		in.c.say("%s", err)
	}
	in.failed = true
}

func (in *sedInput) last() bool { return !in.ready(in.separate) }

// next returns a copy of the next line into to; io.EOF behind the last one.
func (in *sedInput) next(to []byte) ([]byte, error) {
	if !in.ready(false) {
		return to, io.EOF
	}
	line, err := in.lines.next()
	if err != nil {
		return to, err
	}
	in.number++
	in.ended = in.lines.ended
	return append(to, line...), nil
}

// matches reports whether a line is addressed.
func (s *sedRun) matches(c *sedCommand) bool {
	if c.from == nil {
		return true
	}
	if c.to == nil {
		return s.at(c.from)
	}
	n := s.in.number
	if c.active {
		return s.inRange(c, n)
	}
	zero := c.from.line == 0 && c.from.step == 0 && !c.from.last && !c.from.match
	if zero && n == 1 { // 0,/re/: the first line may end it
		c.active = true
		return s.inRange(c, n)
	}
	if zero || !s.at(c.from) {
		return false
	}
	c.until = c.to.line
	switch {
	case c.to.more >= 0:
		c.until = n + c.to.more
	case c.to.step > 0:
		c.until = (n + c.to.step - 1) / c.to.step * c.to.step
	}
	c.active = c.to.match || c.to.last && !s.in.last() || !c.to.last && c.until > n
	return true
}

// inRange decides for a line inside a range, and whether it is the last one.
func (s *sedRun) inRange(c *sedCommand, n int) bool {
	switch {
	case c.to.match:
		c.active = !s.match(c.to.re)
	case c.to.last:
		c.active = !s.in.last()
	case n > c.until: // lines were read by n or N
		c.active = false
		return s.at(c.from)
	default:
		c.active = n < c.until
	}
	return true
}

func (s *sedRun) at(a *sedAddress) bool {
	switch {
	case a.match:
		return s.match(a.re)
	case a.last:
		return s.in.last()
	case a.step > 0:
		return s.in.number >= a.line && (s.in.number-a.line)%a.step == 0
	}
	return s.in.number == a.line
}

// match tries an expression; nil is the last one that was used.
func (s *sedRun) match(re *regexp.Regexp) bool {
	if re == nil {
		re = s.lastRE
	}
	s.lastRE = re
	return re != nil && re.Match(s.space)
}

// substitute is the command s.
func (s *sedRun) substitute(c *sedCommand) error {
	re := c.re
	if re == nil {
		re = s.lastRE
	}
	if re == nil {
		return fail(exitSedUsage, "no previous regular expression")
	}
	s.lastRE = re
	most := max(c.nth, 1)
	if c.global {
		most = -1
	}
	found := re.FindAllSubmatchIndex(s.space, most)
	skip := max(c.nth, 1) - 1
	if len(found) <= skip {
		return nil
	}
	var out bytes.Buffer
	end := 0
	for _, m := range found[skip:] {
		out.Write(s.space[end:m[0]])
		replace(&out, c.with, s.space, m)
		end = m[1]
	}
	out.Write(s.space[end:])
	if out.Len() > maxLine {
		return fmt.Errorf("a line became longer than %d bytes", maxLine)
	}
	s.space, s.swapped = append(s.space[:0], out.Bytes()...), true
	if c.print {
		if err := s.out.line(s.space, s.delim, true); err != nil {
			return err
		}
	}
	if c.text != "" {
		return s.files[c.text].line(s.space, s.delim, true)
	}
	return nil
}

// replace writes a replacement, with changes of case.
func replace(out *bytes.Buffer, with []sedPart, space []byte, m []int) {
	all, one := byte('E'), byte(0) // of all that follows; of the next character
	for _, p := range with {
		if p.fold != 0 {
			if strings.IndexByte("ULE", p.fold) >= 0 {
				all, one = p.fold, 0
			} else {
				one = p.fold
			}
			continue
		}
		piece := []byte(p.text)
		if p.group >= 0 {
			piece = nil
			if at := 2 * p.group; at < len(m) && m[at] >= 0 {
				piece = space[m[at]:m[at+1]]
			}
		}
		if one != 0 && len(piece) > 0 {
			_, size := utf8.DecodeRune(piece)
			out.Write(cased(piece[:size], one))
			piece, one = piece[size:], 0
		}
		out.Write(cased(piece, all))
	}
}

func cased(b []byte, fold byte) []byte {
	switch fold {
	case 'U', 'u':
		return bytes.ToUpper(b)
	case 'L', 'l':
		return bytes.ToLower(b)
	}
	return b
}
