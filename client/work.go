package client

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// WorkOptions say how to work on a queue. The zero value is one message at a
// time, lent for a minute.
type WorkOptions struct {
	Max   int           // messages lent at a time, at most 100; 0 means 1
	Lease time.Duration // extended while a Job is worked on; 0 means a minute
	Idle  time.Duration // how long one request waits for a message, 60 s at most; 0 means 30 s
}

// Job is a [Message] on loan. Its lease is extended until it is settled or the
// body of the loop is left.
type Job struct {
	Message
	work *work

	mu      sync.Mutex // held while something is asked about the lease
	until   time.Time  // unless it is extended the lease is over by then, on the clock of this machine
	settled bool
	giveUp  atomic.Pointer[context.CancelFunc] // ends the extension that began last
	wanted  atomic.Int32                       // how many wait for mu, to settle
	ctx     context.Context                    // of the loop; ends also with the lease
	end     context.CancelCauseFunc
}

// work is one loop over a queue.
type work struct {
	c     *Client
	ctx   context.Context
	queue string
	o     WorkOptions
}

// Work takes messages and hands them out, until ctx ends or the loop is left:
// an idle one asks once in 30 seconds, and a message that comes is there at once.
//
//	for job, err := range c.Work(ctx, "/queuefs/jobs", client.WorkOptions{}) {
//		if err != nil {
//			return err // or continue: see below
//		}
//		if err := do(job.Context(), job.Data); err != nil {
//			job.Nack(err.Error(), time.Second)
//			continue
//		}
//		job.Ack()
//	}
//
// A Job that was neither acked nor nacked when its turn is over goes back to the
// queue at once, also when the loop is left or panics. After an error that passes
// (a cluster without a leader, past all retries; no such queue, which its first
// message makes) a loop that goes on asks again; after any other it ends.
func (c *Client) Work(ctx context.Context, queue string, o WorkOptions) iter.Seq2[*Job, error] {
	o.Max = max(o.Max, 1)
	if o.Lease <= 0 {
		o.Lease = time.Minute
	}
	if o.Idle <= 0 {
		o.Idle = 30 * time.Second
	}
	o.Idle = min(o.Idle, time.Minute)
	w := &work{c, ctx, queue, o}
	return func(yield func(*Job, error) bool) {
		for pause := c.backoff; ctx.Err() == nil; {
			asked := time.Now()
			got, err := c.Take(ctx, queue, TakeOptions{Max: o.Max, Lease: o.Lease, Wait: o.Idle})
			switch {
			case ctx.Err() != nil: // what was taken comes again
				return
			case len(got) > 0:
				pause = c.backoff
				if !w.hand(got, yield) {
					return
				}
				continue
			case err != nil && (!yield(nil, err) || !temporary(err) && !errors.Is(err, fs.ErrNotExist)):
				return
			case err == nil && time.Since(asked) >= o.Idle:
				pause = c.backoff
				continue
			}
			if sleep(ctx, pause) != nil { // an answer before its time: a server that cannot wait is not asked all the time
				return
			}
			pause = min(2*pause, o.Idle)
		}
	}
}

// hand gives out what was taken; false: the loop is left.
func (w *work) hand(got []Message, yield func(*Job, error) bool) bool {
	jobs, until := make([]*Job, len(got)), time.Now().Add(w.o.Lease) // they were asked for perhaps long before
	for i, m := range got {
		j := &Job{Message: m, work: w, until: until}
		j.ctx, j.end = context.WithCancelCause(w.ctx)
		jobs[i] = j
	}
	ctx, quit := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.keep(ctx, jobs)
	}()
	next := 0
	defer func() { // also in a panic
		quit()
		<-done
		w.giveBack(jobs[next:])
	}()
	for _, j := range jobs {
		if j.ctx.Err() == nil && !yield(j, nil) {
			return false
		}
		w.giveBack(jobs[next : next+1])
		next++
	}
	return true
}

// keep extends the leases of what is not settled, until ctx ends.
func (w *work) keep(ctx context.Context, jobs []*Job) {
	tick := time.NewTicker(max(w.o.Lease/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, j := range jobs {
			j.extend(ctx)
		}
	}
}

// extend extends the lease, or ends the Job's context where it is lost. A node
// that hangs has a quarter of the lease, so that the next one is asked in time.
func (j *Job) extend(ctx context.Context) {
	if !j.mu.TryLock() {
		return // it is being settled
	}
	defer j.mu.Unlock()
	if j.settled || j.ctx.Err() != nil {
		return
	}
	asked, w := time.Now(), j.work
	end := asked.Add(w.o.Lease / 4)
	if j.until.Before(end) {
		end = j.until
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	j.giveUp.Store(&cancel)
	if j.wanted.Load() > 0 {
		return
	}
	_, err := w.c.Extend(ctx, w.queue, j.Lease, w.o.Lease)
	switch {
	case err == nil:
		j.until = asked.Add(w.o.Lease)
	case errors.Is(err, vfs.LeaseLost), errors.Is(err, vfs.NotFound), !time.Now().Before(j.until):
		j.end(&fs.PathError{Op: "extend", Path: w.queue, Err: vfs.LeaseLost})
	}
}

// hold takes hold of the lease: an extension under way is given up, since its
// node may hang, and none begins before release.
func (j *Job) hold() (release func()) {
	j.wanted.Add(1)
	if cancel := j.giveUp.Load(); cancel != nil {
		(*cancel)()
	}
	j.mu.Lock()
	return func() {
		j.mu.Unlock()
		j.wanted.Add(-1)
	}
}

// Context ends with the loop's and once the lease is lost, so that somebody else
// may have the message: its cause is [ErrLeaseLost] then.
func (j *Job) Context() context.Context { return j.ctx }

// Ack settles the message for good. It is sent also after the end of the loop's
// context: the work is done. ErrLeaseLost says that it may be done again.
func (j *Job) Ack() error {
	ctx, cancel := j.work.closing()
	defer cancel()
	return j.settle(func() error { return j.work.c.Ack(ctx, j.work.queue, j.Lease) })
}

// Nack gives the message back, to be ready after a delay. After its last attempt
// it is dead, which is reported, with the reason.
func (j *Job) Nack(reason string, delay time.Duration) (dead bool, err error) {
	ctx, cancel := j.work.closing()
	defer cancel()
	return j.nack(ctx, reason, delay)
}

func (j *Job) nack(ctx context.Context, reason string, delay time.Duration) (dead bool, err error) {
	err = j.settle(func() (err error) {
		dead, err = j.work.c.Nack(ctx, j.work.queue, j.Lease, reason, delay)
		return err
	})
	return dead, err
}

func (j *Job) settle(do func() error) error {
	defer j.hold()()
	err := do()
	j.settled = j.settled || err == nil || errors.Is(err, vfs.LeaseLost)
	return err
}

// closing is the time to settle, also after the end of the loop's context.
func (w *work) closing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(w.ctx), closeTime)
}

// giveBack ends Jobs whose turn is over. All have the time of one; where nobody
// answers it ends at once: their leases run out.
func (w *work) giveBack(jobs []*Job) {
	ctx, cancel := w.closing()
	defer cancel()
	away := false
	for _, j := range jobs {
		if !away && !j.over() {
			_, err := j.nack(ctx, "its worker did not settle it", 0)
			var u *Unreachable
			away = errors.As(err, &u) || ctx.Err() != nil
		}
		j.end(nil)
	}
}

// over reports whether there is nothing to give back.
func (j *Job) over() bool {
	defer j.hold()()
	return j.settled || errors.Is(context.Cause(j.ctx), vfs.LeaseLost)
}
