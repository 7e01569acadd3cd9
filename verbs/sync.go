package verbs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
)

func (a *app) sync() *cobra.Command {
	k := &copier{app: a, mirror: true, compare: true, recursive: true}
	var sum bool
	c := &cobra.Command{Use: "sync source destination", Short: "Make a directory like another", Args: cobra.ExactArgs(2), SuggestFor: []string{"rsync", "mirror"},
		Long: `Makes the destination, a directory, like the source: copies what it lacks and what
differs, and with --delete removes what the source has not. Paths are written as
for pfs cp; what is in the source goes into the destination, not into a directory
of its name.

A file differs if its size does, or its digest, which both sides compute. Equal
sizes and equal times say that it does not, unless --checksum is given: sync sets
the times of files on this machine to those of the server, which gives each change
its own. The times of files on a server cannot be set, so that what was sent there
is compared by digest.

Nothing outside the destination is touched. Directories are made first, files
appear whole, and what is to go is removed last, and only if all of the source
could be listed. A sync that was interrupted, in any way, is finished by the same
command. Patterns are looked at from the first on: one with a slash fits the path
from the root of the tree, one without the last element, one that ends in a slash
directories; ** is any number of elements. What is left out is not removed.`,
		Example: "  pfs sync local:./src /memfs/site\n  pfs sync --delete --exclude .git/ ./src pfs:/memfs/src\n" +
			"  pfs sync -n --delete pfs:/memfs/site ./site\n  pfs sync pfs:/memfs/site pfs://10.0.0.7:8080/memfs/site"}
	f := c.Flags()
	f.BoolVar(&k.clean, "delete", false, "remove what the source has not")
	f.BoolVarP(&sum, "checksum", "c", false, "compare digests even where size and time are equal")
	f.BoolVarP(&k.dry, "dry-run", "n", false, "only tell what would be done")
	f.BoolVarP(&k.tell, "verbose", "v", false, "tell what is done")
	k.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		k.times = true
		k.exact = sum
		if err := k.checkFlags(); err != nil {
			return err
		}
		srcs, dst, err := a.sides(args)
		if err != nil {
			return err
		}
		ctx, cancel := a.Context(cmd)
		defer cancel()
		return k.sync(ctx, srcs[0], dst)
	}
	return c
}

// sync makes dst like src.
func (k *copier) sync(ctx context.Context, src, dst end) error {
	if src.path == "-" || dst.path == "-" {
		return cli.Usage("- is no directory")
	}
	srcs, dst, err := k.app.unite(ctx, []end{src}, dst, false)
	if err != nil {
		return err
	}
	src = srcs[0]
	if !src.local && !dst.local && src.url == dst.url && overlap(path.Clean("/"+src.path), path.Clean("/"+dst.path)) {
		return cli.Usage("%s and %s are the same, or one is within the other", src.path, dst.path)
	}
	if k.clean && !dst.local && path.Clean("/"+dst.path) == "/" {
		return cli.Usage("--delete would empty every mount of the server; name a directory below one")
	}
	w := &way{}
	defer w.close()
	from, there, err := k.tree(ctx, w, src)
	if err != nil {
		return err
	}
	if !there {
		return &fs.PathError{Op: "sync", Path: from.name("."), Err: fs.ErrNotExist}
	}
	to, there, err := k.tree(ctx, w, dst)
	if err != nil {
		return err
	}
	if !there && k.act("mkdir", to.name(".")) {
		if to, err = k.found(ctx, w, to, dst); err != nil {
			return err
		}
	}
	if k.clean {
		if err := k.findMounts(ctx, to); err != nil {
			return err
		}
		if k.spare, err = newSpool(); err != nil {
			return err
		}
		defer k.spare.close()
	}
	l := &leg{k, from, to}
	if t, ok := to.(*localTree); ok {
		t.ours = !k.dry
	}
	err = k.several(ctx, l.survey, func(give func(job)) error { return l.all(ctx, ".", there, give) }, l.tidy)
	l.swapped(ctx, false)
	return err
}

// tree opens the directory that an end names, and reports whether it is there.
func (k *copier) tree(ctx context.Context, w *way, e end) (target, bool, error) {
	if e.local {
		t := &localTree{label: e.path}
		st, err := os.Stat(e.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return t, false, nil
		case err == nil && !st.IsDir():
			err = cli.Usage("%s is no directory; copy it with pfs cp", e.path)
		}
		if err != nil {
			return nil, false, err
		}
		t.root, err = os.OpenRoot(e.path)
		if err == nil {
			w.add(t.root)
		}
		return t, true, err
	}
	cs, err := k.app.reach(e)
	if err != nil {
		return nil, false, err
	}
	t := &remoteTree{cs, path.Clean("/" + e.path), true}
	if err := t.settle(ctx); err != nil {
		return nil, false, err
	}
	i, err := cs[0].Stat(ctx, t.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, false, nil
	case err == nil && !i.IsDir:
		err = cli.Usage("%s is no directory; copy it with pfs cp", t.root)
	}
	return t, true, err
}

// found makes the directory that a mirror is to be.
func (k *copier) found(ctx context.Context, w *way, t target, e end) (target, error) {
	if !e.local {
		return t, t.mkdir(ctx, ".", 0o755)
	}
	if err := os.MkdirAll(e.path, 0o777); err != nil {
		return nil, err
	}
	t, _, err := k.tree(ctx, w, e)
	return t, err
}
