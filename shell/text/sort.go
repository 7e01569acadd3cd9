package text

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// sorting is what the flags of sort ask for.
type sorting struct {
	keys   []sortKey
	global sortOrder
	tab    int // the byte between fields, -1 for blanks
	unique bool
	stable bool // equal keys keep their order; lines are not compared as a whole
	check  byte // 'c', 'C' or 0
	merge  bool
	delim  byte
	output string
	memory int // bytes of lines that are sorted at once
}

const (
	sortMemory    = 32 << 20
	sortMemoryMin = 4 << 10
	exitDisorder  = 1
	exitSort      = 2 // of any other trouble
)

var sortSyntax = syntax{flags: "bcCdfghik:mno:rsS:t:T:uVz", usage: exitSort, long: map[string]string{
	"ignore-leading-blanks": "b", "dictionary-order": "d", "ignore-case": "f", "general-numeric-sort": "g",
	"human-numeric-sort": "h", "ignore-nonprinting": "i", "key": "k", "merge": "m", "numeric-sort": "n", "output": "o",
	"reverse": "r", "stable": "s", "buffer-size": "S", "field-separator": "t", "unique": "u", "version-sort": "V",
	"zero-terminated": "z", "check": "c",
}}

// sortTool is sort: in memory up to 32 MiB (-S), then in parts that are merged.
func sortTool(ctx context.Context, c *Call, out *bufio.Writer) error {
	s, names, err := newSorting(c.Args[1:])
	if err != nil {
		return fail(exitSort, "%s", err)
	}
	if s.check != 0 {
		return s.checkAll(ctx, c, names)
	}
	all := &runs{sorting: s}
	defer all.close()
	read := all.add
	if s.merge {
		read = all.addSorted
	}
	if err := c.each(ctx, names, func(_ string, r io.Reader) error { return read(ctx, r) }); err != nil {
		if err == status(1) {
			return status(exitSort)
		}
		return err
	}
	if s.output == "" {
		return all.print(ctx, out)
	}
	return c.write(ctx, s.output, false, func(w *bufio.Writer) error { return all.print(ctx, w) })
}

// write creates a file that do fills. It is committed only if do succeeds.
func (c *Call) write(ctx context.Context, name string, appendTo bool, do func(*bufio.Writer) error) error {
	f, err := c.Create(ctx, name, appendTo)
	if err != nil {
		return fmt.Errorf("%s: %w", name, reason(err))
	}
	w := bufio.NewWriterSize(f, bufSize)
	err = do(w)
	if err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil && closed != nil {
		err = fmt.Errorf("%s: %w", name, reason(closed))
	}
	return err
}

func newSorting(args []string) (*sorting, []string, error) {
	s := &sorting{tab: -1, delim: '\n', memory: sortMemory}
	opts, names, err := sortSyntax.parse(args)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range opts {
		if err := s.set(o); err != nil {
			return nil, nil, err
		}
	}
	for i := range s.keys {
		if k := &s.keys[i]; k.order == (sortOrder{}) && !k.blankEnd {
			k.order, k.blankEnd = s.global, s.global.blank
		}
	}
	if len(s.keys) == 0 && s.global != (sortOrder{}) && s.global != (sortOrder{reverse: true}) {
		s.keys = []sortKey{{order: s.global, endField: -1}}
	}
	if s.check != 0 && len(names) > 1 {
		return nil, nil, fmt.Errorf("extra operand '%s' not allowed with -%c", names[1], s.check)
	}
	return s, names, nil
}

// set takes one flag.
func (s *sorting) set(o option) (err error) {
	if s.global.set(o.name) {
		return nil
	}
	switch o.name {
	case 'c', 'C':
		s.check = o.name
	case 'k':
		var k sortKey
		k, err = parseKey(o.value)
		s.keys = append(s.keys, k)
	case 'm':
		s.merge = true
	case 'o':
		s.output = o.value
	case 't':
		return s.separate(o.value)
	default:
		return s.setMore(o)
	}
	return err
}

func (s *sorting) setMore(o option) (err error) {
	switch o.name {
	case 's':
		s.stable = true
	case 'u':
		s.unique = true
	case 'z':
		s.delim = 0
	case 'S':
		s.memory, err = parseMemory(o.value)
	case 'T':
		err = fmt.Errorf("-T is not supported: set TMPDIR where pfs is started")
	}
	return err
}

func (s *sorting) separate(tab string) error {
	switch {
	case tab == "\\0":
		s.tab = 0
	case len(tab) != 1:
		return fmt.Errorf("multi-character tab '%s'", tab)
	default:
		s.tab = int(tab[0])
	}
	return nil
}

// parseMemory reads the value of -S: KiB, or with a suffix b, K, M or G.
func parseMemory(v string) (int, error) {
	digits := strings.TrimRight(v, "bKkMG")
	n, err := strconv.Atoi(digits)
	unit, known := map[string]int{"": 1 << 10, "b": 1, "K": 1 << 10, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}[v[len(digits):]]
	if err != nil || !known || n < 0 || n > 1<<20 {
		return 0, fmt.Errorf("invalid -S argument '%s'", v)
	}
	return max(n*unit, sortMemoryMin), nil
}

// checkAll reports the first line that is out of order.
func (s *sorting) checkAll(ctx context.Context, c *Call, names []string) error {
	var last []byte
	err := c.each(ctx, names, func(name string, r io.Reader) error {
		l := newLines(r)
		l.delim = s.delim
		return l.all(func(line []byte) error {
			if l.number > 1 {
				if n := s.compare(last, line); n > 0 || n == 0 && s.unique {
					if s.check == 'C' {
						return status(exitDisorder)
					}
					return fail(exitDisorder, "%s:%d: disorder: %s", name, l.number, line)
				}
			}
			last = append(last[:0], line...)
			return ctx.Err()
		})
	})
	return err
}

// compare orders two lines: by the keys, then as a whole.
func (s *sorting) compare(a, b []byte) int {
	for i := range s.keys {
		if n := s.keys[i].compare(a, b, s.tab); n != 0 {
			return n
		}
	}
	if len(s.keys) > 0 && (s.stable || s.unique) {
		return 0
	}
	n := bytes.Compare(a, b)
	if s.global.reverse {
		return -n
	}
	return n
}
