package verbs

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// remoteTree is a tree on a server. Its files are spread over the clients, each
// to the same one always, so that what was written there is read there.
type remoteTree struct {
	clients []*client.Client
	root    string // clean
	fresh   bool   // listings have all that was acknowledged before
}

func (t *remoteTree) at(rel string) string   { return path.Join(t.root, rel) }
func (t *remoteTree) name(rel string) string { return t.at(rel) }

func (t *remoteTree) by(rel string) *client.Client {
	h := fnv.New32a()
	_, _ = io.WriteString(h, rel) // a hash takes everything
	return t.clients[int(h.Sum32()%uint32(len(t.clients)))]
}

// settle waits until every node that is used has what was acknowledged before.
func (t *remoteTree) settle(ctx context.Context) error {
	for _, c := range t.clients {
		if _, err := c.Stat(client.WithFresh(ctx), t.root); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (t *remoteTree) entries(ctx context.Context, rel string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if t.fresh {
			ctx = client.WithFresh(ctx)
		}
		for i, err := range t.clients[0].Entries(ctx, t.at(rel)) {
			if !yield(infoEntry(i), err) {
				return
			}
		}
	}
}

func (t *remoteTree) look(ctx context.Context, rel string) (entry, error) {
	i, err := t.by(rel).Stat(ctx, t.at(rel))
	if err != nil {
		return entry{}, err
	}
	i.Name = path.Base(rel)
	e := infoEntry(i)
	e.err = nil // the name is not the server's
	return e, nil
}

// open opens a file for copying; one that is consumed by reading is refused.
func (t *remoteTree) open(ctx context.Context, rel string) (io.ReadCloser, error) {
	return whole(t.by(rel))(ctx, t.at(rel))
}

func (t *remoteTree) readlink(ctx context.Context, rel string) (string, error) {
	return t.by(rel).Readlink(ctx, t.at(rel))
}

func (t *remoteTree) digest(ctx context.Context, rel string) (string, error) {
	return t.by(rel).FileDigest(ctx, t.at(rel), "xxh3")
}

func (t *remoteTree) mkdir(ctx context.Context, rel string, mode fs.FileMode) error {
	return mkdirAll(ctx, t.clients[0], t.at(rel), uint32(mode.Perm()))
}

// small is up to what size a file is sent from memory, which can be sent again.
const small = 256 << 10

func (t *remoteTree) write(ctx context.Context, rel string, r io.Reader, e entry) (version string, err error) {
	c, p := t.by(rel), t.at(rel)
	var got client.Written
	var only []client.Option
	switch {
	case e.only:
		only = append(only, client.IfAbsent())
	case e.over != "":
		only = append(only, client.IfMatch(e.over))
	}
	if e.size < 0 || e.size > small {
		got, err = c.Write(ctx, p, r, e.size, only...)
	} else {
		b := make([]byte, e.size)
		switch _, err = io.ReadFull(r, b); err {
		case nil:
			got, err = c.WriteFile(ctx, p, b, only...)
		case io.EOF:
			err = io.ErrUnexpectedEOF // it has become shorter
		}
	}
	return got.ETag, keepExec(ctx, c, p, e.mode, err)
}

func (t *remoteTree) symlink(ctx context.Context, to, rel string, only bool) error {
	if only {
		return t.by(rel).Symlink(ctx, filepath.ToSlash(to), t.at(rel))
	}
	return link(ctx, t.by(rel), filepath.ToSlash(to), t.at(rel))
}

// attr sets the mode; a server gives its own times.
func (t *remoteTree) attr(ctx context.Context, rel string, mode fs.FileMode, _ time.Time) error {
	if mode == 0 {
		return nil
	}
	err := t.by(rel).Chmod(ctx, t.at(rel), uint32(mode.Perm()))
	if errors.Is(err, vfs.Unsupported) {
		return nil // modes are not kept there
	}
	return err
}

func (t *remoteTree) remove(ctx context.Context, rel string, all bool) error {
	if all {
		return t.by(rel).RemoveAll(ctx, t.at(rel))
	}
	return t.by(rel).Remove(ctx, t.at(rel))
}

func (t *remoteTree) rename(ctx context.Context, from, to string) error {
	return t.by(from).Rename(ctx, t.at(from), t.at(to))
}

// keepExec makes a file on the server executable if the local one was; err is
// that of writing it. Where modes are not kept, that is no failure.
func keepExec(ctx context.Context, c *client.Client, p string, mode fs.FileMode, err error) error {
	if err != nil || mode&0o111 == 0 {
		return err
	}
	if err = c.Chmod(ctx, p, uint32(mode.Perm())); errors.Is(err, vfs.Unsupported) {
		return nil
	}
	return err
}

// link makes a link on the server, in the place of another one.
func link(ctx context.Context, c *client.Client, target, p string) error {
	return linkOver(target, func() error { return c.Symlink(ctx, target, p) },
		func() (string, error) { return c.Readlink(ctx, p) }, func() error { return relink(ctx, c, target, p) })
}

// linkOver makes a link. Another one in its place is replaced, anything else
// stays.
func linkOver(target string, symlink func() error, read func() (string, error), replace func() error) error {
	err := symlink()
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	switch old, lerr := read(); {
	case lerr != nil:
		return err
	case old == target:
		return nil
	}
	return replace()
}
