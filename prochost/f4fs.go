package prochost

import (
	"context"
	"errors"
	"io"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// How files are read and written.
const (
	window = 256 << 10 // bytes of one ReadAt or Write
	ahead  = 4         // ReadAt under way for one file
)

// stat describes a file. The root is not asked for: some plugins answer the same
// for every path.
func (f *f4) stat(ctx context.Context, p vfs.Path, began time.Time) (vfs.Info, error) {
	if p.IsRoot() {
		return vfs.Info{Name: p.Base(), Mode: vfs.ModeDir | 0o755, ModTime: began}, nil
	}
	d, err := f.ask(ctx, methodStat, f.at(p)...)
	if err != nil {
		return vfs.Info{}, hide(err)
	}
	if d == nil {
		return vfs.Info{}, vfs.NotFound
	}
	return f.info(d, p.Base(), began)
}

// hide makes an end of file, where none can be, an error like others.
func hide(err error) error {
	if errors.Is(err, io.EOF) {
		return vfs.Internal.With("the plugin does not understand the call: EOF")
	}
	return err
}

// info reads one VFSItem; many of its fields may be missing.
func (f *f4) info(d any, name string, began time.Time) (vfs.Info, error) {
	m, ok := d.(map[string]any)
	if !ok {
		return vfs.Info{}, f.wrong("a file is no map")
	}
	i := vfs.Info{Name: name, Mode: 0o644, ModTime: began}
	size, _ := whole(m["Size"])
	if i.Size = size; size < 0 || size > vfs.MaxSize {
		return i, f.wrong("a size is out of range")
	}
	if x, _ := m["IsExecutable"].(bool); x {
		i.Mode = 0o755
	}
	if dir, _ := m["IsDir"].(bool); dir {
		i.Mode, i.Size = vfs.ModeDir|0o755, 0
	}
	if t, ok := m["MTime"].(time.Time); ok && t.Year() > 1 && t.Year() < 10000 {
		i.ModTime = t.UTC() // the year 1 stands for no time
	}
	return i, nil
}

// list names what is in a directory. One that is not there is listed as empty by
// all plugins, so it is looked at first.
func (f *f4) list(ctx context.Context, p vfs.Path, began time.Time) ([]vfs.Info, error) {
	switch i, err := f.stat(ctx, p, began); {
	case err != nil:
		return nil, err
	case !i.IsDir():
		return nil, vfs.NotDirectory
	}
	d, err := f.ask(ctx, methodList, f.at(p)...)
	if err != nil {
		return nil, hide(err)
	}
	items, ok := d.([]any)
	if !ok && d != nil {
		return nil, f.wrong("a directory is no list")
	}
	out, seen := make([]vfs.Info, 0, len(items)), make(map[string]bool, len(items))
	for _, item := range items {
		m, _ := item.(map[string]any)
		name, _ := m["Name"].(string)
		if !vfs.ValidName(name) || seen[name] {
			continue // ".." is in listings of some
		}
		seen[name] = true
		i, err := f.info(item, name, began)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Name < out[b].Name })
	return out, nil
}

// listAfter returns the whole directory: the protocol has no pages.
func (f *f4) listAfter(ctx context.Context, p vfs.Path, _ string, _ int, began time.Time) ([]vfs.Info, error) {
	return f.list(ctx, p, began)
}

// read fills b from a file.
func (f *f4) read(ctx context.Context, p vfs.Path, b []byte, off int64, began time.Time) (n int, err error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset") // it ends some plugins
	}
	ctx, cancel := f.within(ctx)
	defer cancel()
	if f.reads && p.IsRoot() {
		return 0, vfs.IsDirectory
	}
	if f.reads && len(b) > 0 {
		n, err = f.fill(ctx, b, off, question{methodReadFile, f.at(p)})
		if vfs.KindOf(err) == vfs.Internal && n == 0 {
			err = f.why(ctx, p, err, began)
		}
		if !errors.Is(err, errMethod) {
			return n, err
		} // it has named what it does not have
	}
	id, _, err := f.open(ctx, methodOpen, p)
	if err != nil {
		return 0, f.why(ctx, p, err, began)
	}
	defer func() {
		if cerr := f.shut(ctx, id); err == nil {
			err = cerr
		}
	}()
	return f.fill(ctx, b, off, question{methodRead, []field{{"ID", id}}})
}

// question is what reads a file: Len and Off come to it.
type question struct {
	method string
	of     []field
}

// why finds out what keeps a file from being opened: the texts do not tell.
func (f *f4) why(ctx context.Context, p vfs.Path, err error, began time.Time) error {
	switch vfs.KindOf(err) {
	case vfs.Crashed, vfs.Timeout, vfs.Throttled, vfs.Unsupported:
		return err
	}
	i, serr := f.stat(ctx, p, began)
	switch {
	case serr != nil:
		return serr
	case i.IsDir():
		return vfs.IsDirectory
	}
	return err
}

// fill fills b with a few reads at once. The first that is short is the end.
func (f *f4) fill(ctx context.Context, b []byte, off int64, q question) (int, error) {
	if len(b) <= window {
		return f.readPiece(ctx, b, off, q)
	}
	got := make([]int, (len(b)+window-1)/window)
	errs := make([]error, len(got))
	var wg sync.WaitGroup
	var short atomic.Bool // nothing can be behind what is under way
	places := make(chan struct{}, ahead)
	for i := range got {
		places <- struct{}{}
		if short.Load() {
			break
		}
		wg.Go(func() {
			piece := b[i*window : min((i+1)*window, len(b))]
			if got[i], errs[i] = f.readPiece(ctx, piece, off+int64(i)*window, q); errs[i] != nil {
				short.Store(true)
			}
			<-places
		})
	}
	wg.Wait()
	n := 0
	for i := range got {
		if n += got[i]; errs[i] != nil {
			return n, errs[i]
		}
	}
	return n, nil
}

// readPiece reads up to a window; io.EOF if the file ends in it.
func (f *f4) readPiece(ctx context.Context, b []byte, off int64, q question) (int, error) {
	n := 0
	for n < len(b) {
		if err := going(ctx); err != nil {
			return n, err
		}
		d, err := f.ask(ctx, q.method, append(slices.Clip(q.of), field{"Len", len(b) - n}, field{"Off", off + int64(n)})...)
		if err != nil {
			return n, err
		}
		var data []byte
		switch d := d.(type) {
		case []byte:
			data = d
		case string:
			data = []byte(d)
		case nil:
		default:
			return n, f.wrong("what was read is no bytes")
		}
		if len(data) > len(b)-n {
			return n, f.wrong("more was read than asked for")
		}
		if len(data) == 0 {
			return n, io.EOF
		}
		n += copy(b[n:], data)
	}
	return n, nil
}

// replace writes a whole file of size bytes: created, then written piece after piece,
// as pieces that are under way together change their order.
func (f *f4) replace(ctx context.Context, p vfs.Path, r io.Reader, size int64) (n int64, err error) {
	id, _, err := f.open(ctx, methodCreate, p)
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := f.shut(ctx, id); err == nil {
			err = hide(cerr)
		}
	}()
	buf := make([]byte, min(size, window))
	for n < size {
		if err := going(ctx); err != nil {
			return n, err
		}
		k, err := io.ReadFull(r, buf[:min(size-n, window)])
		if err != nil {
			return n, err
		}
		if _, err := f.ask(ctx, methodWrite, field{"ID", id}, field{"Data", buf[:k]}); err != nil {
			return n, hide(err)
		}
		n += int64(k)
	}
	return n, nil
}

// putFile writes a whole file with one question: the plugin looks itself what is there.
func (f *f4) putFile(ctx context.Context, op vfs.Op, data []byte) (int64, error) {
	if op.Path.IsRoot() {
		return 0, vfs.IsDirectory
	}
	_, err := f.ask(ctx, methodPutFile, append(f.at(op.Path), field{"Data", data},
		field{"Create", op.Flag&vfs.FlagCreate != 0}, field{"Exclusive", op.Flag&vfs.FlagExclusive != 0})...)
	if err != nil {
		return 0, hide(err)
	}
	return int64(len(data)), nil
}

// removeAll removes what is below p, and p: a directory that is removed with files
// in it leaves them behind in some plugins.
func (f *f4) removeAll(ctx context.Context, p vfs.Path, began time.Time) error {
	left := maxRemoved
	return f.removeBelow(ctx, p, began, &left, 0)
}

// What one removal may take.
const (
	maxRemoved = 10_000
	maxNested  = 64
)

func (f *f4) removeBelow(ctx context.Context, p vfs.Path, began time.Time, left *int, depth int) error {
	if *left--; *left < 0 || depth > maxNested {
		return vfs.TooLarge.Withf("more than %d files, or %d directories in each other, to remove at once", maxRemoved, maxNested)
	}
	if err := going(ctx); err != nil {
		return err
	}
	i, err := f.stat(ctx, p, began)
	if err != nil {
		return err
	}
	if i.IsDir() {
		list, err := f.list(ctx, p, began)
		if err != nil {
			return err
		}
		for _, i := range slices.Backward(list) {
			if err := f.removeBelow(ctx, p.Child(i.Name), began, left, depth+1); err != nil {
				return err
			}
		}
	}
	_, err = f.ask(ctx, methodRemove, f.at(p)...)
	return hide(err)
}
