package vfs

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Stat describes the file at p. A link at the end is not followed: it is
// described itself, its mode 0777, its size that of the target's name.
func (t *Table) Stat(ctx context.Context, v View, p Path) (info Info, err error) {
	err = t.walk(v, p, false, func(at place) (err error) {
		info, err = t.statAt(ctx, v, at)
		return err
	})
	if err != nil {
		return Info{}, At(err, "stat", p)
	}
	return info, nil
}

// Lookup describes the file that p leads to, through a link at its end too,
// and returns that file's own path. verb is what errors are to name.
func (t *Table) Lookup(ctx context.Context, v View, verb string, p Path) (info Info, real Path, err error) {
	info, at, err := t.lookup(v, verb, p, func(at place) (Info, error) { return t.statAt(ctx, v, at) })
	return info, at.path, err
}

// lookup is Lookup that has stat describe what is at a place.
func (t *Table) lookup(v View, verb string, p Path, stat func(place) (Info, error)) (info Info, found place, err error) {
	err = t.walk(v, p, true, func(at place) (err error) {
		if info, err = stat(at); err == nil && info.Mode.IsLink() {
			return &LinkError{At: at.rel, Target: info.Target, Rest: Root}
		}
		found = at
		return err
	})
	if err != nil {
		return Info{}, place{}, At(err, verb, p)
	}
	return info, found, nil
}

// Readlink returns the target of the link at p as it was given. What is not a
// link gives NotFound.
func (t *Table) Readlink(ctx context.Context, v View, p Path) (string, error) {
	info, err := t.Stat(ctx, v, p)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			err = &Error{Kind: e.Kind, Reason: e.Reason}
		}
		return "", At(err, "readlink", p)
	}
	if !info.Mode.IsLink() {
		return "", At(NotFound, "readlink", p)
	}
	return info.Target, nil
}

func (t *Table) statAt(ctx context.Context, v View, at place) (Info, error) {
	dir, virtual := t.virtual(at.path)
	if at.e == nil {
		if virtual {
			return dir, nil
		}
		return Info{}, NotFound
	}
	if !virtual {
		if l, ok := at.link(v); ok {
			return l.info(at), nil
		}
	}
	info, err := at.stat(ctx, v)
	if virtual && (err != nil || !info.IsDir()) {
		return dir, nil
	}
	return info, err
}

// stat asks the filesystem alone.
func (at place) stat(ctx context.Context, v View) (Info, error) {
	if at.e.FS == nil {
		return Info{}, at.e.down()
	}
	info, err := at.e.FS.Stat(ctx, at.e.view(v), at.rel)
	if err != nil {
		return Info{}, err
	}
	return at.dress(info), nil
}

// dress completes what the filesystem says of the place.
func (at place) dress(info Info) Info {
	if at.rel.IsRoot() {
		info.Name = at.path.Base()
	}
	return asLink(info, at.e)
}

// asLink gives a link that the filesystem keeps the looks that all links have.
func asLink(info Info, e *entry) Info {
	if info.Mode.IsLink() {
		info.Mode, info.Size = ModeLink|0o777, int64(len(info.Target))
		info.Meta.Type = "symlink"
		if info.Meta.Name == "" {
			info.Meta.Name = e.Type
		}
	}
	return info
}

// List returns the entries of the directory at p by the bytes of their names:
// the filesystem's own, links and mount points, of which a mount point hides
// an entry of the same name. Only those after `after`, at most limit (0: all).
func (t *Table) List(ctx context.Context, v View, p Path, after string, limit int) (out []Info, err error) {
	err = t.walk(v, p, true, func(at place) (err error) {
		out, err = t.listAt(ctx, v, at, after, limit)
		return err
	})
	if err != nil {
		return nil, At(err, "readdir", p)
	}
	return out, nil
}

func (t *Table) listAt(ctx context.Context, v View, at place, after string, limit int) ([]Info, error) {
	_, virtual := t.virtual(at.path)
	var own, links []Info
	var err error
	switch {
	case at.e == nil && !virtual:
		return nil, NotFound
	case at.e == nil:
	case at.e.FS == nil:
		return nil, at.e.down()
	default:
		own, err = at.e.FS.List(ctx, at.e.view(v), at.rel, after, limit)
		if err != nil && !(virtual && absent(err)) {
			return nil, err
		}
		for i := range own {
			own[i] = asLink(own[i], at.e)
		}
		links = at.links(v, after, limit)
	}
	var mounts []Info
	if d := t.dirs[at.path]; d != nil {
		for _, name := range d.names {
			if name > after {
				mounts = append(mounts, t.mountInfo(at.path, name))
			}
		}
	}
	out := merge(merge(own, links), mounts)
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

// absent reports whether err says that nothing, or no directory, is there.
func absent(err error) bool {
	var l *LinkError
	k := KindOf(err)
	return k == NotFound || k == NotDirectory || errors.As(err, &l)
}

// merge joins two sorted lists; over hides entries of the same name in under.
func merge(under, over []Info) []Info {
	if len(over) == 0 {
		return under
	}
	out := make([]Info, 0, len(under)+len(over))
	for len(under) > 0 && len(over) > 0 {
		c := strings.Compare(under[0].Name, over[0].Name)
		if c < 0 {
			out, under = append(out, under[0]), under[1:]
			continue
		}
		if c == 0 {
			under = under[1:]
		}
		out, over = append(out, over[0]), over[1:]
	}
	return append(append(out, under...), over...)
}

// ReadAt reads from the file at p, as io.ReaderAt does.
func (t *Table) ReadAt(ctx context.Context, v View, p Path, b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, At(Invalid.With("negative offset"), "read", p)
	}
	err = t.walk(v, p, true, func(at place) (err error) {
		n, err = t.readAt(ctx, v, at, b, off)
		return err
	})
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, At(err, "read", p)
}

func (t *Table) readAt(ctx context.Context, v View, at place, b []byte, off int64) (int, error) {
	_, virtual := t.virtual(at.path)
	switch {
	case virtual:
		return 0, IsDirectory
	case at.e == nil:
		return 0, NotFound
	case at.e.FS == nil:
		return 0, at.e.down()
	}
	return at.e.FS.ReadAt(ctx, at.e.view(v), at.rel, b, off)
}
