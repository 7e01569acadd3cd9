package verbs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/pfs-project/pfs/client"
)

// grepPrinter prints what is selected of one file.
type grepPrinter struct {
	g      *grepper
	name   string
	w      io.Writer
	binary bool
	hits   int
	last   int // line that was printed last
	follow int // lines still to print behind a match
	kept   [][]byte
}

// line takes one line; more is false when the rest of the file says nothing new.
func (p *grepPrinter) line(n int, line []byte) (more bool, err error) {
	g := p.g
	if g.re.Match(line) == g.invert {
		return true, p.beside(n, line)
	}
	p.hits++
	if g.silent || g.names || g.without || g.count {
		return g.count, nil
	}
	if g.app.JSON() {
		return true, json.NewEncoder(p.w).Encode(client.Match{File: p.name, Line: n, Content: string(line)})
	}
	if p.binary {
		_, err := fmt.Fprintf(p.w, "Binary file %s matches\n", p.name)
		return false, err
	}
	if g.only {
		for _, m := range g.re.FindAll(line, -1) {
			if len(m) > 0 && !g.invert && err == nil {
				err = p.print(n, m, ':')
			}
		}
		return true, err
	}
	if err := p.behind(n); err != nil {
		return true, err
	}
	p.follow = g.after
	return true, p.print(n, line, ':')
}

// beside keeps or prints a line that was not selected.
func (p *grepPrinter) beside(n int, line []byte) error {
	if p.follow > 0 {
		p.follow--
		return p.print(n, line, '-')
	}
	if p.g.before > 0 {
		if p.kept = append(p.kept, bytes.Clone(line)); len(p.kept) > p.g.before {
			p.kept = p.kept[1:]
		}
	}
	return nil
}

// behind prints the lines kept before line n, and a mark where some are left out.
func (p *grepPrinter) behind(n int) error {
	first := n - len(p.kept)
	if (p.g.before > 0 || p.g.after > 0) && p.last > 0 && first > p.last+1 {
		if _, err := io.WriteString(p.w, "--\n"); err != nil {
			return err
		}
	}
	for i, line := range p.kept {
		if err := p.print(first+i, line, '-'); err != nil {
			return err
		}
	}
	p.kept = nil
	return nil
}

// print prints one line behind its name and number.
func (p *grepPrinter) print(n int, line []byte, mark byte) error {
	p.last = n
	b := make([]byte, 0, len(line)+len(p.name)+16)
	if p.g.withName {
		b = append(append(b, p.name...), mark)
	}
	if p.g.numbers {
		b = append(strconv.AppendInt(b, int64(n), 10), mark)
	}
	_, err := p.w.Write(append(append(b, line...), '\n'))
	return err
}

// close says what is told of the file as a whole.
func (p *grepPrinter) close() (hit bool, err error) {
	g := p.g
	switch {
	case g.silent:
	case g.count && g.withName:
		_, err = fmt.Fprintf(p.w, "%s:%d\n", p.name, p.hits)
	case g.count:
		_, err = fmt.Fprintf(p.w, "%d\n", p.hits)
	case g.names && p.hits > 0, g.without && p.hits == 0:
		_, err = fmt.Fprintln(p.w, p.name)
	}
	if g.without {
		return p.hits == 0, err
	}
	return p.hits > 0, err
}
