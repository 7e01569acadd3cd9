package verbs

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// labour is a worker: it takes messages and runs a command on each.
type labour struct {
	*app
	c      *client.Client
	queue  string
	argv   []string
	server []string // variables that name it

	jobs, most     int
	lease, delay   time.Duration
	untilEmpty     bool
	stdout, stderr *shared
	slots          chan struct{} // one for each job that may run
	wg             sync.WaitGroup
	mu             sync.Mutex
	done, failed   int
	lost           int       // leases that ran out under the command
	retryAt        time.Time // by then what it gave back is ready again
	spoiled        error     // why it ends: what commands say goes nowhere
	stop           context.CancelFunc
	taken          int     // of the taker alone
	tries          retries // so is this
	answered       bool    // and this: a take has worked
}

func (a *app) queueWork() *cobra.Command {
	w := &labour{app: a}
	var sh string
	c := &cobra.Command{Use: "work queue --exec command | -- program args…", Short: "Run a command for each message", Args: cobra.MinimumNArgs(1),
		SuggestFor: []string{"worker", "consume", "run"},
		Long: `Takes messages, one for each job that may run, and runs a command on this machine
for each: with the message on stdin and PFS_QUEUE, PFS_MESSAGE_ID, _SEQ, _ATTEMPT,
_LEASE and _FENCE in its environment. Its lease is extended while the command runs.
Exit code 0 acks the message; any other gives it back, to be ready after --delay, with
the code and the last line of stderr as the reason; after its last attempt it is dead.

A worker that dies, whatever kills it, loses nothing: the message comes back when its
lease has run out. On Linux its command dies with it. If the lease is lost under a
command, as to a machine that slept, the command is ended and the message left alone.

The first Ctrl-C finishes what runs and takes no more, the second ends all at once.
While the queue is empty the worker waits and makes a request each 50 s.`,
		Example: "  pfs queue work /queuefs/jobs --until-empty --exec 'cat >> out'\n  pfs queue work /queuefs/jobs --exec './resize.sh'\n  pfs queue work /queuefs/jobs --jobs 4 -- python3 job.py --fast"}
	f := c.Flags()
	f.StringVar(&sh, "exec", "", "a command for sh -c")
	f.IntVarP(&w.jobs, "jobs", "j", 1, "so many at a time")
	f.IntVar(&w.most, "max", 0, "end after so many messages; 0: never")
	f.BoolVar(&w.untilEmpty, "until-empty", false, "end when nothing is ready or lent to anybody; exit code 9 if nothing was")
	f.DurationVar(&w.lease, "lease", 30*time.Second, "for how long messages are lent at a time: so late they come back from a worker that died")
	f.DurationVar(&w.delay, "delay", time.Second, "when a message that failed is ready again")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.Outside("queue work"); err != nil {
			return err
		}
		if err := w.command(sh, args[1:]); err != nil {
			return err
		}
		p, err := a.Path(args[0])
		if err != nil {
			return err
		}
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			w.c, w.queue = c, path.Clean("/"+p)
			var err error
			if w.server, err = a.Environ(); err != nil {
				return err
			}
			return w.work(ctx)
		})
	}
	return c
}

// command checks what is to be run before anything is taken.
func (w *labour) command(sh string, argv []string) error {
	switch {
	case (sh == "") == (len(argv) == 0):
		return cli.Usage("say what to run: --exec 'COMMAND', or -- PROGRAM ARGS…")
	case w.jobs < 1 || w.jobs > 1000:
		return cli.Usage("--jobs is 1 to 1000, not %d", w.jobs)
	case w.lease < time.Second || w.lease > 12*time.Hour:
		return cli.Usage("--lease is 1s to 12h, not %s", w.lease)
	case w.delay < 0 || w.most < 0:
		return cli.Usage("--delay and --max are not negative")
	case sh != "":
		argv = []string{"/bin/sh", "-c", sh}
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return cli.Usage("%v", err)
	}
	w.argv = append([]string{program}, argv[1:]...)
	w.stdout, w.stderr = &shared{w: w.Stdout}, &shared{w: w.Stderr}
	w.slots = make(chan struct{}, w.jobs)
	return nil
}

// work takes until it is told to end, and lets what runs come to its end.
func (w *labour) work(ctx context.Context) error {
	ctx, w.stop = context.WithCancel(ctx)
	defer w.stop()
	err := w.takeAll(ctx)
	w.wg.Wait()
	if w.spoiled != nil {
		err = w.spoiled
	}
	if w.JSON() {
		err = errors.Join(err, w.line(map[string]int{"done": w.done, "failed": w.failed, "lost": w.lost}))
	} else if !w.Quiet {
		w.Say("%d done, %d failed", w.done, w.failed)
	}
	if err == nil && w.untilEmpty && w.taken == 0 {
		return cli.Exit(cli.ExitNothing)
	}
	return err
}

// spoil ends the work, as what the command says cannot be passed on.
func (w *labour) spoil(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoiled = err
	w.stop()
}

func (w *labour) takeAll(ctx context.Context) error {
	for w.most == 0 || w.taken < w.most {
		n, err := w.free(ctx)
		if err != nil {
			return err
		}
		if w.most > 0 {
			n = w.give(n, w.most-w.taken)
		}
		got, err := w.take(ctx, n)
		w.give(n, len(got))
		for _, m := range got {
			w.taken++
			w.wg.Go(func() {
				defer func() { <-w.slots }()
				w.one(ctx, m)
			})
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && len(got) == 0 && w.untilEmpty:
			if empty, err := w.empty(ctx); empty || err != nil {
				return err
			}
		case err == nil:
			w.tries.worked()
			w.answered = true
		case w.answered && cli.Code(err) == cli.ExitTemporary:
			if err := w.tries.again(ctx, w.app, err); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

// free waits for a slot and takes all that are free, at most 100.
func (w *labour) free(ctx context.Context) (n int, err error) {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for n = 1; n < 100; n++ {
		select {
		case w.slots <- struct{}{}:
		default:
			return n, nil
		}
	}
	return n, nil
}

// give gives slots back, all but used of n, and returns how many are kept.
func (w *labour) give(n, used int) int {
	for ; n > used; n-- {
		<-w.slots
	}
	return n
}

// take takes messages; none after a while without them.
func (w *labour) take(ctx context.Context, n int) ([]client.Message, error) {
	o := client.TakeOptions{Max: n, Lease: w.lease, Wait: waitTime}
	if w.untilEmpty {
		o.Wait = 0
	}
	asked := time.Now()
	got, err := w.c.Take(ctx, w.queue, o)
	if err == nil && len(got) == 0 && time.Since(asked) < o.Wait/2 { // a node that stops ends all waiting
		err = pause(ctx, tryPause)
	}
	return got, err
}

// empty reports whether there is nothing more to come of the queue: nothing is
// ready, lent, or given back by this worker. If there may be, it waits a little.
func (w *labour) empty(ctx context.Context) (bool, error) {
	s, err := w.c.QueueStats(ctx, w.queue)
	if err != nil {
		return false, err
	}
	w.mu.Lock()
	again := time.Until(w.retryAt)
	w.mu.Unlock()
	if s.Ready+s.Inflight == 0 && (s.Delayed == 0 || again <= -time.Second) {
		return true, nil
	}
	return false, pause(ctx, min(max(again, 100*time.Millisecond), tryPause))
}

// one works on a message and settles it, also once the worker is to end.
func (w *labour) one(ctx context.Context, m client.Message) {
	settle := context.WithoutCancel(ctx)
	if ctx.Err() != nil { // it came too late to be begun
		_, err := w.c.Nack(settle, w.queue, m.Lease, "the worker was stopped", 0)
		w.tell(m, err)
		return
	}
	if m.Attempt > 1 && !w.Quiet {
		w.Say("attempt %d of %s", m.Attempt, m.ID)
	}
	run, end := context.WithCancelCause(settle)
	kept := make(chan struct{})
	go func() { // until the message is settled
		defer close(kept)
		w.keep(run, m, end)
	}()
	reason := w.run(run, m)
	lost := errors.Is(context.Cause(run), vfs.LeaseLost)
	var err error
	switch {
	case lost:
		err = context.Cause(run)
	case reason == "":
		err = w.ack(settle, m)
	default:
		w.Say("pfs: queue work: %s: attempt %d: %s", m.ID, m.Attempt, reason)
		_, err = w.c.Nack(settle, w.queue, m.Lease, reason, w.delay)
	}
	end(nil)
	<-kept
	w.note(m, reason, err)
}

// note counts what became of a message.
func (w *labour) note(m client.Message, reason string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case errors.Is(err, vfs.LeaseLost):
		w.lost++
	case reason == "" && err == nil:
		w.done++
	default:
		w.failed++
		if at := time.Now().Add(w.delay); at.After(w.retryAt) {
			w.retryAt = at
		}
	}
	w.tell(m, err)
}

func (w *labour) tell(m client.Message, err error) {
	if err != nil {
		w.Say("pfs: queue work: %s: %s", m.ID, cli.Explain(err))
	}
}

// once is one try: a node that hangs must not take all the time that there is.
func (w *labour) once(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.lease/3)
	defer cancel()
	return do(ctx)
}

// ack settles a message, and tries until its lease would be over.
func (w *labour) ack(ctx context.Context, m client.Message) error {
	ctx, cancel := context.WithTimeout(ctx, w.lease)
	defer cancel()
	var tries retries
	for {
		err := w.once(ctx, func(ctx context.Context) error { return w.c.Ack(ctx, w.queue, m.Lease) })
		if cli.Code(err) != cli.ExitTemporary || ctx.Err() != nil {
			return err
		}
		if perr := tries.again(ctx, w.app, err); perr != nil {
			return err
		}
	}
}

// keep has the lease run on until ctx ends. One that is lost ends it.
func (w *labour) keep(ctx context.Context, m client.Message, end context.CancelCauseFunc) {
	over := time.Now().Add(w.lease) // by now at the latest somebody else may have it
	every := w.lease / 3
	for {
		if pause(ctx, every) != nil {
			return
		}
		asked := time.Now()
		err := w.once(ctx, func(ctx context.Context) error {
			_, err := w.c.Extend(ctx, w.queue, m.Lease, w.lease)
			return err
		})
		switch {
		case err == nil:
			over, every = asked.Add(w.lease), w.lease/3
		case errors.Is(err, vfs.LeaseLost):
			end(err)
			return
		case time.Now().After(over):
			end(vfs.LeaseLost.With("it could not be extended in time: " + cli.Explain(err)))
			return
		default:
			every = min(w.lease/3, tryPause)
		}
	}
}

// environ is what a command learns of its message.
func (w *labour) environ(m client.Message) []string {
	return append(append(os.Environ(), w.server...), "PFS_QUEUE="+w.queue, "PFS_MESSAGE_ID="+m.ID, "PFS_MESSAGE_LEASE="+m.Lease,
		"PFS_MESSAGE_SEQ="+number(m.Seq), "PFS_MESSAGE_ATTEMPT="+number(m.Attempt), "PFS_MESSAGE_FENCE="+number(m.Fence))
}
