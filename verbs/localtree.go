package verbs

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
)

// localTree is a tree on this machine.
type localTree struct {
	root   *os.Root // whatever the names, all stays below it; nil: it is not there
	label  string   // its name for messages; "": that of the root
	anyway bool     // in any order, a piece at a time: a directory of any length
	above  []string // directories in which the names that lead to it are new
	ours   bool     // it is copied to: what a copy that was killed has left is removed
}

func (t *localTree) name(rel string) string {
	at := t.label
	if at == "" {
		at = t.root.Name()
	}
	return filepath.Join(at, filepath.FromSlash(rel))
}

// piece is how many names are read at a time.
const piece = 1000

func (t *localTree) entries(ctx context.Context, rel string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		d, err := t.root.Open(filepath.FromSlash(rel))
		if err != nil {
			yield(entry{}, err)
			return
		}
		defer d.Close()
		var names []string
		for err == nil && ctx.Err() == nil {
			var more []string
			more, err = d.Readdirnames(piece)
			names = append(names, more...)
			if t.anyway {
				if !t.yield(rel, names, yield) {
					return
				}
				names = names[:0]
			}
		}
		if err != io.EOF {
			yield(entry{}, errors.Join(err, ctx.Err()))
			return
		}
		slices.Sort(names)
		t.yield(rel, names, yield)
	}
}

// yield gives the entries of the names.
func (t *localTree) yield(rel string, names []string, yield func(entry, error) bool) bool {
	for _, n := range names {
		at := path.Join(rel, n)
		if t.ours && t.sweep(at) {
			continue
		}
		e, err := t.look(context.Background(), at)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went meanwhile
		}
		if err != nil {
			e = entry{name: n, err: err}
		}
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

// sweep reports whether a file is one that place has not finished, and removes it
// if nobody does so any more.
func (t *localTree) sweep(rel string) bool {
	rel = filepath.FromSlash(rel)
	if n := filepath.Base(rel); !strings.HasPrefix(n, unfinished) || len(n) != len(unfinished)+26 {
		return false
	}
	f, err := t.root.OpenFile(rel, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	left := lock(f) == nil
	_ = f.Close() // nothing was written
	if left {
		_ = t.root.Remove(rel) // or the next one does
	}
	return true
}

func (t *localTree) look(_ context.Context, rel string) (entry, error) {
	if t.root == nil {
		return entry{}, &fs.PathError{Op: "lstat", Path: t.name(rel), Err: fs.ErrNotExist}
	}
	st, err := t.root.Lstat(filepath.FromSlash(rel))
	if err != nil {
		return entry{}, err
	}
	e := entry{name: path.Base(rel), mode: st.Mode(), size: st.Size(), time: st.ModTime()}
	if e.mode.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
		e.why = "neither a file, a directory nor a link"
	}
	return e, nil
}

func (t *localTree) open(_ context.Context, rel string) (io.ReadCloser, error) {
	return t.root.Open(filepath.FromSlash(rel))
}

func (t *localTree) readlink(_ context.Context, rel string) (string, error) {
	to, err := t.root.Readlink(filepath.FromSlash(rel))
	return filepath.ToSlash(to), err
}

func (t *localTree) digest(ctx context.Context, rel string) (string, error) {
	f, err := t.open(ctx, rel)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := xxh3.New()
	_, err = io.Copy(sum, f)
	return hash(sum), err
}

func (t *localTree) mkdir(_ context.Context, rel string, mode fs.FileMode) error {
	err := t.root.Mkdir(filepath.FromSlash(rel), 0o700|mode.Perm())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t.root.MkdirAll(filepath.FromSlash(rel), 0o700|mode.Perm())
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if st, serr := t.root.Stat(filepath.FromSlash(rel)); serr != nil || !st.IsDir() {
		return err
	}
	for _, err := range t.entries(context.Background(), rel) { // sweeps
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *localTree) write(_ context.Context, rel string, r io.Reader, e entry) (version string, err error) {
	how := placing{mode: 0o666 | e.exec(), only: e.only, durable: e.durable}
	_, err = place(t.root, filepath.FromSlash(rel), how, func(w io.Writer) (int64, error) { return io.Copy(w, r) })
	return "", err
}

func (t *localTree) symlink(_ context.Context, to, rel string, only bool) error {
	if only {
		return t.root.Symlink(filepath.FromSlash(to), filepath.FromSlash(rel))
	}
	return linkLocal(t.root, filepath.FromSlash(to), filepath.FromSlash(rel))
}

func (t *localTree) attr(_ context.Context, rel string, mode fs.FileMode, at time.Time) error {
	var err error
	if rel = filepath.FromSlash(rel); mode != 0 {
		err = t.root.Chmod(rel, mode.Perm())
	}
	if !at.IsZero() {
		err = errors.Join(err, t.root.Chtimes(rel, at, at))
	}
	return err
}

func (t *localTree) remove(_ context.Context, rel string, all bool) error {
	if all {
		return t.root.RemoveAll(filepath.FromSlash(rel))
	}
	if rel == "." { // moved away, with all that was in it
		return os.Remove(t.root.Name())
	}
	return t.root.Remove(filepath.FromSlash(rel))
}

func (t *localTree) rename(_ context.Context, from, to string) error {
	return t.root.Rename(filepath.FromSlash(from), filepath.FromSlash(to))
}

// linkLocal makes a link below root, in the place of another one.
func linkLocal(root *os.Root, target, name string) error {
	return linkOver(target, func() error { return root.Symlink(target, name) },
		func() (string, error) { return root.Readlink(name) }, func() error { return relinkLocal(root, target, name) })
}

// relinkLocal puts a link in the place of another one, which is there until the
// new one is.
func relinkLocal(root *os.Root, target, name string) error {
	tmp := filepath.Join(filepath.Dir(name), unfinished+rand.Text())
	if err := root.Symlink(target, tmp); err != nil {
		return err
	}
	if err := root.Rename(tmp, name); err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	return nil
}
