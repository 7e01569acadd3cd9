package verbs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// errMoved is why what was copied is not removed.
var errMoved = errors.New("it changed while it was copied, or the destination is the same by another name")

// ledger is what was copied of a source that is to be removed: each as it was read.
// Nothing else goes.
type ledger struct {
	mu    sync.Mutex
	files *spool
	some  bool     // there is a file or a link among them
	dirs  []string // each behind what it is in
}

// origin is a source from which things are moved away. Both kinds of tree are one.
type origin interface {
	mark(ctx context.Context, rel string) (string, error)     // of a file or a link: other once it was written
	removeMarked(ctx context.Context, rel, mark string) error // vfs.Stale: it has another mark, as far as that is told
	remove(ctx context.Context, rel string, all bool) error
}

func (k *leg) origin() origin { return k.src.(origin) }

// between ends the path in a line of a ledger; what follows has none.
const between = "\x01"

func newLedger() (*ledger, error) {
	s, err := newSpool()
	return &ledger{files: s}, err
}

// add notes a file or a link that is whole at the destination.
func (l *ledger) add(at, mark string) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.some = true
	return l.files.add(at+between+mark, false)
}

// dir notes a directory; a ledger that is nil notes nothing.
func (l *ledger) dir(at string) {
	if l != nil {
		l.dirs = append(l.dirs, at)
	}
}

// each goes through the files and links.
func (l *ledger) each(do func(at, mark string) error) error {
	var failed error
	err := l.files.each(func(line string, _ bool) {
		i := strings.LastIndex(line, between)
		failed = errors.Join(failed, do(line[:i], line[i+len(between):]))
	})
	return errors.Join(err, failed)
}

// watched copies a file or a link with copy. The mark is how the source was, before
// and after; without a ledger nobody asks.
func (k *leg) watched(ctx context.Context, from, to string, copy func() error) (mark string, err error) {
	if k.moved == nil {
		return "", copy()
	}
	if mark, err = k.origin().mark(ctx, from); err != nil {
		return "", err
	}
	if err := copy(); err != nil {
		return "", err
	}
	after, err := k.origin().mark(ctx, from)
	if err != nil {
		return "", err
	}
	same := after != mark
	if !same && !strings.HasPrefix(mark, versioned) { // where no version is told, equal size and time may be those of one file
		a, aerr := k.src.look(ctx, from)
		b, berr := k.dst.look(ctx, to)
		if err := errors.Join(aerr, berr); err != nil {
			return "", err
		}
		same = a.mode.Type() == b.mode.Type() && !a.time.IsZero() && a.time.Equal(b.time) && (a.size == b.size || !a.mode.IsRegular())
	}
	if same {
		return "", &fs.PathError{Op: "move", Path: k.src.name(from), Err: errMoved}
	}
	return mark, nil
}

// clear removes what was copied, if it is as it was then: the files, and the
// directories that are empty without them.
func (k *leg) clear(ctx context.Context) error {
	if err := k.persistNames(ctx); err != nil {
		return err
	}
	if len(k.moved.dirs) == 0 {
		return k.moved.each(func(at, mark string) error { return k.drop(ctx, at, mark) })
	}
	if err := k.elsewhere(ctx); err != nil {
		return err
	}
	k.count = cli.Partial{} // of what is removed, from now on
	err := k.work(ctx, func(give func(job)) error {
		return k.moved.each(func(at, mark string) error {
			give(func(ctx context.Context) error { return k.drop(ctx, at, mark) })
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, at := range slices.Backward(k.moved.dirs) {
		err := k.origin().remove(ctx, at, false)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, vfs.NotEmpty) || notEmpty(err):
			if k.count.Failed() == 0 {
				k.done(ctx, stays(k.src.name(at), "something came into it while it was copied"))
			}
		default:
			k.done(ctx, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return k.count.Result()
}

// elsewhere refuses directories whose copy they are themselves, by another name. A file or
// a link in them has shown that already; else what is made in one is in the other.
func (k *leg) elsewhere(ctx context.Context) error {
	if k.moved.some {
		return nil
	}
	name := unfinished + "same-" + rand.Text()
	if err := k.dst.mkdir(ctx, name, 0o700); err != nil {
		return err
	}
	_, err := k.src.look(ctx, name)
	end, cancel := after(ctx)
	defer cancel()
	rerr := k.dst.remove(end, name, false)
	switch {
	case err == nil:
		return stays(k.src.name("."), "the destination is the same by another name")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return rerr
}

// drop removes a file or a link that has a mark still.
func (k *leg) drop(ctx context.Context, at, mark string) error {
	now, err := k.origin().mark(ctx, at)
	if err != nil {
		return err
	}
	if now == mark {
		err = k.origin().removeMarked(ctx, at, mark)
	}
	if now != mark || errors.Is(err, vfs.Stale) {
		return stays(k.src.name(at), errMoved.Error())
	}
	return err
}

// versioned begins the marks that a file does not keep when it is written.
const versioned = "v"

// mark tells one state of what is on a server from another: its version, or where it
// has none all that the server tells.
func (t *remoteTree) mark(ctx context.Context, rel string) (string, error) {
	i, err := t.by(rel).Stat(ctx, t.at(rel))
	if err != nil {
		return "", err
	}
	return markOf(i, t.at(rel))
}

func markOf(i client.Info, p string) (string, error) {
	switch {
	case i.ETag != "" && !i.IsLink():
		return versioned + i.ETag, nil
	case i.ModTime.IsZero() && i.ETag == "" && !i.IsLink():
		return "", stays(p, "its server tells neither its version nor its time, so that a change could not be seen")
	}
	return fmt.Sprintf("%d %s %o %s %q %q", i.Size, i.ModTime.UTC().Format(time.RFC3339Nano), i.Mode, i.ETag, i.Meta.Type, fmt.Sprint(i.Meta.Content)), nil
}

// removeMarked removes a file or a link with a mark; the server itself looks at that
// of a version.
func (t *remoteTree) removeMarked(ctx context.Context, rel, mark string) error {
	var only []client.Option
	if etag, ok := strings.CutPrefix(mark, versioned); ok {
		only = append(only, client.IfMatch(etag))
	}
	return t.by(rel).Remove(ctx, t.at(rel), only...)
}

// mark tells a file from another that has taken its name, and from what it becomes
// when it is written.
func (t *localTree) mark(_ context.Context, rel string) (string, error) {
	st, err := t.root.Lstat(filepath.FromSlash(rel))
	return localMark(st, err)
}

func localMark(st fs.FileInfo, err error) (string, error) {
	if err != nil {
		return "", err
	}
	mark := fmt.Sprintf("%d %d %d", st.Size(), st.ModTime().UnixNano(), st.Mode())
	if id := inode(st); id != "" && st.Mode().IsRegular() {
		mark = versioned + id + " " + mark
	}
	return mark, nil
}

func (t *localTree) removeMarked(ctx context.Context, rel, _ string) error {
	return t.remove(ctx, rel, false)
}
