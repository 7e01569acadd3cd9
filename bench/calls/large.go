package calls

import (
	"bytes"
	"context"
	"errors"
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

// large measures a long file. One that is too long for the plugin is halved until it is
// not, and goes as often as it takes for the same number of bytes.
func (r *runner) large(ctx context.Context) error {
	for size := r.Size; ; {
		rates, err := r.rates(ctx, size)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errGarbled):
			return err
		case err == nil && r.plugin.pieces:
			r.note("the large file is written in pieces of %s", sizeText(vfs.MaxInline))
			fallthrough
		case err == nil:
			r.report.Rates = rates
			return nil
		case size == r.Size && !r.plugin.pieces:
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
}

// rates measures a file of one size, over and over until all of r.Size has gone.
func (r *runner) rates(ctx context.Context, size int64) (rates []Rate, err error) {
	for _, what := range []struct {
		name string
		do   func(side, vfs.Path) error
	}{
		{"write", func(s side, p vfs.Path) error { return s.put(ctx, p, newSource(size)) }},
		{"read", func(s side, p vfs.Path) error { return readAll(ctx, s, p, size) }},
	} {
		times := r.Size / size
		rate := Rate{What: what.name + " " + sizeText(size), Bytes: times * size}
		if times > 1 {
			rate.What = fmt.Sprintf("%s %d × %s", what.name, times, sizeText(size))
		}
		r.Tell(rate.What)
		if rate.MBs, err = fast(ctx, func() error { return what.do(r.plugin, r.sample.file) }, times, size); err != nil {
			return nil, err
		}
		if rate.Builtin, err = fast(ctx, func() error { return what.do(r.builtin, r.dot) }, times, size); err != nil {
			return nil, err
		}
		rate.Ratio = rate.MBs / rate.Builtin
		rates = append(rates, rate)
	}
	return rates, nil
}

// errGarbled: what is read is not what was written.
var errGarbled = errors.New("the file is not what was written")

// fast returns the better of two runs, or the only one of what takes long, each of so
// many files.
func fast(ctx context.Context, do func() error, files, size int64) (best float64, err error) {
	for range 2 {
		began := time.Now()
		for range files {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if err := do(); err != nil {
				return 0, err
			}
		}
		took := time.Since(began)
		if best = max(best, float64(files*size)/1e6/took.Seconds()); took > again {
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
			return fmt.Errorf("%w, at %d", errGarbled, off)
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
