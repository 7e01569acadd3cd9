package text

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
)

// openAll opens all operands at once, or standard input if there are none.
func (c *Call) openAll(ctx context.Context, names []string) ([]*lines, func(), error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	var all []*lines
	var opened []io.Closer
	closeAll := func() {
		for _, f := range opened {
			f.Close()
		}
	}
	var in *lines // of standard input, however often it is named
	for _, name := range names {
		if name == "-" && in != nil {
			all = append(all, in)
			continue
		}
		f, err := c.open(ctx, name)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		opened = append(opened, f)
		l := newLines(f)
		if name == "-" {
			in = l
		}
		all = append(all, l)
	}
	return all, closeAll, nil
}

// openPair opens the two operands that a tool has to have.
func (c *Call) openPair(ctx context.Context, names []string) ([]*lines, func(), error) {
	if len(names) != 2 {
		return nil, nil, fail(1, "two files are needed, as %s A B", c.Args[0])
	}
	return c.openAll(ctx, names)
}

// paste joins lines of files, side by side or, with -s, one after another.
func paste(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := syntax{flags: "d:s", usage: 1, long: map[string]string{"delimiters": "d", "serial": "s"}}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	delims := pasteDelimiters(last(opts, 'd', "\t"))
	if has(opts, 's') {
		return c.each(ctx, names, func(_ string, r io.Reader) error { return pasteSerial(newLines(r), out, delims) })
	}
	all, closeAll, err := c.openAll(ctx, names)
	if err != nil {
		return err
	}
	defer closeAll()
	done := make([]bool, len(all))
	for {
		var row bytes.Buffer
		left := len(all)
		for i, l := range all {
			if i > 0 {
				row.WriteString(delims[(i-1)%len(delims)])
			}
			if done[i] {
				left--
				continue
			}
			line, err := l.next()
			switch {
			case err == io.EOF:
				done[i] = true
				left--
			case err != nil:
				return err
			}
			row.Write(line)
		}
		if left == 0 {
			return nil
		}
		if err := put(out, row.Bytes()); err != nil {
			return err
		}
	}
}

// pasteDelimiters splits a list; "\0" is no delimiter at all.
func pasteDelimiters(list string) (out []string) {
	for len(list) > 0 {
		if strings.HasPrefix(list, `\0`) {
			out, list = append(out, ""), list[2:]
			continue
		}
		b, rest := setByte(list)
		out, list = append(out, string([]byte{b})), rest
	}
	if len(out) == 0 {
		return []string{""}
	}
	return out
}

func pasteSerial(l *lines, out *bufio.Writer, delims []string) error {
	err := l.all(func(line []byte) error {
		if l.number > 1 {
			out.WriteString(delims[(l.number-2)%len(delims)])
		}
		_, err := out.Write(line)
		return err
	})
	if err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// comm prints lines of two sorted files in three columns: of the first alone, of
// the second alone, of both.
func comm(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := syntax{flags: "123", usage: 1}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	all, closeAll, err := c.openPair(ctx, names)
	if err != nil {
		return err
	}
	defer closeAll()
	var pad [3]string
	var hide [3]bool
	for i := range 3 {
		hide[i] = has(opts, byte('1'+i))
		for j := range i {
			if !hide[j] {
				pad[i] += "\t"
			}
		}
	}
	return merge(all[0], all[1], bytes.Compare, func(column int, line, _ []byte) error {
		if hide[column] {
			return ctx.Err()
		}
		out.WriteString(pad[column])
		return put(out, line)
	})
}

// merge walks through two sorted inputs and tells of each line in which it is: 0,
// 1, or 2 for both, with both lines.
func merge(a, b *lines, compare func(x, y []byte) int, do func(column int, x, y []byte) error) error {
	x, errX := a.next()
	y, errY := b.next()
	for errX == nil || errY == nil {
		n := 0
		switch {
		case errX != nil && errX != io.EOF:
			return errX
		case errY != nil && errY != io.EOF:
			return errY
		case errX == io.EOF:
			n = 1
		case errY == io.EOF:
			n = -1
		default:
			n = compare(x, y)
		}
		var err error
		switch {
		case n < 0:
			err = do(0, x, nil)
			x, errX = a.next()
		case n > 0:
			err = do(1, y, nil)
			y, errY = b.next()
		default:
			err = do(2, x, y)
			x, errX = a.next()
			y, errY = b.next()
		}
		if err != nil {
			return err
		}
	}
	if errX != io.EOF {
		return errX
	}
	if errY != io.EOF {
		return errY
	}
	return nil
}

// joining is what the flags of join ask for.
type joining struct {
	field [2]int // from 0
	tab   int
	also  [2]bool // print lines without a partner
	only  bool    // print no pairs
	empty string
	form  [][2]int // file and field from 1; file 0 is the joined field
	fold  bool
	out   *bufio.Writer
}

var joinSyntax = syntax{flags: "1:2:a:e:ij:o:t:v:", usage: 1}

// join pairs the lines of two files, sorted by the joined field, where those fields
// are equal.
func join(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := joinSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	j := &joining{tab: -1, out: out, fold: has(opts, 'i')}
	for _, o := range opts {
		if err := j.set(o); err != nil {
			return err
		}
	}
	all, closeAll, err := c.openPair(ctx, names)
	if err != nil {
		return err
	}
	defer closeAll()
	return j.all(ctx, all[0], all[1])
}

func (j *joining) set(o option) (err error) {
	switch o.name {
	case '1', '2', 'j':
		n, err := count("field number", o.value, 1)
		if err != nil {
			return err
		}
		if o.name != '2' {
			j.field[0] = n - 1
		}
		if o.name != '1' {
			j.field[1] = n - 1
		}
	case 'a', 'v':
		n, err := count("file number", o.value, 1)
		if err != nil || n > 2 {
			return fail(1, "invalid file number: '%s'", o.value)
		}
		j.also[n-1] = true
		j.only = j.only || o.name == 'v'
	case 'e':
		j.empty = o.value
	case 't':
		if len(o.value) != 1 {
			return fail(1, "multi-character tab '%s'", o.value)
		}
		j.tab = int(o.value[0])
	case 'o':
		return j.format(o.value)
	}
	return nil
}

// format reads the value of -o, as "0,1.2,2.3".
func (j *joining) format(list string) error {
	for f := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		file, field, dotted := strings.Cut(f, ".")
		x, err := strconv.Atoi(file)
		n := 0
		if dotted && err == nil {
			n, err = strconv.Atoi(field)
		}
		if err != nil || dotted && (x < 1 || x > 2 || n < 1) || !dotted && x != 0 {
			return fail(1, "invalid field specifier: '%s'", f)
		}
		j.form = append(j.form, [2]int{x, n})
	}
	return nil
}

func (j *joining) split(line []byte) [][]byte {
	if j.tab >= 0 {
		return bytes.Split(line, []byte{byte(j.tab)})
	}
	return bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
}

func (j *joining) key(file int, fields [][]byte) []byte {
	if j.field[file] < len(fields) {
		return fields[j.field[file]]
	}
	return nil
}

// joinSide is one file: the next line, and the lines with one key.
type joinSide struct {
	*joining
	file int
	from *lines
	next [][]byte // fields; nil at the end
}

func (s *joinSide) advance() error {
	line, err := s.from.next()
	if err == io.EOF {
		s.next = nil
		return nil
	}
	if err == nil {
		if s.next = s.split(bytes.Clone(line)); s.next == nil {
			s.next = [][]byte{}
		}
	}
	return err
}

// group takes all lines that have the key of the next one.
func (s *joinSide) group(compare func(a, b []byte) int) (rows [][][]byte, err error) {
	key, size := s.key(s.file, s.next), 0
	for s.next != nil && compare(s.key(s.file, s.next), key) == 0 {
		rows = append(rows, s.next)
		for _, f := range s.next {
			size += len(f) + spanCost
		}
		if size > sortMemory {
			return nil, fail(1, "the lines with the key '%s' are more than %d bytes", key, sortMemory)
		}
		if err := s.advance(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (j *joining) compareKeys(a, b []byte) int {
	if j.fold {
		a, b = lowered(a), lowered(b)
	}
	return bytes.Compare(a, b)
}

func (j *joining) all(ctx context.Context, a, b *lines) error {
	x, y := &joinSide{joining: j, from: a}, &joinSide{joining: j, file: 1, from: b}
	if err := x.advance(); err != nil {
		return err
	}
	if err := y.advance(); err != nil {
		return err
	}
	for (x.next != nil || y.next != nil) && ctx.Err() == nil {
		n := 0
		switch {
		case x.next == nil:
			n = 1
		case y.next == nil:
			n = -1
		default:
			n = j.compareKeys(j.key(0, x.next), j.key(1, y.next))
		}
		var err error
		switch {
		case n < 0:
			err = j.alone(x)
		case n > 0:
			err = j.alone(y)
		default:
			err = j.pairs(x, y)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (j *joining) alone(s *joinSide) error {
	row := s.next
	if j.also[s.file] {
		var rows [2][][]byte
		rows[s.file] = row
		if err := j.print(j.key(s.file, row), rows[0], rows[1]); err != nil {
			return err
		}
	}
	return s.advance()
}

func (j *joining) pairs(x, y *joinSide) error {
	left, err := x.group(j.compareKeys)
	if err != nil {
		return err
	}
	right, err := y.group(j.compareKeys)
	if err != nil || j.only {
		return err
	}
	for _, l := range left {
		for _, r := range right {
			if err := j.print(j.key(0, l), l, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *joining) print(key []byte, l, r [][]byte) error {
	sep := []byte{' '}
	if j.tab >= 0 {
		sep[0] = byte(j.tab)
	}
	var row [][]byte
	if j.form == nil {
		row = append(row, key)
		for file, fields := range [2][][]byte{l, r} {
			for i, f := range fields {
				if i != j.field[file] {
					row = append(row, f)
				}
			}
		}
	}
	for _, f := range j.form {
		value := key
		if f[0] > 0 {
			value = nil
			if fields := [2][][]byte{l, r}[f[0]-1]; f[1] <= len(fields) {
				value = fields[f[1]-1]
			}
		}
		if len(value) == 0 {
			value = []byte(j.empty)
		}
		row = append(row, value)
	}
	return put(j.out, bytes.Join(row, sep))
}
