package verbs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/pfs-project/pfs/client"
)

// tailBlock is how much of a file's end is looked at at a time, in bytes.
const tailBlock = 64 << 10

// known shows the end of a file whose length is known.
func (f *tailed) known(ctx context.Context, size int64, out io.Writer) error {
	switch {
	case f.n.bytes && f.n.fromStart:
		return f.copy(ctx, min(max(f.n.n-1, 0), size), size, out)
	case f.n.bytes:
		return f.copy(ctx, max(size-f.n.n, 0), size, out)
	case f.n.fromStart:
		r, err := f.c.OpenRange(ctx, f.path, client.Range{Size: size})
		if err != nil {
			return err
		}
		defer r.Close()
		return f.ending(r, out)
	case f.n.n == 0:
		return nil
	}
	left := f.n.n // line ends to find, counted from the end
	for at, first := size, true; at > 0; first = false {
		from := max(at-tailBlock, 0)
		block, err := f.block(ctx, from, at)
		if err != nil {
			return err
		}
		text := block
		if first && last(string(text)) == '\n' {
			text = text[:len(text)-1] // it ends the last line
		}
		for i := bytes.LastIndexByte(text, '\n'); i >= 0; i = bytes.LastIndexByte(text[:i], '\n') {
			if left--; left == 0 {
				if first { // no need to ask again
					_, err := out.Write(block[i+1:])
					return err
				}
				return f.copy(ctx, from+int64(i)+1, size, out)
			}
		}
		if from == 0 && first {
			_, err := out.Write(block)
			return err
		}
		at = from
	}
	return f.copy(ctx, 0, size, out)
}

// block reads a part of the file; what has been cut off meanwhile is missing.
func (f *tailed) block(ctx context.Context, from, to int64) ([]byte, error) {
	r, err := f.c.OpenRange(ctx, f.path, client.Range{Off: from, Size: to - from})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// copy shows a part of the file.
func (f *tailed) copy(ctx context.Context, from, to int64, out io.Writer) error {
	if from >= to {
		return nil
	}
	r, err := f.c.OpenRange(ctx, f.path, client.Range{Off: from, Size: to - from})
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(out, r)
	return err
}

// ending shows the end of what can only be read from its start. It holds no more
// than it shows.
func (t *tailer) ending(r io.Reader, out io.Writer) error {
	if _, err := out.Write(nil); err != nil {
		return err
	}
	in := bufio.NewReaderSize(r, tailBlock)
	switch {
	case t.n.fromStart && t.n.bytes:
		if _, err := io.CopyN(io.Discard, in, max(t.n.n-1, 0)); err != nil {
			return ended(err)
		}
	case t.n.fromStart:
		for n := t.n.n - 1; n > 0; {
			_, err := in.ReadSlice('\n')
			switch {
			case err == nil:
				n--
			case !errors.Is(err, bufio.ErrBufferFull):
				return ended(err)
			}
		}
	case t.n.bytes:
		return t.lastBytes(in, out)
	default:
		return t.lastLines(in, out)
	}
	_, err := io.Copy(out, in)
	return err
}

// ended is nil for the end of a file.
func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func (t *tailer) lastBytes(in io.Reader, out io.Writer) error {
	var kept []byte
	block := make([]byte, tailBlock)
	for {
		n, err := in.Read(block)
		kept = append(kept, block[:n]...)
		if over := int64(len(kept)) - t.n.n; over > t.n.n+tailBlock || err != nil && over > 0 {
			kept = append(kept[:0], kept[over:]...)
		}
		if err != nil {
			_, werr := out.Write(kept)
			return errors.Join(ended(err), werr)
		}
	}
}

func (t *tailer) lastLines(in *bufio.Reader, out io.Writer) error {
	var kept [][]byte
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			kept = append(kept, line)
		}
		if over := int64(len(kept)) - t.n.n; over > 0 {
			clear(kept[:over])
			kept = kept[over:]
		}
		if err == nil {
			continue
		}
		for _, line := range kept {
			if _, werr := out.Write(line); werr != nil {
				return werr
			}
		}
		return ended(err)
	}
}
