package verbs

import (
	"context"
	"io/fs"
	"strings"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// found is a file that a walk comes to.
type found struct {
	at    string // as the command line names it
	path  string // on the server
	depth int    // 0: the argument itself
	last  bool   // of its directory
	info  client.Info
}

// placed is a file with its path, as programs are told of it.
type placed struct {
	Path string `json:"path"`
	client.Info
}

// walker goes through trees. What cannot be listed is reported and counted, and the
// walk goes on.
type walker struct {
	app    *app
	c      *client.Client
	failed cli.Partial
	depth  int                    // not below it; -1: no limit
	leave  func(client.Info) bool // of what is below the argument, what is left out with all below it; nil: nothing
	goesOn bool                   // over what fails of visit below the argument: it is reported, and left
}

// tree visits the file that an argument names and all below it, directories before
// what is in them, by name. fs.SkipDir of visit leaves out what is below, any other
// error ends the walk.
func (w *walker) tree(ctx context.Context, arg string, visit func(found) error) error {
	if err := cli.Named(arg); err != nil {
		return err
	}
	p := w.app.Remote(arg)
	i, err := w.c.Stat(ctx, p)
	if err != nil {
		return err
	}
	return w.visit(ctx, found{arg, p, 0, true, i}, visit)
}

func (w *walker) visit(ctx context.Context, f found, visit func(found) error) error {
	err := visit(f)
	if err != nil && err != fs.SkipDir {
		if w.goesOn && f.depth > 0 && ctx.Err() == nil {
			w.report(err)
			return nil
		}
		return err
	}
	w.failed.Add(nil)
	if err != nil || !f.info.IsDir || f.info.IsLink() || f.depth == w.depth {
		return nil
	}
	var next *client.Info // it is visited when what comes behind it is known
	child := func(last bool) error {
		if next == nil {
			return nil
		}
		return w.visit(ctx, found{below(f.at, next.Name), below(f.path, next.Name), f.depth + 1, last, *next}, visit)
	}
	for i, err := range w.c.Entries(ctx, f.path) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.report(err)
			break
		}
		if w.leave != nil && w.leave(i) {
			continue
		}
		if err := child(false); err != nil {
			return err
		}
		next = &i
	}
	return child(true)
}

// report counts and tells a failure.
func (w *walker) report(err error) {
	w.failed.Add(err)
	w.app.Say("pfs: %s", cli.Explain(err))
}

// below joins a directory, as it was written, and a name.
func below(dir, name string) string {
	if strings.HasSuffix(dir, "/") || dir == "" {
		return dir + name
	}
	return dir + "/" + name
}
