package client

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"strconv"
)

// maxPart is how much one request of a handle reads, in bytes. A part that was
// cut off is asked for again.
const maxPart = 1 << 20

// ReadAt implements io.ReaderAt. Of a file that gives something away the first
// read takes it, once; this and later ones read from what was taken.
func (h *Handle) ReadAt(b []byte, off int64) (int, error) {
	if err := h.open("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: h.path, Err: fs.ErrInvalid}
	}
	n := 0
	for n < len(b) {
		k := h.call("read", http.MethodGet, "read")
		k.query.Set("offset", strconv.FormatInt(off+int64(n), 10))
		k.query.Set("size", strconv.Itoa(min(len(b)-n, maxPart)))
		a, err := h.c.do(h.ctx, k)
		if err != nil {
			return n, err
		}
		if len(a.data) == 0 {
			return n, io.EOF
		}
		n += copy(b[n:], a.data)
	}
	return n, nil
}

// Read implements io.Reader, from the position on.
func (h *Handle) Read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.ReadAt(b[:min(len(b), maxPart)], h.pos)
	h.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// written is what a node says of a write through a handle.
type written struct {
	Position int64 `json:"position"` // after it
}

func (h *Handle) write(b []byte, k call) (w written, err error) {
	k.body = func() (*upload, error) { return &upload{r: bytes.NewReader(b), size: int64(len(b))}, nil }
	_, err = h.c.json(h.ctx, k, &w)
	return w, err
}

// WriteAt implements io.WriterAt: all of b at once, or nothing. A hole is zeros.
// Of a file that was opened to append, the offset is used all the same.
func (h *Handle) WriteAt(b []byte, off int64) (int, error) {
	if err := h.open("write"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: h.path, Err: fs.ErrInvalid}
	}
	if len(b) == 0 {
		return 0, nil
	}
	k := h.change("write", http.MethodPut)
	k.query.Set("offset", strconv.FormatInt(off, 10))
	if _, err := h.write(b, k); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Write implements io.Writer, at the position, or at the end of a file that was
// opened to append.
func (h *Handle) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.append {
		n, err := h.WriteAt(b, h.pos)
		h.pos += int64(n)
		return n, err
	}
	if err := h.open("write"); err != nil || len(b) == 0 {
		return 0, err
	}
	w, err := h.write(b, h.change("write", http.MethodPut))
	if err != nil {
		return 0, err
	}
	h.pos = w.Position
	return len(b), nil
}

// Seek implements io.Seeker. Only from the end does it ask the node.
func (h *Handle) Seek(off int64, whence int) (int64, error) {
	if err := h.open("seek"); err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := int64(0)
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		at = h.pos
	case io.SeekEnd:
		i, err := h.Stat()
		if err != nil {
			return 0, err
		}
		at = i.Size
	default:
		return 0, &fs.PathError{Op: "seek", Path: h.path, Err: fs.ErrInvalid}
	}
	if at += off; at < 0 {
		return 0, &fs.PathError{Op: "seek", Path: h.path, Err: fs.ErrInvalid}
	}
	h.pos = at
	return at, nil
}

// Follow follows a stream from the position on, 0 for the oldest byte that is
// kept, until it ends or the caller closes it.
func (h *Handle) Follow() (io.ReadCloser, error) {
	if err := h.open("stream"); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.call("stream", http.MethodGet, "stream")
	if h.pos > 0 {
		k.query.Set("from", strconv.FormatInt(h.pos, 10))
	}
	k.slow = true
	return h.c.open(h.ctx, k)
}

// Interface guards.
var (
	_ io.ReadWriteSeeker = (*Handle)(nil)
	_ io.ReaderAt        = (*Handle)(nil)
	_ io.WriterAt        = (*Handle)(nil)
	_ io.Closer          = (*Handle)(nil)
)
