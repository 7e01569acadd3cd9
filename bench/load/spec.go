package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Op is client's i-th request, and waits for its answer. i rises by one from 0
// for each client, through the warm-up too. Several clients run at once, one
// client never twice.
type Op func(ctx context.Context, client, i int) error

// Spec is one load.
type Spec struct {
	Name    string
	Clients int
	Warm    time.Duration // before anything is counted
	For     time.Duration // what is counted
	Rate    float64       // requests a second over all clients, open loop; 0: closed loop
	Bytes   int64         // payload of a request, for MB/s
	Op      Op
	Usage   func() Usage // what was used up to now; nil: nobody can tell
}

// Usage is processor time, and memory.
type Usage struct {
	Client time.Duration // of the process that sends the load
	Server time.Duration // of the processes that answer it
	Peak   int64         // the most that the servers have held resident since they began, bytes
}

// pause follows a request that failed, so that a server that refuses at once is
// not asked as fast as the processor can.
const pause = 10 * time.Millisecond

// Run does the load. Requests under way at the end are waited for; ctx is theirs
// too, so when it ends the load ends with its error. What fails is counted in
// Figures.Errors; only if nothing was answered is it Run's error. An
// open loop that was too much for the server from the start has Figures.Missed alone.
func (s Spec) Run(ctx context.Context) (Figures, error) {
	if s.Clients < 1 || s.For <= 0 || s.Warm < 0 || s.Rate < 0 || s.Op == nil {
		return Figures{}, fmt.Errorf("load %s: wants clients, a length and an operation", s.Name)
	}
	var before Usage
	if s.Usage != nil {
		before = s.Usage()
	}
	t := newTally(s)
	var wg sync.WaitGroup
	for c := range s.Clients {
		wg.Go(func() { s.client(ctx, t, c) })
	}
	wg.Wait()
	f := t.figures(s)
	if s.Usage != nil {
		f.used(before, s.Usage(), t.sent)
	}
	switch {
	case ctx.Err() != nil:
		return f, ctx.Err()
	case f.Requests == 0 && t.first != nil:
		return f, fmt.Errorf("load %s: no request was answered: %w", s.Name, t.first)
	case f.Requests == 0 && f.Missed == 0:
		return f, errors.New("load " + s.Name + ": no request was answered")
	}
	return f, nil
}

// client sends one client's requests until the time is over. In a closed loop it
// sends one that counts at least, however long that takes.
func (s Spec) client(ctx context.Context, t *tally, c int) {
	shard, n, tried, sent := t.shard(c), 0, 0, int64(0)
	first, last := t.from, t.to // an open loop's time is that of the load, or longer
	for i := 0; ctx.Err() == nil; i++ {
		due := time.Now()
		if s.Rate > 0 {
			due = t.due(s, c, i)
			wait(ctx, time.Until(due))
			if now := time.Now(); !now.Before(t.to) && due.Before(t.to) {
				shard.missed(now.Sub(due), !due.Before(t.from))
				continue
			}
		}
		if over := !due.Before(t.to); over && (s.Rate > 0 || tried > 0) {
			break
		}
		err := s.Op(ctx, c, i)
		end := time.Now()
		sent++
		counted := !due.Before(t.from)
		if counted {
			if tried++; tried == 1 && s.Rate == 0 {
				first = due
			}
			if last = end; s.Rate > 0 && end.Before(t.to) {
				last = t.to
			}
		}
		switch {
		case err != nil && ctx.Err() == nil:
			t.failed(err, counted)
			wait(ctx, pause)
		case err == nil && counted:
			shard.answered(end.Sub(due))
			n++
		}
	}
	t.rate(n, first, last)
	t.add(sent)
}

// due is when client c's i-th request of an open loop is to be sent: the clients
// take turns, evenly spaced.
func (t *tally) due(s Spec, c, i int) time.Time {
	turn := float64(i)*float64(s.Clients) + float64(c)
	return t.begun.Add(time.Duration(turn / s.Rate * float64(time.Second)))
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
