package vfs

import (
	"context"
	"errors"
	"strings"
)

// walk asks about the place that p leads to, following links on the way: those
// that the Table keeps, and those that the answer of ask names by a
// [*LinkError]. With final, a link at the end of p is followed too; without,
// one that ask names there gives Exists.
func (t *Table) walk(v View, p Path, final bool, ask func(place) error) error {
	for n := 0; ; n++ {
		at := t.place(p)
		link := t.keptLink(v, at, final)
		if link == nil {
			err := ask(at)
			if err == nil || at.e == nil {
				return err
			}
			if link = linkIn(err); link == nil {
				return err
			}
			if _, hidden := t.virtual(at.e.Path.Join(link.At)); hidden {
				return NotFound
			}
			if !final && link.Rest.IsRoot() {
				return Exists
			}
		}
		if n == MaxLinks {
			return ErrLoop
		}
		var err error
		if p, err = at.follow(link); err != nil {
			return err
		}
	}
}

// linkIn returns the link that err names; nil for none.
func linkIn(err error) *LinkError {
	if err == nil { // what As is given lives on the heap
		return nil
	}
	var link *LinkError
	errors.As(err, &link)
	return link
}

// follow returns the global path that a link of the mount leads to.
func (at place) follow(l *LinkError) (Path, error) {
	s := l.Target
	if !strings.HasPrefix(s, "/") {
		s = string(at.e.Path.Join(l.At).Dir()) + "/" + s
	}
	return ParsePath(s + "/" + string(l.Rest))
}

// Resolve returns the path that p leads to once all links on the way are
// followed; with final, also one at its end. What does not exist leads to
// itself. The error, [ErrLoop] or an Invalid target, names no path yet.
func (t *Table) Resolve(ctx context.Context, v View, p Path, final bool) (Path, error) {
	at, err := t.locate(ctx, v, p, final, true)
	return at.path, err
}

// locate is Resolve. Only with outside it asks Devices, which a fold may not.
func (t *Table) locate(ctx context.Context, v View, p Path, final, outside bool) (found place, err error) {
	err = t.walk(v, p, final, func(at place) error {
		found = at
		if at.e == nil || at.e.keeps || at.e.FS == nil || at.rel.IsRoot() || at.e.Place != Replicated && !outside {
			return nil
		}
		link := at.ownLink(ctx, v, final)
		if link == nil {
			return nil
		}
		if _, hidden := t.virtual(at.path); hidden {
			return nil
		}
		return link
	})
	if KindOf(err) == NotFound { // below a link that a mount hides
		err = nil
	}
	return found, err
}

// ownLink returns the first link of the filesystem's own on the way to the place;
// one at its end only with final.
func (at place) ownLink(ctx context.Context, v View, final bool) *LinkError {
	if l, ok := at.e.FS.(Linker); ok {
		return l.LinkOn(at.e.view(v), at.rel, final)
	}
	info, err := at.e.FS.Stat(ctx, at.e.view(v), at.rel)
	if err == nil && final && info.Mode.IsLink() {
		return &LinkError{At: at.rel, Target: info.Target, Rest: Root}
	}
	return linkIn(err)
}
