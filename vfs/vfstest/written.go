package vfstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing/iotest"

	"github.com/pfs-project/pfs/vfs"
)

// kept is a file that was written to a Device.
type kept struct {
	path vfs.Path
	data []byte
}

// writer writes files to a Device and knows what they should hold. What the
// Device refuses leaves the file as it was.
type writer struct {
	c     *court
	f     *Fold
	r     *rand.Rand
	files []kept
	taken map[vfs.Verb]bool // verbs that came out well
}

// writtenIsRead: a Device that makes, writes and removes files gives back what
// was written to them, and only that.
func writtenIsRead(c *court) error {
	for _, v := range []vfs.Verb{vfs.Create, vfs.Write, vfs.Remove} {
		if !c.Plugin.Verbs.Has(v) {
			return nil
		}
	}
	f, err := c.mount()
	if err != nil || f.folder != nil { // a Folder has laws that ask for more
		return err
	}
	w := &writer{c: c, f: f, r: rand.New(rand.NewPCG(1, 15)), taken: map[vfs.Verb]bool{}}
	if err := w.begin(); err != nil || len(w.files) == 0 {
		return err
	}
	for i := range 150 {
		if err := w.step(); err != nil {
			return fmt.Errorf("Op %d: %w", i, err)
		}
		if i%25 == 24 {
			if err := w.all(); err != nil {
				return fmt.Errorf("after Op %d: %w", i, err)
			}
		}
	}
	if !w.taken[vfs.Write] {
		return errors.New("files can be made, but nothing can be written to them")
	}
	return nil
}

// begin makes a few files in the first directory that takes one; none does in a
// Device that was mounted read-only, and streams are not read so.
func (w *writer) begin() error {
	all, err := w.f.files(w.c, nil, vfs.Root)
	if err != nil {
		return err
	}
	for _, e := range all {
		if !e.info.IsDir() {
			continue
		}
		for i := range 4 {
			p := e.path.Child(fmt.Sprint("written-", i))
			if _, err := w.f.device.Do(w.c.ctx, vfs.Op{Verb: vfs.Create, Path: p, Mode: 0o644}); err != nil {
				break
			}
			if info, err := w.f.FS.Stat(w.c.ctx, nil, p); err == nil && (info.Endless() || info.Consumes()) {
				return nil
			}
			w.files = append(w.files, kept{path: p})
		}
		if len(w.files) > 0 {
			return w.all()
		}
	}
	return nil
}

// step makes one change of one file, and looks at the file.
func (w *writer) step() error {
	i := w.r.IntN(len(w.files))
	k := &w.files[i]
	op := vfs.Op{Verb: vfs.Write, Path: k.path, Flag: vfs.FlagCreate}
	data := make([]byte, []int{0, 1, 10, 300, 5000, vfs.MaxInline}[w.r.IntN(6)])
	for j := range data {
		data[j] = byte(w.r.Uint32())
	}
	op.Data = data
	want := k.data
	switch w.r.IntN(7) {
	case 0:
		op.Off, op.Flag = vfs.AtEnd, op.Flag|vfs.FlagAppend
		want = append(slices.Clone(k.data), data...)
	case 1, 2:
		op.Off = w.r.Int64N(int64(len(k.data)) + 1)
		want = resize(k.data, max(int64(len(k.data)), op.Off+int64(len(data))))
		copy(want[op.Off:], data)
	case 3:
		op = vfs.Op{Verb: vfs.Truncate, Path: k.path, Off: w.r.Int64N(int64(len(k.data)) + 10)}
		want = resize(k.data, op.Off)
	case 4:
		return w.rename(k)
	default:
		op.Flag |= vfs.FlagTruncate
		want = data
	}
	r, err := w.do(op)
	if op.Verb == vfs.Write && err == nil && r.N != int64(len(data)) {
		return fmt.Errorf("write %s of %d bytes answers %d", op.Path, len(data), r.N)
	}
	if err == nil {
		w.taken[op.Verb] = true
		k.data = want
	}
	return w.look(*k, fmt.Sprintf("after %v at %d of %d bytes (%v)", op.Verb, op.Off, len(op.Data), outcome(err)))
}

// do makes a change. What replaces a file goes as a whole, half of the time, and now
// and then breaks off.
func (w *writer) do(op vfs.Op) (vfs.Result, error) {
	p, ok := w.f.device.(vfs.Putter)
	if !ok || op.Verb != vfs.Write || op.Flag&vfs.FlagTruncate == 0 || w.r.IntN(2) == 0 {
		return w.f.device.Do(w.c.ctx, op)
	}
	whole := op
	whole.Data = nil
	body := io.Reader(bytes.NewReader(op.Data))
	breaks := w.r.IntN(4) == 0
	if breaks {
		body = io.MultiReader(io.LimitReader(body, int64(len(op.Data)/2)), iotest.ErrReader(errBroken))
	}
	r, err := p.Put(w.c.ctx, whole, body)
	switch {
	case vfs.KindOf(err) == vfs.Unsupported:
		return w.f.device.Do(w.c.ctx, op)
	case breaks && err == nil:
		return r, fmt.Errorf("%w, and yet it was taken", errBroken)
	}
	return r, err
}

// errBroken is the error of a body that ends before its time.
var errBroken = errors.New("the body broke off")

// rename gives a file another name, or makes it anew under one.
func (w *writer) rename(k *kept) error {
	to := k.path.Dir().Child(fmt.Sprint("written-", 10+w.r.IntN(1_000_000)))
	if slices.ContainsFunc(w.files, func(o kept) bool { return o.path == to }) {
		return nil
	}
	from := k.path
	if _, err := w.f.device.Do(w.c.ctx, vfs.Op{Verb: vfs.Rename, Path: from, To: to}); err == nil {
		k.path = to
	} else if _, err := w.f.device.Do(w.c.ctx, vfs.Op{Verb: vfs.Remove, Path: from}); err == nil {
		if _, err := w.f.device.Do(w.c.ctx, vfs.Op{Verb: vfs.Create, Path: to, Mode: 0o644}); err != nil {
			return fmt.Errorf("create %s: %w", to, err)
		}
		*k = kept{path: to}
	}
	if k.path == to {
		if _, err := w.f.FS.Stat(w.c.ctx, nil, from); vfs.KindOf(err) != vfs.NotFound {
			return fmt.Errorf("%s has gone to %s, and stat of it answers %v", from, to, outcome(err))
		}
	}
	return w.look(*k, "after it got this name")
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// look compares a file with what it should hold.
func (w *writer) look(k kept, when string) error {
	info, err := w.f.FS.Stat(w.c.ctx, nil, k.path)
	if err != nil {
		return fmt.Errorf("stat %s %s: %w", k.path, when, err)
	}
	if info.Size != int64(len(k.data)) {
		return fmt.Errorf("%s has size %d; expected %d %s", k.path, info.Size, len(k.data), when)
	}
	b, err := w.f.Read(w.c.ctx, k.path, 0, -1)
	if err != nil {
		return fmt.Errorf("read %s %s: %w", k.path, when, err)
	}
	if !bytes.Equal(b, k.data) {
		return fmt.Errorf("%s holds %s; expected %s %s", k.path, clip(entry{data: b}), clip(entry{data: k.data}), when)
	}
	if err := w.stream(k, info.Version, when); err != nil || len(k.data) == 0 {
		return err
	}
	off := w.r.IntN(len(k.data))
	part := make([]byte, w.r.IntN(len(k.data)-off)+1)
	n, err := w.f.FS.ReadAt(w.c.ctx, nil, k.path, part, int64(off))
	if err != nil && err != io.EOF || n != len(part) || !bytes.Equal(part, k.data[off:off+n]) {
		return fmt.Errorf("%d bytes of %s at %d: got %d, %v; they should be %s %s", len(part), k.path, off, n, err, clip(entry{data: k.data[off : off+len(part)]}), when)
	}
	return nil
}

// all compares all files, and that their directory shows them.
func (w *writer) all() error {
	names, err := w.f.names(w.c, nil, w.files[0].path.Dir(), "", 0)
	if err != nil {
		return err
	}
	for _, k := range w.files {
		if !slices.Contains(names, k.path.Base()) {
			return fmt.Errorf("%s is not listed", k.path)
		}
		if err := w.look(k, "when all are read"); err != nil {
			return err
		}
	}
	return nil
}
