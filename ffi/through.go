package ffi

import (
	"context"
	"time"
)

// passing is a request that was sent through a lane.
type passing struct {
	c    *child
	lane int
	r    request
	over func() // gives the lane's room back
	err  error  // of sending it
	left bool   // nobody wants the answer

	quick bool            // the answer was waited for with a thread
	rung  chan error      // afterwards: it is there, or will not be
	end   context.Context // until nobody waits any more
	stop  context.CancelFunc
	late  *time.Timer
}

// through sends a request that lies in a lane.
func (c *child) through(lane int, r request, over func()) waiter {
	return &passing{c: c, lane: lane, r: r, over: over, err: c.lanes.ring(lane)}
}

func (p *passing) wait(over <-chan struct{}) (a answer, err error, answered bool) {
	if p.err != nil {
		a, err = p.take(p.err)
		return a, err, true
	}
	if !p.quick {
		p.quick = true
		if rung, err := p.c.lanes.soon(p.lane); rung || err != nil {
			a, err = p.take(err)
			return a, err, true
		}
		p.rung, p.late = make(chan error, 1), time.NewTimer(p.r.within)
		p.end, p.stop = context.WithCancel(context.Background())
		go func() { p.rung <- p.c.lanes.later(p.end, p.lane) }()
	}
	select {
	case err = <-p.rung:
		p.stop()
	case <-p.late.C:
		err = p.c.failed(errLate)
		p.stop()
		<-p.rung
		p.over()
		return a, err, true
	case <-p.c.gone:
		p.stop()
		err = <-p.rung // it may have been the last that it did
	case <-over:
		return a, nil, false
	}
	p.late.Stop()
	a, err = p.take(err)
	return a, err, true
}

func (p *passing) forget() {
	p.left = true
	_, _, _ = p.wait(nil)
}

// take takes the answer of which the bell was rung, or tells why it was not.
func (p *passing) take(rung error) (a answer, err error) {
	defer p.over()
	if rung == nil && p.left {
		return a, nil
	}
	if rung == nil {
		if a, err = laneAnswer(windowOf(p.c.lanes.shared, p.lane), p.r.into, p.r.most); err != nil {
			err = p.c.failed(err)
		}
		return a, err
	}
	if rung == errAnswer {
		p.c.Kill()
	}
	late := time.NewTimer(p.r.within)
	defer late.Stop()
	select {
	case <-p.c.gone:
		return a, p.c.reason()
	case <-late.C:
		return a, p.c.failed(errLate)
	}
}
