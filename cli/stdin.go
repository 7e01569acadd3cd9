package cli

import (
	"context"
	"io"
)

// inputPiece is how much of an input is read at a time, in bytes.
const inputPiece = 64 << 10

// Interruptible is r until ctx ends: a Read that waits then returns the error of ctx,
// and what r gives afterwards is lost. It is for one goroutine.
func Interruptible(ctx context.Context, r io.Reader) io.Reader { return &interruptible{ctx: ctx, r: r} }

type interruptible struct {
	ctx context.Context // of the program: io.Reader has none
	r   io.Reader
	buf []byte
}

// Read reads on. A file of the system can neither be waited for with a context nor,
// as a rule, be woken; a Read that is left has its own memory.
func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	want := min(len(b), inputPiece)
	if len(i.buf) < want {
		i.buf = make([]byte, want)
	}
	type part struct {
		n   int
		err error
	}
	read, buf := make(chan part, 1), i.buf[:want]
	go func() {
		n, err := i.r.Read(buf)
		read <- part{n, err}
	}()
	select {
	case p := <-read:
		return copy(b, buf[:p.n]), p.err
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	}
}
