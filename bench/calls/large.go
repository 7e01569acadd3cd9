package calls

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The large file.
const (
	leastLarge = 1 << 20   // bytes: less tells nothing
	window     = 256 << 10 // bytes that are read at once, as the API does
	again      = 3 * time.Second
)

// large measures one long file. One that is too long for the plugin is halved until
// it is not.
func (r *runner) large(ctx context.Context) error {
	size := r.Size
	for first := true; ; first = false {
		err := r.plugin.put(ctx, r.sample.file, newSource(size))
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if first {
			r.note("a file of %s is too much for it: %v", sizeText(size), err)
		}
		switch {
		case vfs.KindOf(err) == vfs.TooLarge && !r.plugin.pieces:
			r.plugin.pieces = true // what a client can do, too
		case size/2 < leastLarge:
			r.note("no large file is measured")
			return nil
		default:
			size /= 2
		}
	}
	for _, what := range []struct {
		name string
		do   func(side, vfs.Path) error
	}{
		{"write", func(s side, p vfs.Path) error { return s.put(ctx, p, newSource(size)) }},
		{"read", func(s side, p vfs.Path) error { return readAll(ctx, s, p, size) }},
	} {
		rate := Rate{What: what.name + " " + sizeText(size), Bytes: size}
		r.Tell(rate.What)
		var err error
		if rate.MBs, err = fast(ctx, size, func() error { return what.do(r.plugin, r.sample.file) }); err != nil {
			return fmt.Errorf("%s: %w", rate.What, err)
		}
		if rate.Builtin, err = fast(ctx, size, func() error { return what.do(r.builtin, r.dot) }); err != nil {
			return err
		}
		rate.Ratio = rate.MBs / rate.Builtin
		r.report.Rates = append(r.report.Rates, rate)
	}
	if r.plugin.pieces {
		r.note("the large file is written in pieces of %s", sizeText(vfs.MaxInline))
	}
	return nil
}

// fast returns the better of two runs, or the only one of what takes long.
func fast(ctx context.Context, size int64, do func() error) (best float64, err error) {
	for range 2 {
		began := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		took := time.Since(began)
		if best = max(best, float64(size)/1e6/took.Seconds()); took > again {
			break
		}
	}
	return best, ctx.Err()
}

// readAll reads a file to its end, and looks at its ends.
func readAll(ctx context.Context, s side, p vfs.Path, size int64) error {
	buf, want := make([]byte, window), newSource(size).block
	for off := int64(0); off < size; {
		n, err := s.readAt(ctx, p, buf[:min(window, size-off)], off)
		if err != nil && err != io.EOF {
			return err
		}
		at := int(off % int64(len(want)))
		if end := min(n, len(want)-at); n == 0 || (off == 0 || off+int64(n) == size) && !bytes.Equal(buf[:end], want[at:at+end]) {
			return fmt.Errorf("the file is not what was written, at %d", off)
		}
		off += int64(n)
	}
	return nil
}

// source is so many bytes that do not compress.
type source struct {
	block []byte
	at    int64
	size  int64
}

func newSource(size int64) *source {
	s := &source{block: make([]byte, 1<<20), size: size}
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(s.block) // never fails
	return s
}

// Read gives the next bytes.
func (s *source) Read(b []byte) (int, error) {
	if s.at == s.size {
		return 0, io.EOF
	}
	from := s.block[s.at%int64(len(s.block)):]
	n := copy(b, from[:min(int64(len(from)), s.size-s.at)])
	s.at += int64(n)
	return n, nil
}
