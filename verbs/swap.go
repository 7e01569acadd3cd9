package verbs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// swap is something that made way for what has another type.
type swap struct {
	at, aside string
	dir       bool
	kind      fs.FileMode // of what it makes way for
	gone      bool        // it was removed, since nothing is renamed there
	lacking   bool        // not all was copied into the directory that took its place
}

// afterTime is how long it may take to leave things as they should be once a command
// is to end. A node that hangs has no more.
const afterTime = 10 * time.Second

// after is the time to do that, also after the end of ctx.
func after(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), afterTime)
}

// swaps are those of one mirror.
type swaps struct {
	mark string // how the names begin under which it is kept meanwhile
	n    int
	open []*swap // their place is taken by a directory that is being filled
}

// aside says under which name something is kept that is in the way of what has
// another type, until that is whole. nil: it stays, as in a dry run.
func (k *leg) aside(ctx context.Context, at string, old entry, kind fs.FileMode) (*swap, error) {
	name := k.dst.name(at)
	refused := func(err error) (*swap, error) { return nil, &fs.PathError{Op: "replace", Path: name, Err: err} }
	dir := old.mode.IsDir()
	switch {
	case old.err != nil:
		return nil, old.err
	case old.why != "":
		return refused(vfs.Invalid.With("it is " + old.why))
	case dir && !k.clean:
		return refused(vfs.IsDirectory.With("it is a directory, and not in the source; --delete replaces it"))
	}
	if dir && len(k.filter.rules) > 0 {
		if k.filter.out(at, true) {
			return refused(vfs.NotEmpty.With("the filters leave it out"))
		}
		kept, err := k.holds(ctx, at)
		if err != nil {
			return nil, err
		}
		if kept != "" {
			return refused(vfs.NotEmpty.With("it holds " + path.Base(kept) + ", which the filters leave out"))
		}
	}
	if !k.act("delete", name) {
		return nil, nil
	}
	if k.swaps.mark == "" {
		k.swaps.mark = unfinished + "old-" + rand.Text() + "-"
	}
	k.swaps.n++
	return &swap{at: at, aside: path.Join(path.Dir(at), fmt.Sprint(k.swaps.mark, k.swaps.n)), dir: dir, kind: kind}, nil
}

// holds returns something below a directory of the target that filters leave out.
func (k *leg) holds(ctx context.Context, dir string) (string, error) {
	for e, err := range k.dst.entries(ctx, dir) {
		if err = errors.Join(err, e.err); err != nil {
			return "", err
		}
		at := path.Join(dir, e.name)
		if k.filter.out(at, e.mode.IsDir()) {
			return at, nil
		}
		if e.mode.IsDir() {
			if kept, err := k.holds(ctx, at); kept != "" || err != nil {
				return kept, err
			}
		}
	}
	return "", nil
}

// instead has a job move aside what is in its way, put it back if the job fails, and
// else remove it.
func (k *leg) instead(s *swap, do job) job {
	if s == nil {
		return do
	}
	return func(ctx context.Context) error {
		err := k.makeWay(ctx, s)
		if err != nil {
			return err
		}
		if err = do(ctx); err == nil {
			return k.discard(ctx, s)
		}
		return k.back(ctx, s, err)
	}
}

// makeWay gives what is in the way its other name. Where nothing is renamed it goes
// before what is to come, if that can be made there.
func (k *leg) makeWay(ctx context.Context, s *swap) error {
	err := k.dst.rename(ctx, s.at, s.aside)
	switch {
	case errors.Is(err, vfs.Unsupported):
		if err = k.try(ctx, s); err == nil {
			s.gone = true
			err = k.dst.remove(ctx, s.at, s.dir)
		}
	case errors.Is(err, client.ErrUnknown):
		k.say("pfs: what was at %s may be %s now", k.dst.name(s.at), k.dst.name(s.aside))
	}
	return err
}

// try makes something of the kind that is to come, for a moment: what a mount does not
// take is not to cost what it has.
func (k *leg) try(ctx context.Context, s *swap) error {
	var err error
	switch s.kind {
	case fs.ModeDir:
		err = k.dst.mkdir(ctx, s.aside, 0o755)
	case fs.ModeSymlink:
		err = k.dst.symlink(ctx, ".", s.aside, true)
	default:
		_, err = k.dst.write(ctx, s.aside, strings.NewReader(""), entry{mode: 0o644})
	}
	if err != nil {
		return err
	}
	ctx, cancel := after(ctx)
	defer cancel()
	return k.dst.remove(ctx, s.aside, false)
}

// discard removes what made way.
func (k *leg) discard(ctx context.Context, s *swap) error {
	if s.gone {
		return nil
	}
	err := k.dst.remove(ctx, s.aside, s.dir)
	if err != nil && ctx.Err() != nil { // done tells nothing of it then
		k.say("pfs: what was at %s is kept as %s", k.dst.name(s.at), k.dst.name(s.aside))
	}
	return err
}

// back puts back what made way; err is why.
func (k *leg) back(ctx context.Context, s *swap, err error) error {
	switch {
	case s == nil:
		return err
	case s.gone:
		k.say("pfs: what was at %s is gone, since nothing can be renamed there", k.dst.name(s.at))
		return err
	}
	ctx, cancel := after(ctx)
	defer cancel()
	is := "is"
	berr := k.dst.remove(ctx, s.at, false) // a copy that is not what was to be copied
	if berr == nil || errors.Is(berr, fs.ErrNotExist) {
		if berr = k.dst.rename(ctx, s.aside, s.at); errors.Is(berr, client.ErrUnknown) {
			is = "may be"
		}
	}
	if berr != nil {
		k.say("pfs: what was at %s %s now %s", k.dst.name(s.at), is, k.dst.name(s.aside))
		return errors.Join(err, berr)
	}
	return err
}

// takes notes a directory that took the place of something.
func (k *leg) takes(s *swap) {
	if s != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.swaps.open = append(k.swaps.open, s)
	}
}

// lacks notes what could not be copied: the directory that it belongs into is not whole.
func (k *leg) lacks(at string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.swaps.open {
		s.lacking = s.lacking || at == s.at || strings.HasPrefix(at, s.at+"/")
	}
}

// noted is a job to copy what is at a path.
func (k *leg) noted(at string, do job) job {
	return func(ctx context.Context) error {
		err := do(ctx)
		if err != nil {
			k.lacks(at)
		}
		return err
	}
}

// fails counts what could not be copied.
func (k *leg) fails(ctx context.Context, at string, err error) {
	k.lacks(at)
	k.done(ctx, err)
}

// swapped removes what made way for directories, if all that goes into each is there;
// ended: the copy went to its end.
func (k *leg) swapped(ctx context.Context, ended bool) {
	for _, s := range k.swaps.open {
		if !s.gone && (!ended || s.lacking) {
			k.say("pfs: not all was copied, so that what was at %s is kept as %s", k.dst.name(s.at), k.dst.name(s.aside))
		} else if err := k.discard(ctx, s); err != nil {
			k.done(ctx, err)
		}
	}
	k.swaps.open = nil
}
