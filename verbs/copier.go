package verbs

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
)

// copier copies a tree or a file to another place, several files at a time. Its
// directories are made before what is in them, its files appear whole.
type copier struct {
	app       *app
	jobs      int
	recursive bool
	filter    filter

	keep     bool // what is there stays
	update   bool // what is there and is not older stays
	compare  bool // what is there and is equal stays
	times    bool // ... and equal sizes and times say so; times are set where they can be
	exact    bool // ... but only digests say so
	modes    bool // all permission bits are set, not those to execute alone
	check    bool // what was copied is read again, by its digest
	dry      bool // nothing is changed
	tell     bool // what is done is told
	mute     bool // there is no summary
	mirror   bool // the target is listed, and made like the source
	clean    bool // of a mirror: what the source has not is removed
	made     targets
	unlisted atomic.Bool
	spare    *spool
	mounts   map[string]bool // of the target, where what the source has not is removed
	swaps    swaps
	moved    *ledger // what is removed once all is copied; nil: nothing

	meter   meter
	copied  atomic.Int64 // files and links
	removed atomic.Int64
	left    atomic.Int64 // that are not to be copied
	mu      sync.Mutex
	count   cli.Partial // of files, links and what could not be looked at
}

// leg is a copier on the way from one tree to another.
type leg struct {
	*copier
	src source
	dst target
}

// flags gives a command the flags that cp and sync share.
func (k *copier) flags(c *cobra.Command) {
	f := c.Flags()
	f.IntVarP(&k.jobs, "jobs", "j", 16, "files at a time")
	f.BoolVar(&k.check, "check", false, "compare the digest of each copy with what was sent")
	f.Var(ruleFlag{&k.filter, false}, "exclude", "leave out what fits; of several --exclude and --include the first that fits counts")
	f.Var(ruleFlag{&k.filter, true}, "include", "do not leave out what fits")
	k.meter.app = k.app
	k.meter.flags(c)
}

func (k *copier) checkFlags() error {
	if k.jobs < 1 || k.jobs > 256 {
		return cli.Usage("--jobs %d is not between 1 and 256", k.jobs)
	}
	return k.meter.check()
}

// job copies one file or link.
type job func(ctx context.Context) error

// work does the jobs that feed gives, and reports each failure.
func (k *copier) work(ctx context.Context, feed func(give func(job)) error) error {
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range k.jobs {
		wg.Go(func() {
			for j := range jobs {
				k.done(ctx, j(ctx))
			}
		})
	}
	err := feed(func(j job) {
		select {
		case jobs <- j:
		case <-ctx.Done():
		}
	})
	close(jobs)
	wg.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// done counts a file that was copied, or not.
func (k *copier) done(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return // told once, as the end of all
	}
	k.mu.Lock()
	k.count.Add(err)
	k.mu.Unlock()
	if err != nil {
		k.meter.failed.Add(1)
		k.say("pfs: %s", cli.Explain(err))
		return
	}
	k.meter.files.Add(1)
}

func (k *copier) say(format string, args ...any) {
	k.meter.wipe()
	k.app.Say(format, args...)
}

// act tells what is done, and reports whether to do it.
func (k *copier) act(what, name string) bool {
	if k.tell || k.dry {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.meter.wipe()
		if k.app.JSON() {
			_ = k.app.jsonLine(map[string]string{"do": what, "path": name}) // Run tells that stdout is gone
		} else {
			k.app.Printf("%s %s\n", what, cli.Plain(name))
		}
	}
	return !k.dry
}

// summary prints what a copy did, for people and for programs.
func (k *copier) summary() error {
	if k.mute {
		return nil
	}
	files, bytes, same, removed := k.copied.Load(), k.meter.moved.Load(), k.meter.same.Load(), k.removed.Load()
	if k.app.JSON() {
		out := map[string]any{"files": files, "bytes": bytes, "failed": k.count.Failed()}
		if k.mirror || k.keep || k.update || k.compare {
			out["unchanged"] = same
		}
		if k.mirror {
			out["deleted"], out["dry_run"] = removed, k.dry
		}
		if k.tell || k.dry {
			return k.app.jsonLine(out)
		}
		return k.app.Encode(out)
	}
	if k.app.Quiet {
		return nil
	}
	text := fmt.Sprintf("%d files, %d bytes", files, bytes)
	if same > 0 || k.mirror {
		text += fmt.Sprintf(", %d unchanged", same)
	}
	if k.clean {
		text += fmt.Sprintf(", %d deleted", removed)
	}
	if k.dry {
		text += "; nothing was done"
	}
	k.app.Say("%s", text)
	return nil
}

// leaveOut says that a file is not copied.
func (k *copier) leaveOut(name, why string) {
	k.left.Add(1)
	if !k.app.Quiet {
		k.say("pfs: %s is %s; left out", name, why)
	}
}

// all copies the tree below rel; listed: the target has that directory, and is to
// be made like it.
func (k *leg) all(ctx context.Context, rel string, listed bool, give func(job)) error {
	k.moved.dir(rel)
	var old *ahead
	if listed {
		old = newAhead(k.dst.entries(ctx, rel))
		defer old.stop()
	}
	extra := func(e entry) error { return k.surplus(path.Join(rel, e.name), e) }
	for e, err := range k.src.entries(ctx, rel) {
		if err != nil {
			return k.cut(ctx, rel, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		there, err := old.upTo(e.name, extra)
		if err != nil {
			return k.cut(ctx, rel, err)
		}
		at := path.Join(rel, e.name)
		if down, known := k.visit(ctx, at, e, there, give); down {
			if err := k.all(ctx, at, known, give); err != nil {
				return err
			}
		}
	}
	if _, err := old.upTo("", extra); err != nil {
		return k.cut(ctx, rel, err)
	}
	return nil
}

// cut counts a directory that could not be listed to its end, there or here. That
// of the root ends all.
func (k *leg) cut(ctx context.Context, rel string, err error) error {
	k.unlisted.Store(true)
	if rel == "." || ctx.Err() != nil {
		return err
	}
	k.fails(ctx, rel, err)
	return nil
}

// visit gives the job for one entry, or makes the directory that it is; down: to
// go down into, known: the target had it already.
func (k *leg) visit(ctx context.Context, at string, e entry, old *entry, give func(job)) (down, known bool) {
	switch {
	case e.err != nil:
		k.unlisted.Store(true)
		k.fails(ctx, at, e.err)
		return false, false
	case k.filter.out(at, e.mode.IsDir()):
		return false, false
	case e.why != "":
		k.leaveOut(k.src.name(at), e.why)
		return false, false
	}
	var s *swap
	if old != nil && old.mode.Type() != e.mode.Type() {
		var err error
		if s, err = k.aside(ctx, at, *old, e.mode.Type()); err != nil {
			k.fails(ctx, at, err)
			return false, false
		}
		old = nil
	}
	switch e.mode.Type() {
	case fs.ModeDir:
		if s != nil {
			if err := k.makeWay(ctx, s); err != nil {
				k.fails(ctx, at, err)
				return false, false
			}
		}
		if old == nil && (!k.mirror || k.act("mkdir", k.dst.name(at))) && !k.dry {
			if err := k.dst.mkdir(ctx, at, e.mode); err != nil {
				k.fails(ctx, at, k.back(ctx, s, err))
				return false, false
			}
		}
		k.takes(s)
		return true, old != nil
	case fs.ModeSymlink:
		give(k.noted(at, k.instead(s, func(ctx context.Context) error { return k.link(ctx, at, at, old) })))
	default:
		give(k.noted(at, k.instead(s, func(ctx context.Context) error { return k.file(ctx, at, at, e, old) })))
	}
	return false, false
}
