//go:build linux

package soak

import (
	"fmt"
	"time"

	"github.com/pfs-project/pfs/soak/link"
)

// partition is for how long a network is cut: an election and some more.
const partition = 2 * time.Second

// isolate cuts a node off from all others.
func (r *round) isolate(i int) {
	r.begin("", i)
	r.each(i, r.cut)
	r.hold(partition)
}

// isolateAll leaves every node alone: nobody has a quorum.
func (r *round) isolateAll() {
	r.begin("all")
	r.each(-1, r.cut)
	r.hold(partition)
}

// split cuts the nodes into a majority and a minority, the leader being in
// either.
func (r *round) split() {
	order := r.shuffled()
	few := order[:(len(order)-1)/2]
	r.begin("", few...)
	for _, i := range few {
		for _, j := range order[len(few):] {
			r.cut(i, j)
		}
	}
	r.hold(partition)
}

// bridge leaves two sides that one node alone sees both of.
func (r *round) bridge() {
	order := r.shuffled()
	half := len(order) / 2
	r.begin("", order[half])
	for _, i := range order[:half] {
		for _, j := range order[half+1:] {
			r.cut(i, j)
		}
	}
	r.hold(partition)
}

// deafLeader has the leader hear nobody, while all hear it.
func (r *round) deafLeader() {
	l := r.leader()
	r.begin("hears none", l)
	for j := range r.c.Nodes {
		r.c.net.Set(name(j), name(l), link.Rule{Cut: true})
	}
	r.hold(partition)
}

// muteLeader has nobody hear the leader, while it hears all.
func (r *round) muteLeader() {
	l := r.leader()
	r.begin("heard by none", l)
	for j := range r.c.Nodes {
		r.c.net.Set(name(l), name(j), link.Rule{Cut: true})
	}
	r.hold(partition)
}

// flap cuts and mends the links of one node, again and again.
func (r *round) flap() {
	i := r.leader()
	r.begin("", i)
	for end := r.c.now() + partition; r.c.now() < end; {
		r.each(i, r.cut)
		pauseFor(r.some(50, 700))
		r.c.net.Heal()
		pauseFor(r.some(20, 400))
	}
	r.hold(0)
}

// swizzle cuts the nodes off one after the other, and mends them in another
// order.
func (r *round) swizzle() {
	order := r.shuffled()
	r.begin("", order...)
	for _, i := range order {
		r.each(i, r.cut)
		pauseFor(r.some(100, 500))
	}
	for _, i := range r.shuffled() {
		r.each(i, func(i, j int) { r.c.net.Both(name(i), name(j), link.Rule{}) })
		pauseFor(r.some(100, 500))
	}
	r.hold(0)
}

// delay has all bytes come late, each stream's by other times.
func (r *round) delay() {
	d := r.some(10, 60)
	r.begin(fmt.Sprintf("all %dms", d.Milliseconds()))
	r.each(-1, func(i, j int) { r.c.net.Both(name(i), name(j), link.Rule{Delay: d, Jitter: d}) })
	r.hold(partition)
}

// slow lets little through on the links of the leader.
func (r *round) slow() {
	l, rate := r.leader(), 20_000+r.rng.IntN(60_000)
	r.begin(fmt.Sprintf("%dKB/s", rate/1000), l)
	r.each(l, func(i, j int) { r.c.net.Both(name(i), name(j), link.Rule{Rate: rate}) })
	r.hold(partition)
}

// reset ends the streams of one node, again and again.
func (r *round) reset() {
	i := r.shuffled()[0]
	r.begin("", i)
	for end := r.c.now() + partition; r.c.now() < end; {
		r.each(i, func(i, j int) { r.c.net.Both(name(i), name(j), link.Rule{Reset: true}) })
		pauseFor(r.some(1, 30))
		r.c.net.Heal()
		pauseFor(r.some(20, 200))
	}
	r.hold(0)
}
