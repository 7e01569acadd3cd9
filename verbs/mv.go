package verbs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// mover is how mv moves.
type mover struct {
	app                       *app
	keep, force, ask, verbose bool
	opts                      []client.Option
	made                      targets
}

func (a *app) mv() *cobra.Command {
	m := &mover{app: a, made: targets{}}
	var when conds
	c := &cobra.Command{Use: "mv path… to", Short: "Rename, or move into a directory", Args: cobra.MinimumNArgs(2),
		SuggestFor: []string{"move", "rename", "ren"},
		Long: `Renames a file or a directory, or moves it into a directory. Within a mount that is
one step, whatever its size. To another mount, and with a local side, written as for
pfs cp, it is copied, compared by digest, and then removed where it was; what cannot be
copied whole, or changes meanwhile, stays.
Patterns in quotes fit names on the server.`,
		Example: "  pfs mv /memfs/a /memfs/b\n  pfs mv '/memfs/*.log' /memfs/docs/\n  pfs mv local:./data.bin /memfs/docs/\n  pfs mv pfs:/memfs/src ."}
	f := c.Flags()
	f.BoolVarP(&m.keep, "no-clobber", "n", false, "leave what is there")
	f.BoolVarP(&m.force, "force", "f", false, "do not ask; takes back -i and -n")
	f.BoolVarP(&m.ask, "interactive", "i", false, "ask before a file is replaced")
	f.BoolVarP(&m.verbose, "verbose", "v", false, "tell what is moved")
	when.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if m.force {
			m.keep, m.ask = false, false
		}
		srcs, dst, err := a.sides(args)
		if err != nil {
			return err
		}
		for _, arg := range args[:len(args)-1] {
			if err := movable(arg); err != nil {
				return err
			}
		}
		if m.opts, err = when.options(cmd, len(srcs)); err != nil {
			return err
		}
		ctx, cancel := a.Context(cmd)
		defer cancel()
		ctx = client.WithFresh(ctx) // what is removed then was read as it is, by whatever node
		if srcs, err = (&copier{app: a}).spread(ctx, srcs); err != nil {
			return err
		}
		if srcs, dst, err = a.unite(ctx, srcs, dst, true); err != nil {
			return err
		}
		return m.all(ctx, srcs, dst)
	}
	return c
}

// movable refuses what names a directory without its name: moved under the name of
// the destination, what is in one would replace what came from another.
func movable(arg string) error {
	if p := filepath.ToSlash(side(arg).path); p != "-" && lastName(p) == "" {
		return cli.Usage("%s cannot be moved: it ends in no name of its own; name the directory, or what is in it", arg)
	}
	return nil
}

// all moves one after the other.
func (m *mover) all(ctx context.Context, srcs []end, dst end) error {
	var failed cli.Partial
	for _, src := range srcs {
		var err error
		if src.local || dst.local || src.url != dst.url {
			err = m.carry(ctx, src, dst, len(srcs) > 1)
		} else {
			err = m.rename(ctx, src, dst, len(srcs) > 1)
		}
		if err != nil && (len(srcs) == 1 || ctx.Err() != nil) {
			return err
		}
		failed.Add(err)
		if err != nil {
			m.app.Say("pfs: %s", cli.Explain(err))
		}
	}
	return failed.Result()
}

// rename moves within a server.
func (m *mover) rename(ctx context.Context, src, dst end, several bool) error {
	cs, err := m.app.reach(src)
	if err != nil {
		return err
	}
	c, to := cs[0], dst.path
	i, err := c.Stat(ctx, dst.path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && i.IsDir:
		to = path.Join("/", dst.path, path.Base(src.path))
		_, err = c.Stat(ctx, to)
	case several, strings.HasSuffix(dst.path, "/") && !m.directory(ctx, c, src.path):
		return cli.Usage("%s is not a directory", dst.path)
	}
	if err == nil {
		if yes, err := m.replaces("replace %s? [y/N]", to); err != nil || !yes {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	place, err := m.made.take(ctx, to, src.path)
	if err != nil {
		return err
	}
	err = c.Rename(ctx, src.path, to, m.opts...)
	if otherMount(err) {
		err = m.across(ctx, c, src, end{path: path.Clean("/" + to), url: dst.url})
	}
	place.end(err)
	if err != nil {
		return mountPoint(ctx, c, src.path, err)
	}
	if m.verbose {
		m.app.Printf("move %s -> %s\n", cli.Plain(src.path), cli.Plain(to))
	}
	return nil
}

// replaces reports whether what is at a destination is to be replaced.
func (m *mover) replaces(question, at string) (bool, error) {
	if m.keep || !m.ask {
		return !m.keep, nil
	}
	return m.app.agreed(question, at)
}

// directory reports whether a path is one, and not a link to one.
func (m *mover) directory(ctx context.Context, c *client.Client, p string) bool {
	i, err := c.Stat(ctx, p)
	return err == nil && i.IsDir && !i.IsLink()
}

// carry copies what is moved to another machine, and removes it once it is there.
func (m *mover) carry(ctx context.Context, src, dst end, several bool) error {
	if src.path == "-" || dst.path == "-" {
		return cli.Usage("- cannot be moved; see pfs cp")
	}
	if len(m.opts) > 0 {
		return cli.Usage("--if-match and --idempotency-key are for moves within a server")
	}
	if m.keep || m.ask {
		there, err := m.there(ctx, src, dst)
		if err != nil {
			return err
		}
		if there {
			if yes, err := m.replaces("replace what is at %s? [y/N]", dst.path); err != nil || !yes {
				return err
			}
		}
	}
	k, err := m.copier(m.verbose)
	if err != nil {
		return err
	}
	defer k.moved.files.close()
	w, err := k.way(ctx, src, dst, several)
	if err != nil {
		return err
	}
	defer w.close()
	if w.turn {
		return cli.Usage("%s is no file, so that what it was given cannot be compared; see pfs cp", dst.path)
	}
	name := lastName(filepath.ToSlash(src.path))
	link, mark, err := k.namedLink(ctx, w, src, name)
	if err != nil {
		return err
	}
	from := w.tree
	if from == nil {
		from, err = w.by, k.one(ctx, w)
		w.taken.end(err)
	} else {
		err = k.treeWhole(ctx, from, src.path)
		w.taken.end(nil) // files of it may be there
	}
	switch {
	case err != nil:
		return err
	case link != nil && k.meter.same.Load() > 0:
		return stays(src.path, "something came to the destination while it was copied")
	case link != nil: // what it leads to was copied, and stays
		if err := from.persistNames(ctx); err != nil {
			return err
		}
		return link.drop(ctx, name, mark)
	}
	return from.clear(ctx)
}

// copier returns one that notes what it has copied.
func (m *mover) copier(tell bool) (*copier, error) {
	k := &copier{app: m.app, jobs: 16, keep: m.keep, recursive: true, check: true, modes: true, times: true, tell: tell, mute: true, made: m.made}
	k.meter.app, k.meter.form = m.app, "auto"
	var err error
	k.moved, err = newLedger()
	return k, err
}

// namedLink returns the leg from a source that is a link itself, and the mark of that;
// nil: it is none.
func (k *copier) namedLink(ctx context.Context, w *way, src end, name string) (*leg, string, error) {
	if !src.local {
		cs, err := k.app.reach(src)
		if err != nil {
			return nil, "", err
		}
		t := &remoteTree{clients: cs[:1], root: path.Dir(path.Clean("/" + src.path))}
		i, err := cs[0].Stat(ctx, t.at(name))
		if err != nil || !i.IsLink() {
			return nil, "", err
		}
		mark, err := markOf(i, t.at(name))
		return &leg{copier: k, src: t}, mark, err
	}
	file := filepath.Clean(src.path)
	st, err := os.Lstat(file)
	if err != nil || st.Mode().Type() != fs.ModeSymlink {
		return nil, "", err
	}
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, "", err
	}
	mark, err := localMark(st, nil)
	return &leg{copier: k, src: &localTree{root: w.add(root)}}, mark, err
}

// there reports whether something is where a move leads to another machine.
func (m *mover) there(ctx context.Context, src, dst end) (bool, error) {
	if dst.local {
		at, err := inside(dst.path, src.path)
		if err != nil {
			return false, err
		}
		_, err = os.Lstat(at)
		return err == nil, nil
	}
	cs, err := m.app.reach(dst)
	if err != nil {
		return false, err
	}
	to, err := into(ctx, cs[0], dst.path, lastName(src.path))
	if err != nil {
		return false, err
	}
	_, err = cs[0].Stat(ctx, to)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
