package verbs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/vfs"
)

const (
	grepAhead = 16      // files that are searched ahead of the one that is printed
	grepSmall = 1 << 20 // bytes of a file that may be searched ahead
	grepLine  = 16 << 20
)

// search is one file to search.
type search struct {
	name string
	open func() (io.ReadCloser, error)
	size int64 // -1: not known
}

// searches searches several files at a time and prints in order. Add belongs to one
// goroutine.
type searches struct {
	g     *grepper
	ctx   context.Context
	stop  context.CancelFunc
	queue chan *searched
	done  sync.WaitGroup

	mu   sync.Mutex
	errs []error
	lost error // of stdout
}

// searched is a file under way: its output, once ready is closed.
type searched struct {
	search
	ready chan struct{}
	out   bytes.Buffer
	hit   bool
	err   error
	late  bool // to be searched when its turn comes
}

func newSearches(ctx context.Context, g *grepper) *searches {
	q := &searches{g: g, queue: make(chan *searched, grepAhead)}
	q.ctx, q.stop = context.WithCancel(ctx)
	q.done.Go(q.print)
	return q
}

// add searches one more file; an error ends all.
func (q *searches) add(s search) error {
	one := &searched{search: s, ready: make(chan struct{}), late: s.size < 0 || s.size > grepSmall}
	select {
	case q.queue <- one:
	case <-q.ctx.Done():
		return q.ctx.Err()
	}
	if one.late {
		return nil
	}
	q.done.Go(func() {
		defer close(one.ready)
		one.hit, one.err = q.g.file(one.search, &one.out)
	})
	return nil
}

// print prints what was searched, in order.
func (q *searches) print() {
	for one := range q.queue {
		if !one.late {
			<-one.ready
		}
		if q.ctx.Err() != nil {
			continue
		}
		if one.late {
			w := bufio.NewWriter(q.g.app.Stdout)
			one.hit, one.err = q.g.file(one.search, w)
			one.err = errors.Join(one.err, w.Flush())
		} else if _, err := one.out.WriteTo(q.g.app.Stdout); err != nil {
			q.lost = err
			q.stop()
		}
		q.mu.Lock()
		q.g.matched = q.g.matched || one.hit
		if one.err != nil {
			q.errs = append(q.errs, one.err)
		}
		q.mu.Unlock()
		if q.g.silent && one.hit {
			q.stop()
		}
	}
}

// over reports whether nothing more is to be searched.
func (q *searches) over() bool { return q.ctx.Err() != nil }

// end waits for what is under way, and reports what could not be searched.
func (q *searches) end(report func(error)) error {
	close(q.queue)
	q.done.Wait()
	q.stop()
	for _, err := range q.errs {
		report(err)
	}
	return q.lost
}

// file searches one file.
func (g *grepper) file(s search, w io.Writer) (hit bool, err error) {
	r, err := s.open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	p := &grepPrinter{g: g, name: cli.Plain(s.name), w: w}
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return false, err
	}
	p.binary = bytes.IndexByte(head, 0) >= 0
	for n := 1; p.hits != g.most; n++ {
		line, err := longLine(in)
		if len(line) > 0 {
			if more, werr := p.line(n, bytes.TrimSuffix(line, []byte{'\n'})); werr != nil {
				return p.hits > 0, werr
			} else if !more {
				break
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return p.hits > 0, err
		}
	}
	return p.close()
}

// longLine reads a line with its end.
func longLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, err
	}
	all := bytes.Clone(line)
	for err == bufio.ErrBufferFull {
		if len(all) > grepLine {
			return nil, vfs.TooLarge.Withf("a line is longer than %d MiB", grepLine>>20)
		}
		line, err = r.ReadSlice('\n')
		all = append(all, line...)
	}
	return all, err
}
