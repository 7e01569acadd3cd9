package verbs

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// watcher tells of the changes of files.
type watcher struct {
	*app
	c    *client.Client
	argv []string // what is run at each change; nil: nothing
	env  []string // of that, which it has the server in
	most int
	poll time.Duration
	stop context.CancelFunc

	mu   sync.Mutex // one change at a time
	seen int
}

// changed is one change of a file.
type changed struct {
	Event string    `json:"event"` // created, changed, removed
	Path  string    `json:"path"`
	Size  int64     `json:"size"` // bytes
	Time  time.Time `json:"time"` // when it was changed; of a removal, when it was noticed
	ETag  string    `json:"etag,omitempty"`
}

func (a *app) watch() *cobra.Command {
	w := &watcher{app: a}
	var sh string
	c := &cobra.Command{Use: "watch path…", Short: "Tell of changes of files", Args: cobra.MinimumNArgs(1), SuggestFor: []string{"wait", "follow", "monitor"},
		Long: `Prints a line, or with -o json an object, for each change of the files from now on:
created, changed, removed. A file that is not there is waited for. A directory changes
when something comes into it or goes, not with what lies below that. Changes that
follow closely on each other may be told as one: what is told is always the newest.

Nothing is asked while nothing changes: the server answers when something does, for
mounts in the log; others are asked at each interval. With --exec a command runs on
this machine at each change, with PFS_EVENT, PFS_PATH, PFS_SIZE and PFS_ETAG in its
environment. With --timeout the command ends then: exit code 9 if nothing has changed.`,
		Example: "  pfs watch /memfs/config.json\n  pfs watch -n 1 --timeout 1m /memfs/done\n  pfs watch /memfs/site --exec 'make publish'\n  pfs watch -o json /memfs/a /memfs/b"}
	c.Flags().StringVar(&sh, "exec", "", "a command for sh -c to run at each change")
	c.Flags().IntVarP(&w.most, "count", "n", 0, "end after so many changes; 0: never")
	c.Flags().DurationVarP(&w.poll, "sleep-interval", "s", time.Second, "how often to ask a server that cannot tell of changes")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if w.most < 0 || w.poll <= 0 {
			return cli.Usage("--count is not negative, and --sleep-interval is more than 0")
		}
		if sh != "" {
			if err := a.Outside("watch --exec"); err != nil {
				return err
			}
			server, err := a.Environ() // once: another context may be chosen meanwhile
			if err != nil {
				return err
			}
			w.argv, w.env = []string{"/bin/sh", "-c", sh}, append(os.Environ(), server...)
		}
		for _, arg := range args {
			if err := cli.Named(arg); err != nil {
				return err
			}
		}
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			w.c = c
			return w.all(ctx, args)
		})
	}
	return c
}

// all watches all files at once.
func (w *watcher) all(outer context.Context, args []string) error {
	ctx, stop := context.WithCancel(outer)
	defer stop()
	w.stop = stop
	errs := make([]error, len(args))
	var wg sync.WaitGroup
	for i, arg := range args {
		wg.Go(func() {
			if errs[i] = w.one(ctx, w.Remote(arg)); errs[i] != nil && ctx.Err() == nil {
				stop()
				return
			}
			errs[i] = nil
		})
	}
	wg.Wait()
	switch {
	case errors.Join(errs...) != nil:
		return errors.Join(errs...)
	case w.most > 0 && w.seen >= w.most:
		return nil
	case errors.Is(outer.Err(), context.DeadlineExceeded) && w.seen == 0:
		return cli.Exit(cli.ExitNothing)
	case errors.Is(outer.Err(), context.DeadlineExceeded):
		return nil
	}
	return outer.Err()
}

// one watches a file.
func (w *watcher) one(ctx context.Context, p string) error {
	began, there := false, false
	var tries retries
	var last error
	for i, err := range w.c.WatchEvery(ctx, p, w.poll) {
		last = err
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case err != nil && !missing && began && cli.Code(err) == cli.ExitTemporary:
			last = tries.again(ctx, w.app, err)
		case err != nil && !missing:
		case !began:
			began, last = true, nil
		case missing:
			last = w.tell(ctx, changed{Event: "removed", Path: p, Time: time.Now()})
		case there:
			last = w.tell(ctx, changed{"changed", p, i.Size, i.ModTime, i.ETag})
		default:
			last = w.tell(ctx, changed{"created", p, i.Size, i.ModTime, i.ETag})
		}
		if last != nil {
			return last
		}
		if err == nil || missing {
			there = err == nil
			tries.worked()
		}
	}
	return cmp.Or(ctx.Err(), last)
}

// tell prints a change and runs the command.
func (w *watcher) tell(ctx context.Context, c changed) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.most > 0 && w.seen >= w.most {
		return nil
	}
	if w.seen++; w.seen == w.most {
		defer w.stop()
	}
	var err error
	if w.JSON() {
		err = w.line(c)
	} else {
		w.Printf("%s\t%s\t%d\t%s\n", c.Event, cli.Plain(c.Path), c.Size, c.Time.UTC().Format(time.RFC3339Nano))
	}
	if err != nil || w.argv == nil {
		return err
	}
	cmd := exec.CommandContext(ctx, w.argv[0], w.argv[1:]...)
	cmd.Stdout, cmd.Stderr = w.Stdout, w.Stderr
	cmd.Env = append(slices.Clone(w.env), "PFS_EVENT="+c.Event, "PFS_PATH="+c.Path,
		"PFS_SIZE="+strconv.FormatInt(c.Size, 10), "PFS_ETAG="+c.ETag)
	cmd.WaitDelay = jobGrace
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		w.Say("pfs: watch: --exec: %v", err)
	}
	return nil
}
