package verbs

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) cp() *cobra.Command {
	k := &copier{app: a}
	var archive, preserve, force, upper bool
	c := &cobra.Command{Use: "cp source… destination", Short: "Copy files between the server and this machine", Args: cobra.MinimumNArgs(2),
		SuggestFor: []string{"copy"},
		Long: `Copies files, or with -r directories, into the destination if that is a
directory, or else one to that name. Patterns in quotes fit names on the server.

A local path is written local:PATH, or plain when the other side is pfs:PATH;
- is stdin or stdout; pfs://HOST:PORT/PATH is on that server. Plain paths alone
are on the server. Symbolic links are copied as links. Of the mode the execute
bits are kept. Devices, pipes and files that command something, such as those of
a queue, are left out. What fails is reported and the rest is copied.

A file appears whole or not at all, after its directory. --resume goes on with a
copy that was interrupted: what is equal in size and digest is not copied again.
With several nodes in --url the files are spread over them. See also: pfs sync.`,
		Example: "  pfs cp -r local:./src /memfs/src\n  pfs cp -r --resume ./src pfs:/memfs/src\n  pfs cp -r pfs:/memfs/src .\n" +
			"  pfs cp '/memfs/*.txt' local:.\n  pfs cp /memfs/a /memfs/b\n  tar c . | pfs cp - /memfs/all.tar"}
	f := c.Flags()
	f.BoolVarP(&k.recursive, "recursive", "r", false, "directories and all below them")
	f.BoolVarP(&upper, "Recursive", "R", false, "as -r")
	f.BoolVarP(&archive, "archive", "a", false, "as -r -p")
	f.BoolVarP(&preserve, "preserve", "p", false, "keep all permission bits, and on this machine the time")
	f.BoolVarP(&k.keep, "no-clobber", "n", false, "leave files that are there")
	f.BoolVarP(&k.update, "update", "u", false, "leave files that are there and not older")
	f.BoolVarP(&force, "force", "f", false, "replace what is there, as is done without; takes back -n")
	f.BoolVarP(&k.tell, "verbose", "v", false, "tell what is copied")
	f.BoolVar(&k.dry, "dry-run", false, "only tell what would be copied")
	f.BoolVar(&k.compare, "resume", false, "leave files that are there and equal, by size and digest")
	k.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		k.recursive = k.recursive || upper || archive
		k.modes = preserve || archive
		k.times = k.modes
		k.keep = k.keep && !force
		if err := k.checkFlags(); err != nil {
			return err
		}
		src, dst, err := a.sides(args)
		if err != nil {
			return err
		}
		ctx, cancel := a.Context(cmd)
		defer cancel()
		return k.run(ctx, src, dst)
	}
	return c
}

// run copies the sources to the destination.
func (k *copier) run(ctx context.Context, srcs []end, dst end) error {
	srcs, err := k.spread(ctx, srcs)
	if err != nil {
		return err
	}
	if srcs, dst, err = k.app.unite(ctx, srcs, dst, false); err != nil {
		return err
	}
	k.made = targets{}
	if len(srcs) == 1 {
		w, err := k.way(ctx, srcs[0], dst, false)
		if err != nil {
			return err
		}
		defer w.close()
		if w.tree == nil {
			return k.one(ctx, w)
		}
		return k.several(ctx, w.tree.survey, func(give func(job)) error { return w.tree.whole(ctx, give) }, nil)
	}
	var open []*way // trees whose files are on their way
	defer func() {
		for _, w := range open {
			w.close()
		}
	}()
	return k.several(ctx, nil, func(give func(job)) error {
		for _, src := range srcs {
			w, err := k.way(ctx, src, dst, true)
			switch {
			case err != nil:
			case w.tree != nil:
				open = append(open, w)
				err = w.tree.whole(ctx, give)
				w.taken.end(nil) // files of it may be there
			case w.turn:
				k.done(ctx, w.file(ctx))
			default:
				give(func(ctx context.Context) error {
					defer w.close()
					err := w.file(ctx)
					w.taken.end(err)
					return err
				})
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				k.done(ctx, err)
			}
		}
		return nil
	}, nil)
}

// one copies a file, whose error is that of the copy.
func (k *copier) one(ctx context.Context, w *way) error {
	ended := k.meter.start(ctx, nil)
	err := w.file(ctx)
	ended()
	if err != nil {
		return err
	}
	k.count.Add(nil)
	return k.summary()
}

// several copies what feed gives, and fails if some of it does; survey counts
// what there is to come, last comes after. Both may be nil.
func (k *copier) several(ctx context.Context, survey func(context.Context, string), feed func(give func(job)) error, last func(context.Context) error) error {
	ended := k.meter.start(ctx, survey)
	err := k.work(ctx, feed)
	if err == nil && last != nil {
		err = last(ctx)
	}
	ended()
	if err != nil {
		return err
	}
	if err := k.summary(); err != nil {
		return err
	}
	return k.count.Result()
}

// whole copies all of a tree.
func (k *leg) whole(ctx context.Context, give func(job)) error {
	if !k.dry {
		if err := k.dst.mkdir(ctx, ".", 0o755); err != nil {
			return err
		}
	}
	return k.all(ctx, ".", false, give)
}
