package text

import (
	"fmt"
	"strconv"
	"strings"
)

// awkToken is a word of an awk program.
type awkToken struct {
	kind string // "number", "string", "name", "call" (a name and "(" at once), "regex", "newline", "end", or the word or sign itself
	text string
	line int
}

// awkWords are names with a meaning of their own.
const awkWords = " BEGIN END function func if else while for do break continue next nextfile exit return delete in getline print printf "

// awkLexer splits a program into words.
type awkLexer struct {
	in   string
	line int
}

// next returns the next word. operand says that one may begin here, so that a slash
// starts a regular expression.
func (l *awkLexer) next(operand bool) (awkToken, error) {
	l.space()
	t := awkToken{line: l.line}
	if l.in == "" {
		t.kind = "end"
		return t, nil
	}
	c := l.in[0]
	switch {
	case c == '\n':
		t.kind, l.in = "newline", l.in[1:]
		l.line++
	case c >= '0' && c <= '9' || c == '.' && len(l.in) > 1 && l.in[1] >= '0' && l.in[1] <= '9':
		n := numberPrefix(l.in)
		t.kind, t.text, l.in = "number", l.in[:n], l.in[n:]
	case c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z':
		n := 1
		for n < len(l.in) && (l.in[n] == '_' || l.in[n]|0x20 >= 'a' && l.in[n]|0x20 <= 'z' || l.in[n] >= '0' && l.in[n] <= '9') {
			n++
		}
		t.text, l.in = l.in[:n], l.in[n:]
		switch {
		case strings.Contains(awkWords, " "+t.text+" "):
			t.kind = t.text
		case awkArity(t.text) != nil:
			t.kind = "builtin"
		case strings.HasPrefix(l.in, "("):
			t.kind = "call"
		default:
			t.kind = "name"
		}
	case c == '"':
		return t, l.quoted(&t)
	case c == '/' && operand:
		return t, l.regex(&t)
	default:
		return t, l.sign(&t)
	}
	return t, nil
}

// space skips blanks, comments and escaped newlines.
func (l *awkLexer) space() {
	for l.in != "" {
		switch {
		case l.in[0] == ' ' || l.in[0] == '\t' || l.in[0] == '\r':
			l.in = l.in[1:]
		case strings.HasPrefix(l.in, "\\\n"):
			l.in = l.in[2:]
			l.line++
		case l.in[0] == '#':
			n := strings.IndexByte(l.in, '\n')
			if n < 0 {
				n = len(l.in)
			}
			l.in = l.in[n:]
		default:
			return
		}
	}
}

func (l *awkLexer) sign(t *awkToken) error {
	for _, s := range []string{"**=", "**", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "==", "<=", ">=", "!=", "!~", "&&", "||", ">>"} {
		if strings.HasPrefix(l.in, s) {
			l.in = l.in[len(s):]
			t.kind = strings.Replace(s, "**", "^", 1)
			return nil
		}
	}
	if strings.IndexByte("{}()[];,+-*/%^!<>|?:~$=", l.in[0]) < 0 {
		return fmt.Errorf("syntax error at source line %d: unexpected character '%c'", l.line, l.in[0])
	}
	t.kind, l.in = l.in[:1], l.in[1:]
	return nil
}

// quoted reads a string.
func (l *awkLexer) quoted(t *awkToken) error {
	for i := 1; i < len(l.in); i++ {
		switch l.in[i] {
		case '\\':
			i++
		case '\n':
			return fmt.Errorf("syntax error at source line %d: a string has no end", l.line)
		case '"':
			t.kind, t.text = "string", awkEscapes(l.in[1:i])
			l.in = l.in[i+1:]
			return nil
		}
	}
	return fmt.Errorf("syntax error at source line %d: a string has no end", l.line)
}

// regex reads /.../.
func (l *awkLexer) regex(t *awkToken) error {
	for i := 1; i < len(l.in) && l.in[i] != '\n'; i++ {
		switch l.in[i] {
		case '\\':
			i++
		case '[':
			if n := bracketEnd(l.in[i:]); n > 0 && !strings.Contains(l.in[i:i+n], "\n") {
				i += n - 1
			}
		case '/':
			t.kind, t.text = "regex", strings.ReplaceAll(l.in[1:i], `\/`, "/")
			l.in = l.in[i+1:]
			return nil
		}
	}
	return fmt.Errorf("syntax error at source line %d: a regular expression has no end", l.line)
}

// awkEscapes replaces the escapes of a string. A backslash before another character
// stays, as in a string that is used as a regular expression.
func awkEscapes(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte(`abfnrtv\"/`, s[i]); at >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v\\\"/"[at])
			continue
		}
		if s[i] == '\n' {
			continue
		}
		if s[i] == 'x' {
			if x, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8); err == nil {
				b.WriteByte(byte(x))
				i += min(2, len(s)-i-1)
				continue
			}
		}
		n := 0
		for n < 3 && i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '7' {
			n++
		}
		if x, err := strconv.ParseUint(s[i:i+n], 8, 8); err == nil {
			b.WriteByte(byte(x))
			i += n - 1
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(s[i])
	}
	return b.String()
}

// awkArity is how many arguments a function of awk takes, at least and at most; nil
// if there is no such function.
func awkArity(name string) []int {
	return map[string][]int{
		"length": {0, 1}, "substr": {2, 3}, "index": {2, 2}, "split": {2, 3}, "sub": {2, 3}, "gsub": {2, 3}, "match": {2, 2},
		"sprintf": {1, 1 << 10}, "sin": {1, 1}, "cos": {1, 1}, "atan2": {2, 2}, "exp": {1, 1}, "log": {1, 1}, "sqrt": {1, 1},
		"int": {1, 1}, "rand": {0, 0}, "srand": {0, 1}, "tolower": {1, 1}, "toupper": {1, 1}, "system": {1, 1}, "close": {1, 1},
		"fflush": {0, 1}, "systime": {0, 0},
	}[name]
}
