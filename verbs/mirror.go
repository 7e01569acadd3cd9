package verbs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/pfs-project/pfs/cli"
)

// ahead goes through a directory of the target beside one of the source. nil is
// one that is not there.
type ahead struct {
	pull func() (entry, error, bool)
	stop func()
	head entry // not yet passed
	more bool
	err  error
}

func newAhead(seq iter.Seq2[entry, error]) *ahead {
	a := &ahead{}
	a.pull, a.stop = iter.Pull2(seq)
	a.next()
	return a
}

func (a *ahead) next() {
	a.head, a.err, a.more = a.pull()
}

// upTo passes over all before name, or to the end for "", and returns what has the
// name, if something has.
func (a *ahead) upTo(name string, pass func(entry) error) (*entry, error) {
	for a != nil && a.more {
		switch c := strings.Compare(a.head.name, name); {
		case a.err != nil:
			return nil, a.err
		case c == 0:
			e := a.head
			a.next()
			return &e, nil
		case c > 0 && name != "":
			return nil, nil
		}
		if err := pass(a.head); err != nil {
			return nil, err
		}
		a.next()
	}
	return nil, nil
}

// surplus notes what the source has not.
func (k *leg) surplus(at string, e entry) error {
	if !k.clean || e.why != "" || k.swaps.mark != "" && strings.HasPrefix(e.name, k.swaps.mark) || k.filter.out(at, e.mode.IsDir()) {
		return nil
	}
	if e.err != nil {
		return e.err
	}
	return k.spare.add(at, e.mode.IsDir())
}

// tidy removes what was noted: only once all of the source was seen.
func (k *leg) tidy(ctx context.Context) error {
	k.swapped(ctx, true)
	if !k.clean {
		return nil
	}
	if k.unlisted.Load() {
		k.done(ctx, &cli.Hinted{Code: cli.ExitFailure, Text: "nothing is deleted: not all directories could be listed whole"})
		return nil
	}
	return k.work(ctx, func(give func(job)) error {
		return k.spare.each(func(at string, dir bool) {
			give(func(ctx context.Context) error { return k.prune(ctx, at, dir) })
		})
	})
}

// prune removes one of them, but what filters leave out.
func (k *leg) prune(ctx context.Context, at string, dir bool) error {
	if dir && len(k.filter.rules) > 0 {
		if kept, err := k.thin(ctx, at); kept || err != nil {
			return err
		}
	} else if k.act("delete", k.dst.name(at)) {
		if err := k.dst.remove(ctx, at, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	k.removed.Add(1)
	return nil
}

// findMounts notes what sync --delete does not go into.
func (k *copier) findMounts(ctx context.Context, to target) error {
	t, ok := to.(*remoteTree)
	if !ok {
		return nil
	}
	mounts, err := t.clients[0].Mounts(ctx)
	k.mounts = map[string]bool{}
	for _, m := range mounts {
		k.mounts[m.Path] = true
	}
	return err
}

// thin removes what is in a directory, and the directory unless something is kept.
func (k *leg) thin(ctx context.Context, dir string) (kept bool, err error) {
	if name := k.dst.name(dir); k.mounts[name] {
		return true, &cli.Hinted{Code: cli.ExitPermission, Text: name + ": is a mount, and is not emptied", Hint: "leave it out with --exclude, or detach it with pfs unmount"}
	}
	for e, err := range k.dst.entries(ctx, dir) {
		if err = errors.Join(err, e.err); err != nil {
			return true, err
		}
		at := path.Join(dir, e.name)
		switch {
		case k.filter.out(at, e.mode.IsDir()):
			kept = true
		case e.mode.IsDir():
			below, err := k.thin(ctx, at)
			if err != nil {
				return true, err
			}
			kept = kept || below
		case k.act("delete", k.dst.name(at)):
			if err := k.dst.remove(ctx, at, false); err != nil {
				return true, err
			}
			k.removed.Add(1)
		}
	}
	if kept || !k.act("delete", k.dst.name(dir)) {
		return kept, nil
	}
	return false, k.dst.remove(ctx, dir, false)
}

// spool is a list of paths in a file: it may be of any length.
type spool struct {
	f *os.File
	w *bufio.Writer
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "pfs-sync-")
	if err != nil {
		return nil, err
	}
	return &spool{f, bufio.NewWriter(f)}, nil
}

func (s *spool) add(at string, dir bool) error {
	kind := "f"
	if dir {
		kind = "d"
	}
	_, err := fmt.Fprintf(s.w, "%s%s\x00", kind, at)
	return err
}

func (s *spool) each(do func(at string, dir bool)) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReader(s.f)
	for {
		line, err := r.ReadString(0)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		do(line[1:len(line)-1], line[0] == 'd')
	}
}

func (s *spool) close() error { return errors.Join(s.f.Close(), os.Remove(s.f.Name())) }
