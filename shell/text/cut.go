package text

import (
	"bufio"
	"bytes"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ranges are the positions that cut keeps, from 1, in order and apart.
type ranges []span

var cutSyntax = syntax{flags: "b:c:d:f:nsz", usage: 1, long: map[string]string{
	"bytes": "b", "characters": "c", "delimiter": "d", "fields": "f", "only-delimited": "s", "complement": "C", "output-delimiter": "o", "zero-terminated": "z",
}}

// cutting is what the flags of cut ask for.
type cutting struct {
	keep      ranges
	fields    bool
	delim     byte
	join      string // between the parts that are kept; "" for bytes by default
	delimited bool   // only lines with the delimiter
}

// cut prints parts of lines. -c counts bytes, as GNU's does.
func cut(ctx context.Context, c *Call, out *bufio.Writer) error {
	s := cutSyntax
	s.flags += "Co:"
	opts, names, err := s.parse(c.Args[1:])
	if err != nil {
		return err
	}
	cut, err := newCutting(opts)
	if err != nil {
		return err
	}
	end := byte('\n')
	if has(opts, 'z') {
		end = 0
	}
	return c.eachLineTo(ctx, names, end, func(line []byte, _ bool) error {
		if cut.fields {
			return cut.printFields(out, line, end)
		}
		cut.printBytes(out, line)
		return out.WriteByte(end)
	})
}

func newCutting(opts []option) (*cutting, error) {
	cut := &cutting{delim: '\t', delimited: has(opts, 's')}
	var list string
	lists := 0
	for _, o := range opts {
		switch o.name {
		case 'b', 'c', 'f':
			list, cut.fields = o.value, o.name == 'f'
			lists++
		case 'd':
			if len(o.value) > 1 {
				return nil, fail(1, "the delimiter must be a single character")
			}
			cut.delim = (o.value + "\x00")[0]
		}
	}
	switch {
	case lists == 0:
		return nil, fail(1, "you must specify a list of bytes, characters, or fields")
	case lists > 1:
		return nil, fail(1, "only one list may be specified")
	case !cut.fields && (has(opts, 'd') || cut.delimited):
		return nil, fail(1, "an input delimiter may be specified only when operating on fields")
	}
	var err error
	if cut.keep, err = parseRanges(list); err != nil {
		return nil, err
	}
	if has(opts, 'C') {
		cut.keep = cut.keep.others()
	}
	if cut.fields {
		cut.join = string(cut.delim)
	}
	cut.join = last(opts, 'o', cut.join)
	return cut, nil
}

// parseRanges reads "1,3-5,7-".
func parseRanges(list string) (ranges, error) {
	var all ranges
	for part := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		from, to, both := strings.Cut(part, "-")
		s := span{1, math.MaxInt - 1}
		var err error
		if from != "" {
			s.from, err = strconv.Atoi(from)
		}
		if to != "" && err == nil {
			s.to, err = strconv.Atoi(to)
		}
		if !both {
			s.to = s.from
		}
		s.from, s.to = min(s.from, math.MaxInt-1), min(s.to, math.MaxInt-1)
		switch {
		case err != nil || part == "-":
			return nil, fail(1, "invalid field range '%s'", part)
		case s.from < 1 || s.to < 1:
			return nil, fail(1, "fields and positions are numbered from 1")
		case s.to < s.from:
			return nil, fail(1, "invalid decreasing range")
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fail(1, "fields and positions are numbered from 1")
	}
	slices.SortFunc(all, func(a, b span) int { return a.from - b.from })
	out := all[:1]
	for _, s := range all[1:] {
		if top := &out[len(out)-1]; s.from <= top.to {
			top.to = max(top.to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out, nil
}

// others are the positions that r does not have.
func (r ranges) others() (out ranges) {
	next := 1
	for _, s := range r {
		if s.from > next {
			out = append(out, span{next, s.from - 1})
		}
		next = s.to + 1
	}
	return append(out, span{next, math.MaxInt - 1})
}

func (c *cutting) printBytes(out *bufio.Writer, line []byte) {
	for i, s := range c.keep {
		if s.from > len(line) {
			return
		}
		if i > 0 {
			out.WriteString(c.join)
		}
		out.Write(line[s.from-1 : min(s.to, len(line))])
	}
}

func (c *cutting) printFields(out *bufio.Writer, line []byte, end byte) error {
	if bytes.IndexByte(line, c.delim) < 0 {
		if c.delimited {
			return nil
		}
		out.Write(line) // its error stays in out
		return out.WriteByte(end)
	}
	n, printed, keep := 0, false, c.keep
	for more := true; more && len(keep) > 0; {
		var field []byte
		field, line, more = bytes.Cut(line, []byte{c.delim})
		if n++; n > keep[0].to {
			keep = keep[1:]
		}
		if len(keep) > 0 && n >= keep[0].from {
			if printed {
				out.WriteString(c.join)
			}
			out.Write(field)
			printed = true
		}
	}
	return out.WriteByte(end)
}
