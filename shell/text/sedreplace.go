package text

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// parseReplacement reads the right side of s.
func parseReplacement(s string, groups int) (out []sedPart, err error) {
	var b strings.Builder
	add := func(part sedPart) {
		if b.Len() > 0 {
			out = append(out, sedPart{text: b.String(), group: -1})
			b.Reset()
		}
		out = append(out, part)
	}
	for i := 0; i < len(s); i++ {
		ch := s[i]
		if ch == '&' {
			add(sedPart{})
			continue
		}
		if ch != '\\' || i+1 == len(s) {
			b.WriteByte(ch)
			continue
		}
		i++
		switch ch = s[i]; {
		case ch >= '0' && ch <= '9':
			if int(ch-'0') > groups {
				return nil, fmt.Errorf("invalid reference \\%c on `s' command's RHS", ch)
			}
			add(sedPart{group: int(ch - '0')})
		case strings.IndexByte("ULulE", ch) >= 0:
			add(sedPart{group: -1, fold: ch})
		case ch == 'n':
			b.WriteByte('\n')
		case ch == 't':
			b.WriteByte('\t')
		default:
			b.WriteByte(ch)
		}
	}
	if b.Len() > 0 {
		out = append(out, sedPart{text: b.String(), group: -1})
	}
	return out, nil
}

// transliterate reads y/abc/xyz/.
func (p *sedParser) transliterate(c *sedCommand) error {
	from, to, err := p.halves('y', "", false)
	if err != nil {
		return err
	}
	plain := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")
	from, to = plain.Replace(from), plain.Replace(to)
	if utf8.RuneCountInString(from) != utf8.RuneCountInString(to) {
		return fmt.Errorf("strings for `y' command are different lengths")
	}
	c.letters = map[rune]rune{}
	targets := []rune(to)
	for i, r := range []rune(from) {
		if _, twice := c.letters[r]; !twice {
			c.letters[r] = targets[i]
		}
	}
	return p.end()
}
