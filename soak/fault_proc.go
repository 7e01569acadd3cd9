//go:build linux

package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/soak/history"
)

// down is for how long a killed node stays away.
const down = time.Second

// kill kills a node with -9 and starts it again.
func (r *round) kill(i int) {
	leads := r.c.leader(0) == i
	r.begin("", i)
	at := r.c.now()
	r.c.Nodes[i].Kill()
	if leads {
		r.died = at
	}
	r.hold(down)
	r.check(r.c.start(i))
}

// killMany kills nodes at once and starts them again.
func (r *round) killMany(nodes []int) {
	r.begin("", nodes...)
	var wg sync.WaitGroup
	for _, i := range nodes {
		wg.Go(r.c.Nodes[i].Kill)
	}
	wg.Wait()
	pauseFor(r.some(50, 600))
	for _, i := range nodes {
		r.c.Nodes[i].Start()
	}
	for _, i := range nodes {
		r.check(r.c.ready(i, bootTime))
	}
	r.hold(0)
}

func (r *round) killMajority() { r.killMany(r.shuffled()[:len(r.c.Nodes)/2+1]) }

func (r *round) killAll() { r.killMany(r.shuffled()) }

// killTwo kills the leader, and the next one as soon as there is one, while the
// first comes back.
func (r *round) killTwo() {
	first := r.leader()
	r.begin("", first)
	r.c.Nodes[first].Kill()
	second := r.leader()
	r.c.Nodes[first].Start()
	r.target += " " + name(second)
	r.c.Nodes[second].Kill()
	r.hold(down)
	r.check(r.c.ready(first, bootTime))
	r.check(r.c.start(second))
}

// pause stops a node and lets it go on. Readers wait at its door then: it must
// not answer them with what it knew before.
func (r *round) pause(i int) {
	door := r.door(i)
	r.begin("", i)
	r.c.Nodes[i].Pause()
	r.hold(2 * time.Second)
	wait := door()
	r.c.Nodes[i].Signal(syscall.SIGCONT)
	wait()
}

// readers wait before a node that stands still.
const readers = 96

// door connects readers to a node. The first function it returns sends their
// linearizable reads, which the node finds when it goes on, and the second one
// waits for the answers.
func (r *round) door(node int) (knock func() (wait func())) {
	var all []*client
	read := func(k int) *history.Op {
		o := &history.Op{ID: fmt.Sprintf("r%d.wait.%d", r.c.round, k), Kind: history.Get, Linear: true,
			Path: fmt.Sprintf("%s/f%d", registers, k%hotFiles)}
		all[k].do(o, manner{nodes: []int{node}, within: 8 * time.Second})
		return o
	}
	for k := range readers {
		all = append(all, r.c.newClient(3*probers+k, 0))
		r.ops = append(r.ops, read(k))
	}
	return func() func() {
		ops := make([]*history.Op, readers)
		var wg sync.WaitGroup
		for k := range readers {
			wg.Go(func() {
				defer all[k].close()
				ops[k] = read(k)
			})
		}
		pauseFor(50 * time.Millisecond) // for them to arrive
		return func() {
			wg.Wait()
			r.ops = append(r.ops, ops...)
		}
	}
}

// rollingRestart stops the nodes in turn as an operator does.
func (r *round) rollingRestart() {
	order := r.shuffled()
	r.begin("", order...)
	for _, i := range order {
		if code := r.c.Nodes[i].Stop(); code != 0 {
			r.fail("%s ended with code %d\n%s", name(i), code, r.c.Nodes[i].Tail())
		}
		r.check(r.c.start(i))
	}
	r.hold(0)
}

// stepClock sets the clock of the leader, and then of whoever leads next, far
// forward or back.
func (r *round) stepClock() {
	l := r.leader()
	step := []time.Duration{time.Hour, -time.Hour, 5 * time.Minute, -10 * time.Second}[r.rng.IntN(4)]
	r.begin(step.String(), l)
	set := func(i int, d time.Duration) {
		r.check(os.WriteFile(filepath.Join(r.c.clocks, name(i)), []byte(d.String()), 0o600))
	}
	set(l, step)
	pauseFor(r.some(300, 900))
	r.each(l, r.cut) // the next leader has another clock
	pauseFor(partition)
	r.c.net.Heal()
	set(l, -step)
	r.hold(r.some(300, 900))
	set(l, 0)
}
