package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Instance is what a Supervisor keeps: a process that is ready to be called.
type Instance interface {
	// Done is closed once it has ended.
	Done() <-chan struct{}
	// Err says why, after Done; nil if it ended as it should.
	Err() error
	// Probe returns nil if it answers.
	Probe(ctx context.Context) error
	// Close ends it and waits for that. It may be called more than once.
	Close()
}

// Plan says how an Instance is kept. A zero field takes the default.
type Plan struct {
	Start     time.Duration // for one start; 10 s
	Pause     time.Duration // before the first restart, doubled for each further; 200 ms
	MostPause time.Duration // 30 s
	Healthy   time.Duration // of running, after which the pause begins small again; 60 s
	Crashes   int           // ends within Within after which it is left alone; 5
	Within    time.Duration // 10 min
	Again     time.Duration // after which one that is left alone is tried again; 0: never
	Calls     int           // at once; 16
	Queue     int           // that wait for those; 64
	Probe     time.Duration // without a call, before it is asked whether it lives; 10 s
	Idle      time.Duration // without a call, before it is ended; 0: never
}

func (p Plan) filled() Plan {
	for _, d := range []struct {
		at   *time.Duration
		with time.Duration
	}{
		{&p.Start, 10 * time.Second}, {&p.Pause, 200 * time.Millisecond}, {&p.MostPause, 30 * time.Second},
		{&p.Healthy, time.Minute}, {&p.Within, 10 * time.Minute}, {&p.Probe, 10 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.with
		}
	}
	for _, n := range []struct {
		at   *int
		with int
	}{{&p.Crashes, 5}, {&p.Calls, 16}, {&p.Queue, 64}} {
		if *n.at == 0 {
			*n.at = n.with
		}
	}
	return p
}

// State is where an Instance stands.
type State string

// The states.
const (
	Stopped  State = "stopped"  // nobody has called it, or it was idle
	Starting State = "starting" // calls wait for it
	Ready    State = "ready"
	Backoff  State = "backoff"  // it has ended, and is started again soon
	Failed   State = "failed"   // it has ended too often; tried again after Plan.Again, or mounted anew
	Stopping State = "stopping" // it was idle; calls wait for its end, and start it again
	Closed   State = "closed"
)

// misses is how many probes in a row go unanswered before it is killed.
const misses = 3

// Supervisor keeps one Instance. It is safe for concurrent use.
type Supervisor[I Instance] struct {
	start func(context.Context) (I, error)
	plan  Plan
	log   *slog.Logger

	calls chan struct{} // one in it for each call under way
	queue chan struct{} // one in it for each that waits, or is under way
	wg    sync.WaitGroup
	ctx   context.Context // over when it is closed; of the starts, not of a call
	over  context.CancelFunc

	mu    sync.Mutex
	state State
	inst  I
	began time.Time     // of the instance
	ready chan struct{} // closed at the end of Starting and Stopping
	last  error         // why the latest start or instance failed
	ends  []time.Time   // within plan.Within
	fails int
	ended int // ends that were not asked for, in all
	again time.Time
	used  time.Time
	busy  int // calls under way
}

// New returns a Supervisor that has started nothing yet.
func New[I Instance](start func(context.Context) (I, error), plan Plan, log *slog.Logger) *Supervisor[I] {
	plan = plan.filled()
	s := &Supervisor[I]{start: start, plan: plan, log: log, state: Stopped}
	s.calls, s.queue = make(chan struct{}, plan.Calls), make(chan struct{}, plan.Calls+plan.Queue)
	s.ctx, s.over = context.WithCancel(context.Background())
	return s
}

// State returns the state, and why it is not Ready if something failed.
func (s *Supervisor[I]) State() (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.last
}

// MountState returns how the mount of the Instance fares: failed once it is left
// alone, mounted otherwise, with the state of the process and why it has ended.
func (s *Supervisor[I]) MountState() vfs.MountState {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := vfs.MountState{Status: vfs.MountUp, Process: string(s.state), Ends: s.ended}
	if s.last != nil && (s.state == Backoff || s.state == Failed) {
		m.Error = s.last.Error()
	}
	if s.state == Failed {
		m.Status, m.Error = vfs.MountFailed, s.alone().Error()
	}
	if s.state == Backoff || s.state == Failed && s.plan.Again > 0 {
		at := s.again.UTC().Truncate(time.Millisecond)
		m.Retry = &at
	}
	return m
}

// Use calls do with the Instance, which is started if need be. Throttled: too many
// calls are waiting. Unavailable: it was not called, and why.
func (s *Supervisor[I]) Use(ctx context.Context, do func(context.Context, I) error) error {
	select {
	case s.queue <- struct{}{}:
		defer func() { <-s.queue }()
	default:
		return vfs.Throttled.With("too many calls wait for the plugin")
	}
	select {
	case s.calls <- struct{}{}:
		defer func() { <-s.calls }()
	case <-ctx.Done():
		return vfs.Throttled.With("the plugin is busy")
	}
	inst, err := s.get(ctx)
	if err != nil {
		return err
	}
	defer s.called()
	return do(ctx, inst)
}

func (s *Supervisor[I]) called() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.used = time.Now()
}

// get returns the Instance once it is ready, and counts a call of it.
func (s *Supervisor[I]) get(ctx context.Context) (inst I, err error) {
	for {
		wait, pause, err := s.look(&inst)
		switch {
		case err != nil:
			return inst, err
		case wait == nil && pause == 0:
			return inst, nil
		}
		var timer <-chan time.Time
		if pause > 0 {
			timer = time.After(pause)
		}
		select {
		case <-wait: // nil waits for the timer alone
		case <-timer:
		case <-ctx.Done():
			return inst, vfs.Unavailable.With("the plugin is being started")
		}
	}
}

// patience is how long a call waits for a restart; before a longer pause it is
// refused at once.
const patience = time.Second

const lookAgain = 5 * time.Millisecond

// look takes the Instance if it is ready. Otherwise it tells what to wait for.
func (s *Supervisor[I]) look(inst *I) (wait <-chan struct{}, pause time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case Ready:
		select {
		case <-s.inst.Done():
			return nil, lookAgain, nil // that is about to be noted
		default:
		}
		*inst = s.inst
		s.busy++
		return nil, 0, nil
	case Starting, Stopping:
		return s.ready, 0, nil
	case Closed:
		return nil, 0, vfs.Unavailable.With("the plugin is stopped")
	case Failed:
		if s.plan.Again == 0 || time.Now().Before(s.again) {
			return nil, 0, s.alone()
		}
	case Backoff:
		if left := time.Until(s.again); left > patience {
			return nil, 0, vfs.Unavailable.Withf("the plugin is started again in %v: %v", left.Round(time.Second), s.last)
		} else if left > 0 {
			return nil, left, nil
		}
	}
	return s.begin(), 0, nil
}

// alone is the answer of one that is not started any more. The caller holds mu.
func (s *Supervisor[I]) alone() error {
	how := "unmount it and mount it again to try it again"
	if s.plan.Again > 0 {
		how = fmt.Sprintf("it is tried again in %v, or mounted again", time.Until(s.again).Round(time.Second))
	}
	return vfs.Unavailable.Withf("the plugin has ended %d times in %v and is left alone: %s (%v)", s.plan.Crashes, s.plan.Within, how, s.last)
}

// begin starts the Instance. The caller holds mu.
func (s *Supervisor[I]) begin() (ready <-chan struct{}) {
	s.state, s.ready = Starting, make(chan struct{})
	s.wg.Go(s.run)
	return s.ready
}

// Start starts the Instance, once, and answers why it does not start.
func (s *Supervisor[I]) Start(ctx context.Context) error {
	s.mu.Lock()
	if s.state != Stopped {
		s.mu.Unlock()
		return vfs.Conflict.With("the plugin was started before")
	}
	ready := s.begin()
	s.mu.Unlock()
	select {
	case <-ready:
	case <-ctx.Done():
		return vfs.Timeout.With("the plugin does not start")
	}
	_, err := s.State()
	return err
}

// run starts the Instance and stays with it until it ends.
func (s *Supervisor[I]) run() {
	ctx, cancel := context.WithTimeout(s.ctx, s.plan.Start)
	inst, err := s.start(ctx)
	cancel()
	s.mu.Lock()
	if s.state == Closed {
		s.mu.Unlock()
		if err == nil {
			inst.Close()
		}
		return
	}
	close(s.ready)
	if err != nil {
		s.failed(err)
		s.mu.Unlock()
		return
	}
	s.state, s.inst, s.began, s.used, s.last = Ready, inst, time.Now(), time.Now(), nil
	again := s.fails > 0
	s.mu.Unlock()
	if again {
		s.log.Info("plugin runs again")
	}
	err = s.stay(inst)
	inst.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == Closed:
	case s.state == Stopping:
		close(s.ready)
		s.state = Stopped
	case err == nil:
		s.state = Stopped
	default:
		if time.Since(s.began) >= s.plan.Healthy {
			s.fails = 0
		}
		s.failed(err)
	}
}

// failed notes an end that was not asked for. The caller holds mu.
func (s *Supervisor[I]) failed(err error) {
	now := time.Now()
	s.last = err
	for len(s.ends) > 0 && now.Sub(s.ends[0]) > s.plan.Within {
		s.ends = s.ends[1:]
	}
	s.ends = append(s.ends, now)
	s.ended++
	if len(s.ends) >= s.plan.Crashes {
		s.ends = s.ends[1:] // one more, once it is tried again, is enough
		s.state, s.again = Failed, now.Add(s.plan.Again)
		s.log.Error("plugin is left alone", "ends", s.plan.Crashes, "error", err)
		return
	}
	pause := min(s.plan.Pause<<min(s.fails, 20), s.plan.MostPause)
	s.fails++
	s.state, s.again = Backoff, now.Add(pause/2+rand.N(pause/2+1))
	s.log.Warn("plugin ended", "error", err)
}

var errSilent = errors.New("the plugin does not answer any more")

// stay watches the Instance until it ends, or is to be ended: nil if that is as it
// should be.
func (s *Supervisor[I]) stay(inst I) error {
	tick := time.NewTicker(max(s.tick(), time.Millisecond))
	defer tick.Stop()
	missed := 0
	for {
		select {
		case <-inst.Done():
			return inst.Err()
		case <-s.ctx.Done():
			return nil
		case <-tick.C:
		}
		quiet, idle := s.quiet()
		if idle {
			return nil
		}
		if quiet < s.plan.Probe {
			missed = 0
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.plan.Probe)
		err := inst.Probe(ctx)
		cancel()
		if err == nil {
			missed = 0
		} else if missed++; missed == misses {
			return errSilent
		}
	}
}

func (s *Supervisor[I]) tick() time.Duration {
	if s.plan.Idle > 0 {
		return min(s.plan.Idle, s.plan.Probe) / 4
	}
	return s.plan.Probe / 4
}

// quiet tells how long nobody has called the Instance. One that was not called
// for too long is taken away, so that nobody does any more.
func (s *Supervisor[I]) quiet() (since time.Duration, idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy > 0 || s.state != Ready {
		return 0, false
	}
	since = time.Since(s.used)
	if idle = s.plan.Idle > 0 && since >= s.plan.Idle; idle {
		s.state, s.ready = Stopping, make(chan struct{})
	}
	return since, idle
}

// Close ends the Instance and waits for it. Calls fail from now on.
func (s *Supervisor[I]) Close() {
	s.mu.Lock()
	if s.state == Starting || s.state == Stopping {
		close(s.ready)
	}
	s.state = Closed
	s.mu.Unlock()
	s.over()
	s.wg.Wait()
}
