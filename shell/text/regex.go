package text

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// dialect is how a regular expression is written.
type dialect struct {
	extended  bool // as of sed -E: ( ) { } | + ? without backslashes
	fold      bool // letters match in both cases
	multiline bool // ^ and $ match at the lines inside
	awk       bool // a backslash escapes inside brackets too
}

// compile makes a POSIX expression one of Go, which takes time linear in its input
// and prefers the longest match. What that cannot do, a \1 inside the expression, is
// refused.
func (d dialect) compile(expr string) (*regexp.Regexp, error) {
	t := &translator{dialect: d, in: expr}
	if err := t.all(); err != nil {
		return nil, err
	}
	flags := "(?s"
	if d.fold {
		flags += "i"
	}
	if d.multiline {
		flags += "m"
	}
	re, err := regexp.Compile(flags + ")" + t.out.String())
	if err != nil {
		var syntax interface{ String() string }
		if errors.As(err, &syntax) {
			err = errors.New(syntax.String())
		}
		return nil, fmt.Errorf("invalid regular expression '%s': %w", expr, err)
	}
	re.Longest()
	return re, nil
}

// translator writes an expression anew.
type translator struct {
	dialect
	in    string
	out   strings.Builder
	atom  int   // where the last atom starts in out; -1 if a * here is itself
	again bool  // the atom has a repeat already
	opens []int // where open groups start in out
}

func (t *translator) all() error {
	t.atom = -1
	for len(t.in) > 0 {
		var err error
		switch c := t.in[0]; {
		case c == '\\':
			err = t.escape()
		case c == '[':
			err = t.bracket()
		case c == '*' || t.extended && strings.IndexByte("+?{", c) >= 0:
			err = t.repeat(t.in)
		case t.extended && strings.IndexByte("()|", c) >= 0:
			t.in = t.in[1:]
			err = t.group(c)
		case c == '^' && (t.extended || t.atom < 0 && t.atStart()):
			t.in = t.in[1:]
			t.out.WriteByte('^')
			t.atom = -1
		case c == '$' && (t.extended || t.atEnd()):
			t.in = t.in[1:]
			t.anchorEnd()
		default:
			t.literal()
		}
		if err != nil {
			return err
		}
	}
	if len(t.opens) > 0 {
		return errors.New("unmatched ( or \\(")
	}
	return nil
}

// atStart reports whether a ^ of a basic expression is an anchor here.
func (t *translator) atStart() bool {
	s := t.out.String()
	return s == "" || strings.HasSuffix(s, "(") && !strings.HasSuffix(s, `\(`) || strings.HasSuffix(s, "|") && !strings.HasSuffix(s, `\|`)
}

// atEnd reports whether a $ of a basic expression is an anchor here.
func (t *translator) atEnd() bool {
	return len(t.in) == 1 || strings.HasPrefix(t.in[1:], `\)`) || strings.HasPrefix(t.in[1:], `\|`)
}

func (t *translator) anchorEnd() {
	t.out.WriteByte('$')
	t.atom = -1
}

// literal takes one character that stands for itself, or a dot.
func (t *translator) literal() {
	r, size := utf8.DecodeRuneInString(t.in)
	t.begin()
	if r == '.' {
		t.out.WriteByte('.')
	} else {
		t.out.WriteString(regexp.QuoteMeta(t.in[:size]))
	}
	t.in = t.in[size:]
}

// begin says that an atom starts.
func (t *translator) begin() { t.atom, t.again = t.out.Len(), false }

// group opens or closes a group, or separates alternatives.
func (t *translator) group(c byte) error {
	switch c {
	case '(':
		t.opens = append(t.opens, t.out.Len())
		t.atom = -1
	case ')':
		if len(t.opens) == 0 {
			return errors.New("unmatched ) or \\)")
		}
		t.atom, t.again = t.opens[len(t.opens)-1], false
		t.opens = t.opens[:len(t.opens)-1]
	case '|':
		t.atom = -1
	}
	t.out.WriteByte(c)
	return nil
}

// repeat takes *, +, ? or an interval; s starts with it, without a backslash.
func (t *translator) repeat(s string) error {
	if t.atom < 0 {
		if s[0] == '{' && t.extended {
			return errors.New("invalid preceding regular expression")
		}
		t.in = s
		t.literal()
		return nil
	}
	mark, rest := s[:1], s[1:]
	if mark == "{" {
		end := "\\}"
		if t.extended {
			end = "}"
		}
		bounds, after, ok := strings.Cut(rest, end)
		if !ok {
			return errors.New("unmatched { or \\{")
		}
		if strings.HasPrefix(bounds, ",") {
			bounds = "0" + bounds
		}
		if strings.Trim(bounds, "0123456789,") != "" || bounds == "" {
			return errors.New("invalid content of {}")
		}
		mark, rest = "{"+bounds+"}", after
	}
	if t.again { // Go would take a second one as "as few as possible"
		whole := t.out.String()
		t.out.Reset()
		t.out.WriteString(whole[:t.atom] + "(?:" + whole[t.atom:] + ")")
	}
	t.out.WriteString(mark)
	t.in, t.again = rest, true
	return nil
}

// escape takes a backslash and what follows it.
func (t *translator) escape() error {
	if len(t.in) == 1 {
		return errors.New("trailing backslash")
	}
	c := t.in[1]
	if !t.extended && strings.IndexByte("()|", c) >= 0 {
		t.in = t.in[2:]
		return t.group(c)
	}
	if !t.extended && strings.IndexByte("{+?", c) >= 0 {
		return t.repeat(t.in[1:])
	}
	if c >= '1' && c <= '9' {
		return fmt.Errorf("a \\%c inside a regular expression is not supported", c)
	}
	if i := strings.IndexByte("ntrfv", c); i >= 0 {
		t.begin()
		t.out.WriteString([]string{`\n`, `\t`, `\r`, `\f`, `\v`}[i])
		t.in = t.in[2:]
		return nil
	}
	if to, ok := map[byte]string{'w': `\w`, 'W': `\W`, 's': `\s`, 'S': `\S`, 'b': `\b`, 'B': `\B`, '<': `\b`, '>': `\b`, '`': `\A`, '\'': `\z`}[c]; ok {
		t.begin()
		t.out.WriteString(to)
		t.in = t.in[2:]
		return nil
	}
	t.in = t.in[1:]
	r, size := utf8.DecodeRuneInString(t.in)
	t.begin()
	t.out.WriteString(regexp.QuoteMeta(string(r)))
	t.in = t.in[size:]
	return nil
}

// bracket takes a bracket expression: a backslash in it is itself, but for \n, \t,
// \] and \\ as GNU's sed reads them.
func (t *translator) bracket() error {
	t.begin()
	s := t.in[1:]
	t.out.WriteByte('[')
	if strings.HasPrefix(s, "^") {
		t.out.WriteByte('^')
		s = s[1:]
	}
	for first := true; ; first = false {
		switch {
		case s == "":
			return errors.New("unmatched [")
		case s[0] == ']' && !first:
			t.out.WriteByte(']')
			t.in = s[1:]
			return nil
		case strings.HasPrefix(s, "[:"):
			name, rest, ok := strings.Cut(s[2:], ":]")
			if _, known := trClass(name); !ok || !known {
				return errors.New("invalid character class")
			}
			t.out.WriteString("[:" + name + ":]")
			s = rest
			continue
		}
		from, rest, err := t.member(s)
		if err != nil {
			return err
		}
		t.out.WriteString(quoteMember(from))
		if len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			to, after, err := t.member(rest[1:])
			if err != nil {
				return err
			}
			t.out.WriteString("-" + quoteMember(to))
			rest = after
		}
		s = rest
	}
}

// member reads one character of a bracket expression.
func (d dialect) member(s string) (rune, string, error) {
	for _, mark := range []string{".", "="} {
		if inner, ok := strings.CutPrefix(s, "["+mark); ok {
			name, rest, closed := strings.Cut(inner, mark+"]")
			if r, size := utf8.DecodeRuneInString(name); closed && size == len(name) && size > 0 {
				return r, rest, nil
			}
			return 0, "", errors.New("invalid collation character")
		}
	}
	if len(s) > 1 && s[0] == '\\' {
		if i := strings.IndexByte("nt]\\", s[1]); i >= 0 && (s[1] != ']' || strings.IndexByte(s[2:], ']') >= 0) {
			return rune("\n\t]\\"[i]), s[2:], nil
		}
		if d.awk {
			b, rest := setByte(s)
			return rune(b), rest, nil
		}
	}
	r, size := utf8.DecodeRuneInString(s)
	return r, s[size:], nil
}

func quoteMember(r rune) string { return fmt.Sprintf(`\x{%x}`, r) }
