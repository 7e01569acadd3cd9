//go:build linux

package soak

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/soak/history"
)

const (
	clients  = 12
	glances  = 3                     // clients more, who only read what one node has
	thinking = 12 * time.Millisecond // between two requests of a client, on average
	stumble  = 20 * time.Millisecond // after a request that a node did not take
)

// load is the clients of one round and what they saw.
type load struct {
	c    *cluster
	stop chan struct{}
	wg   sync.WaitGroup
	acks atomic.Int64 // of the clients who change something
	seen atomic.Int64 // of those who do not

	mu  sync.Mutex
	ops []*history.Op
}

// start lets the clients of a round work; they see nothing older than from.
func (c *cluster) load(seed uint64, from uint64) *load {
	l := &load{c: c, stop: make(chan struct{})}
	for i := range clients + glances {
		w := &worker{cl: c.newClient(i, from), rng: rand.New(rand.NewPCG(seed, uint64(i))),
			prefix: fmt.Sprintf("r%d.%d", c.round, i), small: c.setup.clock, next: trades[i%len(trades)]}
		if i >= clients {
			w.next, w.still = (*worker).glance, true
		}
		l.wg.Go(func() { l.run(w) })
	}
	return l
}

func (l *load) run(w *worker) {
	defer w.cl.close()
	for {
		pause := time.Duration(w.rng.ExpFloat64() * float64(thinking))
		select {
		case <-l.stop:
			return
		case <-time.After(pause):
		}
		o := w.next(w)
		w.cl.do(o, w.manner(len(l.c.Nodes)))
		l.note(o)
		if w.still && o.Status == history.OK {
			l.acks.Add(-1)
			l.seen.Add(1)
		}
		if o.Status != history.Refused {
			continue
		}
		select { // do not spin on a node that is down
		case <-l.stop:
			return
		case <-time.After(stumble):
		}
	}
}

// note keeps an Op that has ended.
func (l *load) note(o *history.Op) {
	l.mu.Lock()
	l.ops = append(l.ops, o)
	l.mu.Unlock()
	if o.Status == history.OK {
		l.acks.Add(1)
	}
}

// end lets requests under way end and stops the clients.
func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

// back returns how long after t the first write that began after t was
// acknowledged; 0 if none was.
func (l *load) back(t time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first time.Duration
	for _, o := range l.ops {
		if o.Status == history.OK && !o.Kind.Reads() && o.Call >= t && (first == 0 || o.Return < first) {
			first = o.Return
		}
	}
	if first == 0 {
		return 0
	}
	return first - t
}
