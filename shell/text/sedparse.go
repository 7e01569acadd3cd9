package text

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// sedCommand is one command of a sed script.
type sedCommand struct {
	name     byte
	from, to *sedAddress
	not      bool
	number   int    // of q and Q: the status
	text     string // of a, i, c; the file of r and w; the label of b, t, T and ":"
	jump     int    // of b, t and T: the command to go to; of "{": that behind its "}"
	re       *regexp.Regexp
	with     []sedPart
	global   bool
	print    bool
	nth      int
	letters  map[rune]rune
	active   bool // inside its range
	until    int  // the line that ends the range, if a number does
}

// sedAddress is a line number, a step, the last line, or a match.
type sedAddress struct {
	line, step int // step: every so many from line; of a second address "~N"
	more       int // of a second address "+N"; -1 otherwise
	last       bool
	re         *regexp.Regexp // nil with match: the last one that was used
	match      bool
}

// sedPart is a piece of a replacement: text, a group (0 is all), or a change of
// case, which is one of U L u l E.
type sedPart struct {
	text  string
	group int // -1 for text
	fold  byte
}

// sedParser reads a script.
type sedParser struct {
	in string
	dialect
	out    []sedCommand
	blocks []int
}

// parseSed reads a whole script.
func parseSed(script string, d dialect) ([]sedCommand, error) {
	p := &sedParser{in: script, dialect: d}
	for {
		p.in = strings.TrimLeft(p.in, " \t\n;")
		if p.in == "" {
			break
		}
		if err := p.command(); err != nil {
			return nil, fmt.Errorf("-e expression #1, char %d: %w", len(script)-len(p.in), err)
		}
	}
	if len(p.blocks) > 0 {
		return nil, fmt.Errorf("-e expression #1, char 0: unmatched `{'")
	}
	return p.out, p.link()
}

// link finds the labels.
func (p *sedParser) link() error {
	at := map[string]int{"": len(p.out)}
	for i, c := range p.out {
		if c.name == ':' {
			at[c.text] = i
		}
	}
	for i, c := range p.out {
		if strings.IndexByte("btT", c.name) >= 0 {
			to, ok := at[c.text]
			if !ok {
				return fmt.Errorf("-e expression #1, char %d: can't find label for jump to `%s'", len(p.in), c.text)
			}
			p.out[i].jump = to
		}
	}
	return nil
}

func (p *sedParser) blanks() { p.in = strings.TrimLeft(p.in, " \t") }

// command reads one command with its addresses.
func (p *sedParser) command() (err error) {
	var c sedCommand
	if c.from, err = p.address(false); err != nil {
		return err
	}
	p.blanks()
	if c.from != nil && strings.HasPrefix(p.in, ",") {
		p.in = strings.TrimLeft(p.in[1:], " \t")
		if c.to, err = p.address(true); err != nil {
			return err
		}
		if c.to == nil {
			return fmt.Errorf("unexpected `,'")
		}
		p.blanks()
	}
	if c.from != nil && c.from.line == 0 && c.from.step == 0 && !c.from.last && !c.from.match && (c.to == nil || !c.to.match) {
		return fmt.Errorf("invalid usage of line address 0")
	}
	for strings.HasPrefix(p.in, "!") {
		c.not = true
		p.in = strings.TrimLeft(p.in[1:], " \t")
	}
	if p.in == "" {
		return fmt.Errorf("missing command")
	}
	c.name, p.in = p.in[0], p.in[1:]
	if c.from != nil && strings.IndexByte(":}", c.name) >= 0 {
		return fmt.Errorf("%c doesn't want any addresses", c.name)
	}
	read, ok := sedReaders()[c.name]
	if !ok {
		return fmt.Errorf("unknown command: `%c'", c.name)
	}
	if err := read(p, &c); err != nil {
		return err
	}
	if c.name != '#' && c.name != '}' {
		p.out = append(p.out, c)
	}
	return nil
}

// sedReaders read what follows the name of a command.
func sedReaders() map[byte]func(*sedParser, *sedCommand) error {
	out := map[byte]func(*sedParser, *sedCommand) error{
		'#': (*sedParser).comment, '{': (*sedParser).open, '}': (*sedParser).close,
		's': (*sedParser).substitute, 'y': (*sedParser).transliterate, ':': (*sedParser).label,
		'q': (*sedParser).status, 'Q': (*sedParser).status,
	}
	for _, name := range []byte("aic") {
		out[name] = (*sedParser).textArgument
	}
	for _, name := range []byte("btT") {
		out[name] = (*sedParser).label
	}
	for _, name := range []byte("rw") {
		out[name] = (*sedParser).fileArgument
	}
	for _, name := range []byte("=dDgGhHlnNpPxz") {
		out[name] = func(p *sedParser, _ *sedCommand) error { return p.end() }
	}
	return out
}

// end asks for nothing more in this command.
func (p *sedParser) end() error {
	p.blanks()
	if p.in == "" || strings.IndexByte("\n;}#", p.in[0]) >= 0 {
		return nil
	}
	return fmt.Errorf("extra characters after command")
}

func (p *sedParser) comment(*sedCommand) error {
	_, p.in, _ = strings.Cut(p.in, "\n")
	return nil
}

func (p *sedParser) open(*sedCommand) error {
	p.blocks = append(p.blocks, len(p.out))
	return nil
}

func (p *sedParser) close(*sedCommand) error {
	if len(p.blocks) == 0 {
		return fmt.Errorf("unexpected `}'")
	}
	p.out[p.blocks[len(p.blocks)-1]].jump = len(p.out)
	p.blocks = p.blocks[:len(p.blocks)-1]
	return p.end()
}

func (p *sedParser) label(c *sedCommand) error {
	p.blanks()
	end := strings.IndexAny(p.in, ";\n \t}")
	if c.name == ':' {
		end = strings.IndexAny(p.in, ";\n \t")
	}
	if end < 0 {
		end = len(p.in)
	}
	c.text, p.in = p.in[:end], p.in[end:]
	if c.name == ':' && c.text == "" {
		return fmt.Errorf("\":\" lacks a label")
	}
	return p.end()
}

func (p *sedParser) status(c *sedCommand) error {
	p.blanks()
	n := digits([]byte(p.in))
	c.number, _ = strconv.Atoi("0" + p.in[:n])
	p.in = p.in[n:]
	return p.end()
}

func (p *sedParser) fileArgument(c *sedCommand) error {
	p.blanks()
	c.text, p.in, _ = strings.Cut(p.in, "\n")
	if c.text == "" {
		return fmt.Errorf("missing filename in r/R/w/W commands")
	}
	return nil
}

// textArgument reads the lines of a, i and c: behind "a\" and a newline, or on the
// line of the command.
func (p *sedParser) textArgument(c *sedCommand) error {
	p.blanks()
	if p.in == "" {
		return fmt.Errorf("expected \\ after `a', `c' or `i'")
	}
	if p.in[0] == '\\' {
		rest := strings.TrimLeft(p.in[1:], " \t")
		if strings.HasPrefix(rest, "\n") {
			p.in = rest[1:]
		} else {
			p.in = p.in[1:] // the blanks behind the backslash are text
		}
	}
	var b strings.Builder
	for len(p.in) > 0 {
		ch := p.in[0]
		p.in = p.in[1:]
		if ch == '\n' {
			break
		}
		if ch == '\\' && len(p.in) > 0 {
			ch, p.in = p.in[0], p.in[1:]
			if ch == 't' {
				ch = '\t'
			}
		}
		b.WriteByte(ch)
	}
	c.text = b.String() + "\n"
	return nil
}

// address reads one address; nil if there is none.
func (p *sedParser) address(second bool) (*sedAddress, error) {
	a := &sedAddress{more: -1}
	switch {
	case p.in == "":
		return nil, nil
	case p.in[0] == '$':
		p.in = p.in[1:]
		a.last = true
	case p.in[0] >= '0' && p.in[0] <= '9':
		a.line = p.number()
		if strings.HasPrefix(p.in, "~") && !second {
			p.in = p.in[1:]
			a.step = p.number()
		}
	case second && (p.in[0] == '+' || p.in[0] == '~'):
		kind := p.in[0]
		p.in = p.in[1:]
		if n := p.number(); kind == '+' {
			a.more = n
		} else {
			a.step = n
		}
	case p.in[0] == '/' || p.in[0] == '\\' && len(p.in) > 1:
		return p.matchAddress(a)
	default:
		return nil, nil
	}
	return a, nil
}

func (p *sedParser) number() int {
	n := digits([]byte(p.in))
	x, _ := strconv.Atoi("0" + p.in[:n])
	p.in = p.in[n:]
	return x
}

func (p *sedParser) matchAddress(a *sedAddress) (*sedAddress, error) {
	if p.in[0] == '\\' {
		p.in = p.in[1:]
	}
	delim := p.in[0]
	p.in = p.in[1:]
	expr, err := p.until(delim, true)
	if err != nil {
		return nil, fmt.Errorf("unterminated address regex")
	}
	d := p.dialect
	for p.in != "" && strings.IndexByte("IM", p.in[0]) >= 0 {
		d.fold, d.multiline = d.fold || p.in[0] == 'I', d.multiline || p.in[0] == 'M'
		p.in = p.in[1:]
	}
	a.match = true
	if expr != "" {
		a.re, err = d.compile(expr)
	}
	return a, err
}

// until reads to an unescaped delimiter. An escaped one is the delimiter itself; in
// a regular expression, one inside brackets is too.
func (p *sedParser) until(delim byte, regex bool) (string, error) {
	var b strings.Builder
	for i := 0; i < len(p.in); i++ {
		ch := p.in[i]
		switch {
		case ch == delim:
			p.in = p.in[i+1:]
			return b.String(), nil
		case ch == '\n':
			return "", fmt.Errorf("a newline that is not escaped")
		case ch == '\\' && i+1 < len(p.in):
			i++
			if ch = p.in[i]; ch != delim || !regex && ch == '&' {
				b.WriteByte('\\')
			}
		case regex && ch == '[':
			if n := bracketEnd(p.in[i:]); n > 0 {
				b.WriteString(p.in[i : i+n-1])
				i += n - 1
				ch = ']'
			}
		}
		b.WriteByte(ch)
	}
	return "", fmt.Errorf("no end")
}

// halves reads the two parts of a command such as s/a/b/, between delimiters of its
// own, but not those named; regex: the first is a regular expression.
func (p *sedParser) halves(name byte, not string, regex bool) (first, second string, err error) {
	if p.in != "" && strings.IndexByte(not, p.in[0]) < 0 {
		delim := p.in[0]
		p.in = p.in[1:]
		if first, err = p.until(delim, regex); err == nil {
			second, err = p.until(delim, false)
		}
		if err == nil {
			return first, second, nil
		}
	}
	return "", "", fmt.Errorf("unterminated `%c' command", name)
}

// bracketEnd returns the length of the bracket expression that s starts with; 0 if
// it has no end.
func bracketEnd(s string) int {
	i := 1
	if strings.HasPrefix(s[i:], "^") {
		i++
	}
	for first := true; i < len(s); first = false {
		switch {
		case s[i] == ']' && !first:
			return i + 1
		case s[i] == '[' && i+1 < len(s) && strings.IndexByte(":.=", s[i+1]) >= 0:
			n := strings.Index(s[i+2:], s[i+1:i+2]+"]")
			if n < 0 {
				return 0
			}
			i += n + 4
		default:
			i++
		}
	}
	return 0
}

// substitute reads s/re/replacement/flags.
func (p *sedParser) substitute(c *sedCommand) error {
	expr, with, err := p.halves('s', "\\\n", true)
	if err != nil {
		return err
	}
	d := p.dialect
	if err := p.substituteFlags(c, &d); err != nil {
		return err
	}
	groups := 9
	if expr != "" {
		if c.re, err = d.compile(expr); err != nil {
			return err
		}
		groups = c.re.NumSubexp()
	}
	c.with, err = parseReplacement(with, groups)
	return err
}

func (p *sedParser) substituteFlags(c *sedCommand, d *dialect) error {
	for p.in != "" {
		ch := p.in[0]
		switch {
		case ch == 'g':
			c.global = true
		case ch == 'p':
			c.print = true
		case ch == 'i' || ch == 'I':
			d.fold = true
		case ch == 'm' || ch == 'M':
			d.multiline = true
		case ch == 'e':
			return fmt.Errorf("the flag e of `s' is not supported")
		case ch == 'w':
			p.in = p.in[1:]
			return p.fileArgument(c)
		case ch >= '1' && ch <= '9':
			c.nth = p.number()
			continue
		case ch == '0':
			return fmt.Errorf("number option to `s' command may not be zero")
		default:
			if p.end() != nil {
				return fmt.Errorf("unknown option to `s'")
			}
			return nil
		}
		p.in = p.in[1:]
	}
	return nil
}
