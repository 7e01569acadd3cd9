package queuefs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/pfs-project/pfs/vfs"
)

// pieceBytes is how much of a long message is held at a time.
const pieceBytes = 64 << 10

// nothing is what reading an empty queue gives.
const nothing = "{}"

// Reply renders what Consume gave: of dequeue {"id","data","timestamp"}, of take
// the same with its lease, and {} when there was none; of take with max an
// array. What is not UTF-8 comes as "data_base64" instead of "data". A long
// message is read twice, piece by piece, and never held whole.
func (f FS) Reply(ctx context.Context, r vfs.Result, w io.Writer) error {
	p := decodeParcel(r.Data)
	if len(p.items) == 0 && p.kind != parcelMany {
		_, err := io.WriteString(w, nothing)
		return err
	}
	before, after := "", ""
	if p.kind == parcelMany {
		before, after = "[", "]"
	}
	for _, i := range p.items {
		if _, err := io.WriteString(w, before); err != nil {
			return err
		}
		extras := ""
		if p.kind != parcelPlain {
			extras = i.extras()
		}
		if err := f.render(ctx, i.message, extras, w); err != nil {
			return err
		}
		before = ","
	}
	if len(p.items) == 0 {
		after = "[]"
	}
	_, err := io.WriteString(w, after)
	return err
}

// frame is what an answer has before and behind the content.
func frame(m message, binary bool, extras string) (head, tail string) {
	name := "data"
	if binary {
		name = "data_base64"
	}
	return `{"id":"` + uuidText(m.id) + `","` + name + `":"`, `","timestamp":"` + m.timestamp() + `"` + extras + "}"
}

// render writes a message, as text if it is.
func (f FS) render(ctx context.Context, m message, extras string, w io.Writer) error {
	text, err := f.isText(ctx, m)
	if err != nil {
		return err
	}
	return f.renderAs(ctx, m, !text, extras, w)
}

func (f FS) renderAs(ctx context.Context, m message, binary bool, extras string, w io.Writer) error {
	head, tail := frame(m, binary, extras)
	body := f.writeText
	if binary {
		body = f.writeBase64
	}
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	if err := body(ctx, m, w); err != nil {
		return err
	}
	_, err := io.WriteString(w, tail)
	return err
}

func (f FS) writeText(ctx context.Context, m message, w io.Writer) error {
	return f.runes(ctx, m, func(b []byte) error {
		quoted, err := json.Marshal(string(b))
		if err == nil {
			_, err = w.Write(quoted[1 : len(quoted)-1])
		}
		return err
	})
}

func (f FS) writeBase64(ctx context.Context, m message, w io.Writer) error {
	enc := base64.NewEncoder(base64.StdEncoding, w)
	err := f.pieces(ctx, m, func(b []byte) error {
		_, err := enc.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	return enc.Close()
}

var errNotText = errors.New("not UTF-8")

func (f FS) isText(ctx context.Context, m message) (bool, error) {
	err := f.runes(ctx, m, func(b []byte) error {
		if !utf8.Valid(b) {
			return errNotText
		}
		return nil
	})
	if err == errNotText {
		return false, nil
	}
	return err == nil, err
}

// runes is pieces, cut between the runes.
func (f FS) runes(ctx context.Context, m message, each func([]byte) error) error {
	var held []byte
	err := f.pieces(ctx, m, func(b []byte) error {
		held = append(held, b...)
		n := wholeRunes(held)
		err := each(held[:n])
		held = held[:copy(held, held[n:])]
		return err
	})
	if err == nil && len(held) > 0 {
		err = each(held)
	}
	return err
}

// wholeRunes returns the length of b without a rune cut off at its end.
func wholeRunes(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if tail := b[len(b)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}

// pieces calls each with the message's bytes in order.
func (f FS) pieces(ctx context.Context, m message, each func([]byte) error) error {
	if len(m.refs) == 0 {
		return each(m.data)
	}
	buf := make([]byte, pieceBytes)
	for _, ref := range m.refs {
		for off := 0; off < int(ref.Len); {
			b := buf[:min(pieceBytes, int(ref.Len)-off)]
			if err := f.readRef(ctx, ref, b, int64(off)); err != nil {
				return err
			}
			if err := each(b); err != nil {
				return err
			}
			off += len(b)
		}
	}
	return nil
}

func (f FS) readRef(ctx context.Context, ref vfs.ChunkRef, b []byte, off int64) error {
	if ref.Hash == [32]byte{} {
		clear(b)
		return nil
	}
	return f.chunks.ReadChunk(ctx, ref, b, off)
}
