package wasmhost

import (
	"context"
	"time"
)

// Between two starts of an instance that fail, nothing is tried.
const startPause = time.Second

// pool is the instances of one mount. A place in it is taken for each call; the
// instance in it is made when it is first needed, and again when it is broken.
type pool struct {
	p        *program
	settings string
	starts   func()         // hears of each instance that is made
	places   chan *instance // nil: a place without an instance
	failures chan failure   // one: how the last start ended
	drops    *drops
}

type failure struct {
	err error
	at  time.Time
}

func newPool(p *program, settings string, starts func(), d *drops) *pool {
	l := &pool{p: p, settings: settings, starts: starts, places: make(chan *instance, p.limits.Instances), failures: make(chan failure, 1), drops: d}
	for range p.limits.Instances {
		l.places <- nil
	}
	l.failures <- failure{}
	return l
}

// start makes an instance and initialises it: every one, as the module may keep
// its settings in its memory. It has a turn, and its call lasts until then. One starts
// at a time, and is not hurried by the client that happens to need it; the others wait
// without a turn.
func (l *pool) start(ctx context.Context) (i *instance, until time.Time, err error) {
	var last failure
	select {
	case last = <-l.failures:
	case <-ctx.Done():
		return nil, until, errBusy
	}
	defer func() { l.failures <- last }()
	if last.err != nil && time.Since(last.at) < startPause {
		return nil, until, last.err
	}
	if err := l.drops.pause(ctx.Done()); err != nil {
		return nil, until, err
	}
	if err := l.p.turns.take(ctx.Done()); err != nil {
		return nil, until, err
	}
	began := time.Now()
	until = began.Add(l.p.limits.Call)
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	l.starts()
	if i, err = l.p.make(ctx, pace{poor: l.drops.lately()}); err == nil {
		err = i.configure(ctx, l.settings)
	}
	last = failure{err, time.Now()}
	if err != nil {
		i.giveTurn()
		i.close()
		return nil, until, err
	}
	i.took = time.Since(began)
	return i, until, nil
}

// place takes a place: one with an instance, if there is one, while the mount rests.
func (l *pool) place(done <-chan struct{}) (i *instance, err error) {
	select {
	case i = <-l.places:
	case <-done:
		return nil, errBusy
	}
	for range cap(l.places) - 1 {
		if i != nil || l.drops.rest() == 0 {
			break
		}
		select {
		case other := <-l.places:
			l.places <- i
			i = other
		default: // the others are in use
			return i, nil
		}
	}
	return i, nil
}

// use runs do with an instance that serves nobody else. While all are taken it
// waits, as long as ctx lasts. A mount with one instance keeps state in it, so a
// client that goes away does not end its call; the deadline does.
func (l *pool) use(ctx context.Context, do func(context.Context, *instance) error) (err error) {
	i, err := l.place(ctx.Done())
	if err != nil {
		return err
	}
	defer func() { l.places <- i }()
	var until time.Time
	if i == nil {
		i, until, err = l.start(ctx)
	} else if err = l.p.turns.take(ctx.Done()); err == nil {
		i.mine, until = true, time.Now().Add(l.p.limits.Call)
		i.pace.poor = l.drops.lately()
	}
	if err != nil {
		return err
	}
	if l.p.limits.Instances == 1 {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	began := time.Now()
	defer func() {
		i.giveTurn() // unless it waits for the host
		if !i.broken {
			l.drops.ended(err)
			return
		}
		i.close()
		l.drops.dropped(err, i.took+time.Since(began))
		i = nil
	}()
	return do(ctx, i)
}

// close ends the instances, once their calls have ended.
func (l *pool) close() {
	for range l.p.limits.Instances {
		if i := <-l.places; i != nil {
			ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
			if l.p.abi.has["plugin_shutdown"] && l.p.turns.take(ctx.Done()) == nil {
				i.mine = true
				c := i.begin(ctx)
				if err := c.done("plugin_shutdown"); err != nil {
					l.p.env.log.Warn("plugin does not shut down", "error", err)
				}
				c.end()
				i.giveTurn()
			}
			i.close()
			cancel()
		}
	}
}
