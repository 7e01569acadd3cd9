package text

import (
	"bufio"
	"container/heap"
	"context"
	"io"
	"os"
	"slices"
)

// runs are the lines that sort has read: one part in memory, and sorted parts in a
// temporary file. The file has no name, so that it ends with the process.
type runs struct {
	*sorting
	arena  []byte
	at     []span
	file   *os.File
	size   int64 // of file, in bytes
	sorted []span64
}

// span is a line in the arena; span64 is a part of the file.
type span struct{ from, to int }
type span64 struct{ from, size int64 }

const (
	spanCost = 16  // bytes of one span in memory
	maxRuns  = 128 // parts that are merged at once
)

// add reads lines, and sorts and writes them out when memory is full.
func (r *runs) add(ctx context.Context, from io.Reader) error {
	l := newLines(from)
	l.delim = r.delim
	return l.all(func(line []byte) error {
		if len(r.at) > 0 && len(r.arena)+len(line)+spanCost*len(r.at) > r.memory {
			if err := r.spill(ctx); err != nil {
				return err
			}
		}
		start := len(r.arena)
		r.arena = append(r.arena, line...)
		r.at = append(r.at, span{start, len(r.arena)})
		return nil
	})
}

// addSorted takes an input that is sorted already, for -m, as a part.
func (r *runs) addSorted(ctx context.Context, from io.Reader) error {
	return r.part(func(w *bufio.Writer) error {
		l := newLines(from)
		l.delim = r.delim
		return l.all(func(line []byte) error {
			w.Write(line) // its error stays in w
			return w.WriteByte(r.delim)
		})
	})
}

// spill writes what is in memory as a sorted part.
func (r *runs) spill(ctx context.Context) error {
	if err := r.order(ctx); err != nil {
		return err
	}
	err := r.part(func(w *bufio.Writer) error {
		for _, s := range r.at {
			w.Write(r.arena[s.from:s.to]) // its error stays in w
			w.WriteByte(r.delim)
		}
		return nil
	})
	r.arena, r.at = r.arena[:0], r.at[:0]
	return err
}

// order sorts what is in memory. The context is looked at now and then.
func (r *runs) order(ctx context.Context) error {
	var err error
	n := 0
	slices.SortFunc(r.at, func(a, b span) int { // faster than a stable one
		if n++; n%4096 == 0 && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0
		}
		if order := r.compare(r.arena[a.from:a.to], r.arena[b.from:b.to]); order != 0 {
			return order
		}
		return a.from - b.from // equal lines keep their order; empty ones look the same
	})
	return err
}

// part appends a part to the file.
func (r *runs) part(fill func(*bufio.Writer) error) error {
	if r.file == nil {
		f, err := unnamed()
		if err != nil {
			return err
		}
		r.file = f
	}
	start := r.size
	counted := &counter{w: io.NewOffsetWriter(r.file, start)}
	out := bufio.NewWriterSize(counted, bufSize)
	err := fill(out)
	if err == nil {
		err = out.Flush()
	}
	r.size += counted.n
	r.sorted = append(r.sorted, span64{start, counted.n})
	return err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (r *runs) close() {
	if r.file != nil {
		r.file.Close() // it has no name: it is gone
	}
}

// print writes all lines in order.
func (r *runs) print(ctx context.Context, out *bufio.Writer) error {
	if len(r.sorted) == 0 {
		if err := r.order(ctx); err != nil {
			return err
		}
		w := &uniqueLines{sorting: r.sorting, out: out}
		for _, s := range r.at {
			if err := w.put(r.arena[s.from:s.to]); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	if err := r.spill(ctx); err != nil {
		return err
	}
	for len(r.sorted) > maxRuns {
		first := r.sorted[:maxRuns]
		rest := slices.Clone(r.sorted[maxRuns:])
		r.sorted = nil
		if err := r.part(func(w *bufio.Writer) error { return r.mergeRuns(ctx, first, w) }); err != nil {
			return err
		}
		r.sorted = append(r.sorted, rest...) // the merged part stays in front: equal lines keep their order
	}
	return r.mergeRuns(ctx, r.sorted, out)
}

// mergeRuns writes the lines of sorted parts in order.
func (r *runs) mergeRuns(ctx context.Context, parts []span64, out *bufio.Writer) error {
	h := &heads{sorting: r.sorting}
	for i, p := range parts {
		l := newLines(io.NewSectionReader(r.file, p.from, p.size))
		l.delim = r.delim
		line, err := l.next()
		if err == io.EOF {
			continue
		}
		if err != nil {
			return err
		}
		h.of = append(h.of, head{l, line, i})
	}
	heap.Init(h)
	w := &uniqueLines{sorting: r.sorting, out: out}
	for n := 0; len(h.of) > 0; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		top := &h.of[0]
		if err := w.put(top.line); err != nil {
			return err
		}
		line, err := top.from.next()
		switch {
		case err == io.EOF:
			heap.Pop(h)
		case err != nil:
			return err
		default:
			top.line = line
			heap.Fix(h, 0)
		}
	}
	return nil
}

// uniqueLines prints lines, under -u only the first of equal ones.
type uniqueLines struct {
	*sorting
	out  *bufio.Writer
	last []byte
	any  bool
}

func (u *uniqueLines) put(line []byte) error {
	if u.unique {
		if u.any && u.compare(u.last, line) == 0 {
			return nil
		}
		u.last, u.any = append(u.last[:0], line...), true
	}
	u.out.Write(line) // its error stays in out
	return u.out.WriteByte(u.delim)
}

// heads are the first lines of parts that are merged.
type heads struct {
	*sorting
	of []head
}

type head struct {
	from *lines
	line []byte
	rank int
}

func (h *heads) Len() int      { return len(h.of) }
func (h *heads) Swap(i, j int) { h.of[i], h.of[j] = h.of[j], h.of[i] }
func (h *heads) Push(any)      {}
func (h *heads) Pop() any {
	h.of = h.of[:len(h.of)-1]
	return nil
}

func (h *heads) Less(i, j int) bool {
	n := h.compare(h.of[i].line, h.of[j].line)
	return n < 0 || n == 0 && h.of[i].rank < h.of[j].rank
}
