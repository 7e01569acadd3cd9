package content

import (
	"context"
	"fmt"
	"io"

	"github.com/pfs-project/pfs/vfs"
)

// ReadAt fills b from off of the file whose rows have the prefix key and whose
// length is size bytes, as [io.ReaderAt]: fewer bytes come with io.EOF. c
// reads chunks; it may be nil where there are none. Only rows that hold asked
// bytes are read. [vfs.Invalid] for a negative off.
func ReadAt(ctx context.Context, v vfs.View, c vfs.Chunks, key []byte, size int64, b []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	case off >= size:
		return 0, io.EOF
	case len(b) == 0:
		return 0, nil
	}
	var short error
	if int64(len(b)) > size-off {
		b, short = b[:size-off], io.EOF
	}
	if e, ok := only(v, key, size); ok {
		if err := fill(ctx, c, e, b, off); err != nil {
			return 0, err
		}
		return len(b), short
	}
	n := 0
	for k, row := range v.Scan(key, rowKey(key, off+1)) {
		e := decode(rowEnd(key, k), row)
		at := off + int64(n)
		if e.start > at { // never written as such; zeros are the only safe reading
			gap := int(min(e.start-at, int64(len(b)-n)))
			clear(b[n : n+gap])
			n += gap
			at = off + int64(n)
		}
		if n == len(b) {
			break
		}
		part := b[n : n+int(min(e.end-at, int64(len(b)-n)))]
		if err := fill(ctx, c, e, part, at-e.start); err != nil {
			return n, err
		}
		if n += len(part); n == len(b) {
			break
		}
	}
	clear(b[n:])
	return len(b), short
}

// only returns the extent of a file that is short and has one. It does without
// a Scan, whose price is the many replaced versions of a row that is written
// often.
func only(v vfs.View, key []byte, size int64) (extent, bool) {
	if size <= 0 || size > vfs.ChunkSize {
		return extent{}, false
	}
	row, ok := v.Get(rowKey(key, size))
	if !ok {
		return extent{}, false
	}
	e := decode(size, row)
	return e, e.start == 0
}

// fill reads part from skip bytes into e.
func fill(ctx context.Context, c vfs.Chunks, e extent, part []byte, skip int64) error {
	switch e.kind {
	case inline:
		copy(part, e.data[skip:])
	case hole:
		clear(part)
	case chunk:
		if c == nil {
			return vfs.Unavailable.With("content is kept in chunks and there is no reader of chunks")
		}
		return c.ReadChunk(ctx, e.ref, part, skip)
	}
	return nil
}

// Check names the first place where the rows do not tile a file of size bytes.
func Check(v vfs.View, key []byte, size int64) error {
	var at int64
	for k, row := range v.Scan(key, nil) {
		e := decode(rowEnd(key, k), row)
		if e.start != at {
			return fmt.Errorf("content: extent [%d, %d) does not start at %d", e.start, e.end, at)
		}
		at = e.end
	}
	if at != size {
		return fmt.Errorf("content: extents end at %d of %d bytes", at, size)
	}
	return nil
}

// Refs yields every chunk reference of the file, in order, for counting.
func Refs(v vfs.View, key []byte, yield func(vfs.ChunkRef)) {
	for k, row := range v.Scan(key, nil) {
		if e := decode(rowEnd(key, k), row); e.kind == chunk {
			yield(e.ref)
		}
	}
}
