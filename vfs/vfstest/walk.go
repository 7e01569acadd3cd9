package vfstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/pfs-project/pfs/vfs"
)

// entry is one file found by a walk.
type entry struct {
	path vfs.Path
	info vfs.Info
	data []byte // content, of files that can be read without taking it away
	code string // why it could not be read
}

// maxEntries bounds a walk.
const maxEntries = 20_000

// files lists all below dir, dir first, in the order of the listings.
func (f *Fold) files(c *court, v vfs.View, dir vfs.Path) ([]entry, error) {
	info, err := f.FS.Stat(c.ctx, v, dir)
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", dir, err)
	}
	out := []entry{{path: dir, info: info}}
	for i := 0; i < len(out); i++ {
		if !out[i].info.IsDir() {
			continue
		}
		infos, err := f.FS.List(c.ctx, v, out[i].path, "", 0)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", out[i].path, err)
		}
		for _, info := range infos {
			p, err := vfs.ParsePath(out[i].path.Child(info.Name).String())
			if err != nil || p.Base() != info.Name || p.Dir() != out[i].path {
				return nil, fmt.Errorf("list %s: %q is not a name", out[i].path, info.Name)
			}
			out = append(out, entry{path: p, info: info})
		}
		if len(out) > maxEntries {
			return nil, fmt.Errorf("more than %d files", maxEntries)
		}
	}
	return out, nil
}

// walk is files with the content of each.
func (f *Fold) walk(c *court, v vfs.View) ([]entry, error) {
	out, err := f.files(c, v, vfs.Root)
	if err != nil {
		return nil, err
	}
	for i := range out {
		e := &out[i]
		if e.info.IsDir() || e.info.Mode.IsLink() || e.info.Consumes() {
			continue
		}
		e.data, err = readFile(c.ctx, f.FS, v, e.path, 0, -1)
		if err == nil {
			continue
		}
		if e.code = vfs.KindOf(err).Code(); vfs.KindOf(err) == vfs.Internal {
			return nil, fmt.Errorf("read %s: %w", e.path, err)
		}
	}
	return out, nil
}

// now walks the present state.
func (f *Fold) now(c *court) ([]entry, error) { return f.walk(c, f.view()) }

// differ says in what two walks differ; "" if they do not.
func differ(a, b []entry) string {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Sprintf("%s is new", b[i].path)
		case i >= len(b) || a[i].path != b[i].path:
			return fmt.Sprintf("%s differs in what is there", a[i].path)
		case !sameInfo(a[i].info, b[i].info):
			return fmt.Sprintf("%s: %+v became %+v", a[i].path, a[i].info, b[i].info)
		case !bytes.Equal(a[i].data, b[i].data) || a[i].code != b[i].code:
			return fmt.Sprintf("content of %s: %s became %s", a[i].path, clip(a[i]), clip(b[i]))
		}
	}
	return ""
}

func clip(e entry) string {
	if e.code != "" {
		return e.code
	}
	return fmt.Sprintf("%d bytes %.40q", len(e.data), e.data)
}

// sameInfo compares all fields.
func sameInfo(a, b vfs.Info) bool {
	ac, bc := a.Meta.Content, b.Meta.Content
	at, bt := a.ModTime, b.ModTime
	a.Meta.Content, b.Meta.Content = nil, nil
	a.ModTime, b.ModTime = bt, bt
	return fmt.Sprint(a) == fmt.Sprint(b) && at.Equal(bt) && maps.Equal(ac, bc)
}

// steady compares what a Device must not change between two reads either.
func steady(a, b vfs.Info) bool {
	a.Size, a.ModTime, a.Version = b.Size, b.ModTime, b.Version
	return sameInfo(a, b)
}

// listAgrees: a listing shows each file as Stat does, in order of names, and a
// file's size is what can be read of it.
func listAgrees(c *court) error {
	f, err := c.loaded(1, 150)
	if err != nil {
		return err
	}
	v := f.view()
	all, err := f.walk(c, v)
	if err != nil {
		return err
	}
	root := all[0].info
	_, refused := f.FS.List(c.ctx, v, vfs.Root, "", 0)
	if root.Name != "/" || !root.IsDir() && vfs.KindOf(refused) != vfs.NotDirectory { // a mount may be one file
		return fmt.Errorf("the root is %+v, not named / or neither directory nor file", root)
	}
	same := sameInfo
	if f.folder == nil {
		same = steady
	}
	last := map[vfs.Path]string{}
	for _, e := range all[1:] {
		dir := e.path.Dir()
		if e.info.Name <= last[dir] {
			return fmt.Errorf("list %s: %q comes after %q", dir, e.info.Name, last[dir])
		}
		last[dir] = e.info.Name
		info, err := f.FS.Stat(c.ctx, v, e.path)
		if err != nil || !same(info, e.info) {
			return fmt.Errorf("%s: listed as %+v, stat says %+v, %v", e.path, e.info, info, err)
		}
		if err := f.sizeHolds(e); err != nil {
			return err
		}
		if err := f.opens(c, v, e); err != nil {
			return err
		}
	}
	return c.unread(f, v, all)
}

// opens compares what an Opener gives with what was listed and read.
func (f *Fold) opens(c *court, v vfs.View, e entry) error {
	o := vfs.OpenerOf(f.FS)
	if o == nil {
		return nil
	}
	info, from, err := o.Open(c.ctx, v, e.path)
	if err != nil || !sameInfo(info, e.info) {
		return fmt.Errorf("%s: listed as %+v, opened as %+v, %v", e.path, e.info, info, err)
	}
	if from == nil {
		return nil
	}
	b := make([]byte, len(e.data)+1)
	n, err := from.ReadAt(c.ctx, b, 0)
	if !bytes.Equal(b[:n], e.data) || err != io.EOF {
		return fmt.Errorf("%s: %d bytes were read, and %d, %v, of what was opened", e.path, len(e.data), n, err)
	}
	return nil
}

// sizeHolds compares a file's size with what was read.
func (f *Fold) sizeHolds(e entry) error {
	file := !e.info.IsDir() && !e.info.Mode.IsLink() && !e.info.Consumes() && e.code == ""
	switch {
	case e.info.IsDir() && e.info.Mode.IsLink():
		return fmt.Errorf("%s is both a directory and a link", e.path)
	case e.info.Mode&^(vfs.ModePerm|vfs.ModeDir|vfs.ModeLink) != 0:
		return fmt.Errorf("%s has the unknown mode bits %o", e.path, e.info.Mode)
	case file && f.folder != nil && e.info.Size != int64(len(e.data)):
		return fmt.Errorf("%s has size %d, and %d bytes were read", e.path, e.info.Size, len(e.data))
	}
	return nil
}

// unread checks that directories are not read and files not listed.
func (c *court) unread(f *Fold, v vfs.View, all []entry) error {
	for _, e := range all {
		if e.info.Mode.IsLink() {
			continue
		}
		if e.info.IsDir() {
			_, err := f.FS.ReadAt(c.ctx, v, e.path, make([]byte, 1), 0)
			if vfs.KindOf(err) != vfs.IsDirectory {
				return fmt.Errorf("reading the directory %s: %v", e.path, err)
			}
			continue
		}
		if _, err := f.FS.List(c.ctx, v, e.path, "", 0); vfs.KindOf(err) != vfs.NotDirectory {
			return fmt.Errorf("listing the file %s: %v", e.path, err)
		}
	}
	return nil
}

// pagesJoin: after and limit cut one and the same listing.
func pagesJoin(c *court) error {
	f, err := c.loaded(2, 150)
	if err != nil {
		return err
	}
	v := f.view()
	all, err := f.files(c, v, vfs.Root)
	if err != nil {
		return err
	}
	for _, e := range all {
		if !e.info.IsDir() {
			continue
		}
		whole, err := f.names(c, v, e.path, "", 0)
		if err != nil {
			return err
		}
		for _, limit := range []int{1, 2, 3, len(whole), len(whole) + 1} {
			if err := f.pages(c, v, e.path, limit, whole); err != nil {
				return err
			}
		}
		for _, name := range append(slices.Clone(whole), "!", "m", "\U0010ffff") {
			for _, after := range []string{name, name + "!", name[:len(name)-1]} {
				want := slices.DeleteFunc(slices.Clone(whole), func(n string) bool { return n <= after })
				got, err := f.names(c, v, e.path, after, 0)
				if err != nil || !slices.Equal(got, want) {
					return fmt.Errorf("list %s after %q: %q, %v; expected %q", e.path, after, got, err, want)
				}
			}
		}
	}
	return nil
}

func (f *Fold) names(c *court, v vfs.View, dir vfs.Path, after string, limit int) ([]string, error) {
	infos, err := f.FS.List(c.ctx, v, dir, after, limit)
	names := make([]string, len(infos))
	for i := range infos {
		names[i] = infos[i].Name
	}
	return names, err
}

func (f *Fold) pages(c *court, v vfs.View, dir vfs.Path, limit int, whole []string) error {
	var got []string
	for after := ""; len(got) <= len(whole); {
		page, err := f.names(c, v, dir, after, limit)
		if err != nil {
			return err
		}
		if limit > 0 && len(page) > limit {
			return fmt.Errorf("list %s gives %d of at most %d entries", dir, len(page), limit)
		}
		got = append(got, page...)
		if len(page) == 0 || limit == 0 {
			break
		}
		after = page[len(page)-1]
	}
	if !slices.Equal(got, whole) {
		return fmt.Errorf("list %s in pages of %d: %q; expected %q", dir, limit, got, whole)
	}
	return nil
}

// readsEnd: ReadAt gives any part of the content, and io.EOF with fewer bytes
// than were asked for.
func readsEnd(c *court) error {
	f, err := c.loaded(3, 150)
	if err != nil {
		return err
	}
	v := f.view()
	all, err := f.walk(c, v)
	if err != nil {
		return err
	}
	if c.tree() && !slices.ContainsFunc(all, func(e entry) bool { return len(e.data) > 2 }) {
		return errors.New("no file keeps what is written to it")
	}
	for _, e := range all {
		if e.info.IsDir() || e.info.Mode.IsLink() || e.info.Consumes() || e.code != "" {
			continue
		}
		size := int64(len(e.data))
		if size >= maxRead { // it may have no end
			continue
		}
		if f.folder == nil { // its content may change between two reads
			size = 1 << 40
			e.data = nil
		}
		for _, off := range []int64{-1, -1 << 62} {
			if n, err := f.FS.ReadAt(c.ctx, v, e.path, make([]byte, 3), off); n != 0 || vfs.KindOf(err) != vfs.Invalid {
				return fmt.Errorf("reading %s at %d: %d, %v; expected invalid", e.path, off, n, err)
			}
		}
		for _, off := range []int64{0, 1, size / 2, size - 1, size, size + 1, size + 1<<40} {
			for _, length := range []int64{1, 2, size / 3, size, size + 5, 100} {
				if off < 0 || length == 0 || f.folder == nil && (off < size || length > 1<<20) {
					continue
				}
				if err := f.readHolds(c, v, e, off, length); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (f *Fold) readHolds(c *court, v vfs.View, e entry, off, length int64) error {
	b := make([]byte, length)
	n, err := f.FS.ReadAt(c.ctx, v, e.path, b, off)
	var want []byte
	if off < int64(len(e.data)) {
		want = e.data[off:min(off+length, int64(len(e.data)))]
	}
	atEnd := off+length >= int64(len(e.data))
	switch {
	case n != len(want) || !bytes.Equal(b[:n], want):
		return fmt.Errorf("reading %d bytes of %s at %d gives %d, not those %d that are there", length, e.path, off, n, len(want))
	case n < len(b) && err != io.EOF:
		return fmt.Errorf("reading %d bytes of %s at %d gives %d and %v; expected io.EOF", length, e.path, off, n, err)
	case err != nil && (err != io.EOF || !atEnd):
		return fmt.Errorf("reading %d bytes of %s at %d: %v", length, e.path, off, err)
	}
	return nil
}

// missing: names that are not there are NotFound, or NotDirectory below a file.
func missing(c *court) error {
	f, err := c.loaded(4, 100)
	if err != nil {
		return err
	}
	v := f.view()
	all, err := f.files(c, v, vfs.Root)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.info.Mode.IsLink() {
			continue
		}
		p := e.path.Child("no such file")
		_, statErr := f.FS.Stat(c.ctx, v, p)
		_, listErr := f.FS.List(c.ctx, v, p, "", 0)
		_, readErr := f.FS.ReadAt(c.ctx, v, p, make([]byte, 1), 0)
		for verb, err := range map[string]error{"stat": statErr, "list": listErr, "read": readErr} {
			k := vfs.KindOf(err)
			if k != vfs.NotFound && (k != vfs.NotDirectory || e.info.IsDir()) {
				return fmt.Errorf("%s %s, which is not there: %v", verb, p, err)
			}
		}
	}
	return nil
}
