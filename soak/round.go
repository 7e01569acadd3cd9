//go:build linux

package soak

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/soak/history"
	"github.com/pfs-project/pfs/test/harness"
)

const (
	probers   = 100 // numbers of the clients that look for one thing
	minAcked  = 100 // operations acknowledged while the fault is there
	patience  = 20 * time.Second
	backTime  = 30 * time.Second // after a leader's death, for a write
	liveTime  = 40 * time.Second // after the end of the fault, for a write on every node
	afterward = 150 * time.Millisecond
)

// round is one fault and what the clients saw of it.
type round struct {
	c     *cluster
	fault fault
	seed  uint64
	rng   *rand.Rand
	load  *load

	target   string
	from, to time.Duration // of the fault
	before   int64         // acknowledged when it began
	inside   int64         // acknowledged while it was there
	died     time.Duration // when the leader was killed; 0: it was not
	ended    []string      // nodes that ended by themselves

	late, unknown   int
	back, recovered time.Duration
	found           []history.Finding
	undecided       int
	errs            []error
	ops             []*history.Op
}

// play runs one round.
func (c *cluster) play(f fault, seed uint64) *round {
	c.round++
	r := &round{c: c, fault: f, seed: seed, rng: rand.New(rand.NewPCG(seed, 1<<32))}
	start := c.witness.Values()
	r.load = c.load(seed, c.witness.Index())
	if !harness.Poll(patience, func() bool { return r.load.acks.Load() >= minAcked/4 }) {
		r.fail("before the fault: %d operations acknowledged in %v", r.load.acks.Load(), patience)
	}
	r.fault.inject(r)
	r.heal()
	r.alive()
	pauseFor(afterward)
	r.load.end()
	r.verify(start)
	r.check(c.grown())
	return r
}

// pauseFor lets time pass in which the clients work.
func pauseFor(d time.Duration) { <-time.After(d) }

func (r *round) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// check notes an error.
func (r *round) check(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// acked is how many operations were acknowledged that the fault could have
// stopped.
func (r *round) acked() int64 {
	n := r.load.acks.Load()
	if r.fault.mute {
		n += r.load.seen.Load()
	}
	return n
}

// begin says that the fault is about to come, to nodes.
func (r *round) begin(what string, nodes ...int) {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = name(n)
	}
	if what != "" {
		names = append(names, what)
	}
	r.target, r.before, r.from = strings.Join(names, " "), r.acked(), r.c.now()
}

// hold lets the fault be for a time, and until enough was acknowledged.
func (r *round) hold(atLeast time.Duration) {
	pauseFor(atLeast)
	harness.Poll(patience, func() bool { return r.acked()-r.before >= minAcked })
}

// heal ends the fault: the network is whole and every node runs.
func (r *round) heal() {
	r.c.net.Heal()
	r.inside, r.to = r.acked()-r.before, r.c.now()
	if r.target == "" {
		r.fail("no fault was injected")
	}
	if r.inside < minAcked {
		r.fail("%d operations were acknowledged while the fault was there; %d are needed", r.inside, minAcked)
	}
	for i, n := range r.c.Nodes {
		if !n.Alive() {
			r.ended = append(r.ended, name(i))
			r.fail("%s ended by itself\n%s", name(i), n.Tail())
			r.check(r.c.start(i))
		}
	}
}

// alive demands a write through every node soon after the fault.
func (r *round) alive() {
	begun := time.Now()
	var wg sync.WaitGroup
	ops := make([][]*history.Op, len(r.c.Nodes))
	for i := range r.c.Nodes {
		wg.Go(func() {
			cl := r.c.newClient(probers+i, 0)
			defer cl.close()
			harness.Poll(liveTime, func() bool {
				o := &history.Op{ID: fmt.Sprintf("r%d.live%d.%d", r.c.round, i, len(ops[i])), Kind: history.Put,
					Path: fmt.Sprintf("%s/live%d", registers, i)}
				cl.do(o, manner{nodes: []int{i}, within: 5 * time.Second})
				ops[i] = append(ops[i], o)
				return o.Status == history.OK
			})
		})
	}
	wg.Wait()
	r.recovered = time.Since(begun)
	for i, tried := range ops {
		r.ops = append(r.ops, tried...)
		if tried[len(tried)-1].Status != history.OK {
			r.fail("no write through %s within %v of the end of the fault: %s\n%s",
				name(i), liveTime, tried[len(tried)-1], r.c.Nodes[i].Tail())
		}
	}
}

// verify judges the round, start being what the files held before it.
func (r *round) verify(start map[string]string) {
	r.ops = append(r.ops, r.load.ops...)
	if r.died > 0 {
		if r.back = r.load.back(r.died); r.back == 0 || r.back > backTime {
			r.fail("no write was acknowledged within %v of the leader's death", backTime)
		}
	}
	index, err := r.c.agree(agreeTime)
	if err != nil {
		r.errs = append(r.errs, err)
		if !errors.Is(err, errDiverged) {
			return
		}
	}
	r.ops = append(r.ops, r.c.readAll(index)...)
	// What a node still tried for a client who has left may come this late; what
	// comes even later is in the next piece of the log.
	at := r.c.now()
	if index, err = r.c.agree(agreeTime); err != nil {
		r.errs = append(r.errs, err)
		return
	}
	slices.SortStableFunc(r.ops, func(a, b *history.Op) int { return int(a.Call - b.Call) })
	for _, o := range r.ops {
		if o.Status == history.Unknown && !o.Kind.Reads() {
			r.unknown++
		}
		if o.HTTP == 500 {
			r.fail("an internal error: %s", o)
		}
	}
	late, found, err := r.c.judge(r.ops, index, at)
	r.check(err)
	r.late, r.found = len(late), found
	if err != nil {
		return
	}
	more, undecided := r.c.witness.Linearizable(r.ops, late, isRegister, start, checkTime)
	r.found, r.undecided = append(r.found, more...), undecided
}

// readAll reads everything back from every node, as it is at index.
func (c *cluster) readAll(index uint64) []*history.Op {
	var wg sync.WaitGroup
	ops := make([][]*history.Op, len(c.Nodes))
	for i := range c.Nodes {
		wg.Go(func() {
			cl := c.newClient(2*probers+i, index)
			defer cl.close()
			for _, dir := range []string{registers, keys, tree} {
				ops[i] = append(ops[i], cl.walk(i, dir, index)...)
			}
			for q := range hotQueues {
				ops[i] = append(ops[i], cl.look(i, history.Length, fmt.Sprintf("%s/q%d", queues, q), index))
			}
		})
	}
	wg.Wait()
	return slices.Concat(ops...)
}

// look reads something from one node as it is at index.
func (cl *client) look(node int, kind history.Kind, path string, index uint64) *history.Op {
	o := &history.Op{ID: fmt.Sprintf("look.%d.%s", node, path), Kind: kind, Path: path, MinIndex: index}
	cl.do(o, manner{nodes: []int{node}, within: 5 * time.Second})
	return o
}

// walk reads a directory and all below it.
func (cl *client) walk(node int, dir string, index uint64) []*history.Op {
	var ops []*history.Op
	for todo := []string{dir}; len(todo) > 0; todo = todo[1:] {
		list := cl.look(node, history.List, todo[0], index)
		ops = append(ops, list)
		if list.Status != history.OK {
			ops = append(ops, cl.look(node, history.Get, todo[0], index))
			continue
		}
		for name := range strings.SplitSeq(list.Out, ",") {
			if name != "" {
				todo = append(todo, todo[0]+"/"+name)
			}
		}
	}
	return ops
}

// red reports whether the round failed.
func (r *round) red() bool { return len(r.errs)+len(r.found)+r.undecided > 0 }

// count returns how many findings are of a kind.
func (r *round) count(what string) (n int) {
	for _, f := range r.found {
		if f.What == what {
			n++
		}
	}
	return n
}
