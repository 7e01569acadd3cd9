package shell

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/cli"
)

// printf is that of POSIX, with %b and %q. It repeats its format until it has used
// all arguments; one that is no number is told, and taken for 0.
func (s *Shell) printf(_ context.Context, _ interp.HandlerContext, out stdio, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		say(out.err, "pfs: usage: printf format [argument…]")
		return status(cli.ExitUsage)
	}
	p := &printing{format: args[0], args: args[1:]}
	for again := true; again && p.wrong == ""; {
		left := len(p.args)
		p.once()
		again = len(p.args) > 0 && len(p.args) < left && !p.stop
	}
	err := write(out, p.out.String())
	if p.wrong != "" {
		say(out.err, "pfs: printf: %s", p.wrong)
		return status(cli.ExitFailure)
	}
	if p.told != "" {
		say(out.err, "pfs: printf: %s", p.told)
		return status(cli.ExitFailure)
	}
	return err
}

// printing is one run of printf.
type printing struct {
	format string
	args   []string
	out    strings.Builder
	wrong  string // why it cannot go on
	told   string // why it has failed, though it goes on
	stop   bool   // after \c
}

// once goes through the format.
func (p *printing) once() {
	rest := p.format
	for rest != "" && p.wrong == "" && !p.stop {
		plain, spec, found := strings.Cut(rest, "%")
		p.out.WriteString(unescaped(plain))
		switch {
		case !found:
			return
		case strings.HasPrefix(spec, "%"):
			p.out.WriteByte('%')
			rest = spec[1:]
		default:
			rest = p.spec(spec)
		}
	}
}

// unescaped replaces escapes; a percent sign in s is one.
func unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out, _, err := expand.Format(nil, strings.ReplaceAll(s, "%", "%%"), nil)
	if err != nil {
		return s
	}
	return out
}

func (p *printing) next() string {
	if len(p.args) == 0 {
		return ""
	}
	arg := p.args[0]
	p.args = p.args[1:]
	return arg
}

// spec prints what a specification behind its percent sign says, and returns what
// follows it.
func (p *printing) spec(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("-+ #0123456789.*", r) })
	if end < 0 {
		p.wrong = "the format ends in a specification: %" + s
		return ""
	}
	verb, size := utf8.DecodeRuneInString(s[end:])
	how := s[:end]
	if how = p.measured(how); p.wrong != "" {
		return ""
	}
	switch verb {
	case 's':
		p.text(how, p.next())
	case 'b':
		head, _, cut := strings.Cut(p.next(), `\c`)
		p.stop = cut
		p.text(how, unescaped(head))
	case 'q':
		p.text(how, quoted(p.next()))
	case 'c':
		arg := p.next()
		p.text(how, arg[:min(1, len(arg))])
	case 'd', 'i':
		fmt.Fprintf(&p.out, "%"+how+"d", p.number(p.next()))
	case 'u', 'o', 'x', 'X':
		if verb == 'u' {
			verb = 'd'
		}
		fmt.Fprintf(&p.out, "%"+how+string(verb), uint64(p.number(p.next()))) // negative ones wrap, as in C
	case 'e', 'E', 'f', 'F', 'g', 'G', 'a', 'A':
		p.real(how, verb)
	default:
		p.wrong = fmt.Sprintf("%%%c is no specification", verb)
	}
	return s[end+size:]
}

// widest is how long a width or a precision may make what is printed, in bytes: no
// wider is formatted.
const widest = 1_000_000

// measured puts arguments in the place of stars, and refuses a width and a precision
// that cannot be had. A negative precision is none.
func (p *printing) measured(how string) string {
	for {
		head, tail, star := strings.Cut(how, "*")
		if !star {
			break
		}
		n := p.number(p.next())
		if head, dotted := strings.CutSuffix(head, "."); dotted && n < 0 {
			how = head + tail
			continue
		}
		how = head + strconv.FormatInt(n, 10) + tail
	}
	width, precision, _ := strings.Cut(strings.TrimLeft(how, "-+ #0"), ".")
	for _, digits := range []string{width, precision} {
		if n, err := strconv.ParseUint(digits, 10, 64); digits != "" && (err != nil || n > widest) {
			p.wrong = fmt.Sprintf("%%%s: width and precision are numbers, %d at the most", how, widest)
		}
	}
	return how
}

// text prints with width and precision in bytes.
func (p *printing) text(how, text string) {
	width, precision, limited := strings.Cut(how, ".")
	if limited {
		n, _ := strconv.Atoi(precision) // none is 0
		text = text[:min(n, len(text))]
	}
	left := strings.HasPrefix(width, "-")
	n, _ := strconv.Atoi(strings.TrimLeft(width, "-+ #0")) // none is 0
	pad := strings.Repeat(" ", max(0, n-len(text)))
	if left {
		text, pad = pad, text
	}
	p.out.WriteString(pad + text)
}

// number reads an integer in decimal, octal or hexadecimal, or a quote and the
// letter whose number it is.
func (p *printing) number(arg string) int64 {
	if len(arg) > 1 && (arg[0] == '\'' || arg[0] == '"') {
		r, _ := utf8.DecodeRuneInString(arg[1:])
		return int64(r)
	}
	if arg == "" {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(arg), 0, 64)
	if u, uerr := strconv.ParseUint(strings.TrimSpace(arg), 0, 64); err != nil && uerr == nil {
		return int64(u) // the same bits
	}
	if err != nil {
		p.told = strconv.Quote(arg) + " is no number"
	}
	return n
}

// real prints a floating point number.
func (p *printing) real(how string, verb rune) {
	arg := p.next()
	f, err := strconv.ParseFloat(strings.TrimSpace(arg), 64)
	if err != nil && arg != "" {
		p.told = strconv.Quote(arg) + " is no number"
	}
	switch verb {
	case 'F':
		verb = 'f'
	case 'a':
		verb = 'x'
	case 'A':
		verb = 'X'
	}
	if (verb == 'g' || verb == 'G') && !strings.Contains(how, ".") {
		how += ".6" // as in C
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		p.text(how, strings.ToLower(strings.TrimPrefix(fmt.Sprint(f), "+")))
		return
	}
	fmt.Fprintf(&p.out, "%"+how+string(verb), f)
}

// quoted is a word as a shell reads it.
func quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:,@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
