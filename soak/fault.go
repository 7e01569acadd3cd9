//go:build linux

package soak

import (
	"slices"
	"time"

	"github.com/pfs-project/pfs/soak/link"
)

// fault is one way to hurt a cluster. inject hurts it, waits, and heals it as
// far as [round.heal] does not.
type fault struct {
	name   string
	fits   func(setup) bool
	inject func(*round)
	mute   bool // leaves nobody a quorum: local reads are all that can be acknowledged
}

// What a fault asks of a cluster.
func any3(setup) bool        { return true }
func five(s setup) bool      { return s.nodes >= 5 }
func onDisks(s setup) bool   { return s.disks }
func withClock(s setup) bool { return s.clock }

// faults are all there are, some more than once, in the order of their rounds.
func faults() []fault {
	return []fault{
		{name: "kill leader", fits: any3, inject: func(r *round) { r.kill(r.leader()) }},
		{name: "isolate leader", fits: any3, inject: func(r *round) { r.isolate(r.leader()) }},
		{name: "pause leader", fits: any3, inject: func(r *round) { r.pause(r.leader()) }},
		{name: "damage chunks", fits: any3, inject: (*round).damageChunks},
		{name: "kill follower", fits: any3, inject: func(r *round) { r.kill(r.follower()) }},
		{name: "remove and join", fits: any3, inject: (*round).removeAndJoin},
		{name: "deaf leader", fits: any3, inject: (*round).deafLeader},
		{name: "flap links", fits: any3, inject: (*round).flap},
		{name: "kill majority", fits: any3, inject: (*round).killMajority},
		{name: "kill leader", fits: any3, inject: func(r *round) { r.kill(r.leader()) }},
		{name: "bridge", fits: any3, inject: (*round).bridge},
		{name: "transfer", fits: any3, inject: (*round).transfer},
		{name: "wipe", fits: any3, inject: (*round).wipe},
		{name: "delay", fits: any3, inject: (*round).delay},
		{name: "kill two leaders", fits: any3, inject: (*round).killTwo},
		{name: "mute leader", fits: any3, inject: (*round).muteLeader},
		{name: "damage and wipe", fits: any3, inject: (*round).damageAndWipe},
		{name: "demote and promote", fits: any3, inject: (*round).demoteAndPromote},
		{name: "isolate all", fits: any3, inject: (*round).isolateAll, mute: true},
		{name: "kill leader", fits: any3, inject: func(r *round) { r.kill(r.leader()) }},
		{name: "pause follower", fits: any3, inject: func(r *round) { r.pause(r.follower()) }},
		{name: "reset streams", fits: any3, inject: (*round).reset},
		{name: "snapshots", fits: any3, inject: (*round).snapshot},
		{name: "rolling restart", fits: any3, inject: (*round).rollingRestart},
		{name: "swizzle", fits: any3, inject: (*round).swizzle},
		{name: "slow links", fits: any3, inject: (*round).slow},
		{name: "kill all", fits: any3, inject: (*round).killAll},
		{name: "isolate follower", fits: any3, inject: func(r *round) { r.isolate(r.follower()) }},
		{name: "fill disk", fits: onDisks, inject: (*round).fillDisk},
		{name: "stick disk", fits: onDisks, inject: (*round).stickDisk},
		{name: "fill majority", fits: onDisks, inject: (*round).fillMajority, mute: true},
		{name: "split", fits: five, inject: (*round).split},
		{name: "step clock", fits: withClock, inject: (*round).stepClock},
	}
}

// fitting returns the faults that a cluster can have.
func fitting(s setup) []fault {
	return slices.DeleteFunc(faults(), func(f fault) bool { return !f.fits(s) })
}

// leader returns the node that leads.
func (r *round) leader() int {
	l := r.c.leader(patience)
	if l < 0 {
		r.fail("nobody leads")
		return 0
	}
	return l
}

// follower returns one of those that do not lead.
func (r *round) follower() int {
	n := len(r.c.Nodes)
	return (r.leader() + 1 + r.rng.IntN(n-1)) % n
}

// shuffled returns all nodes in an order of chance.
func (r *round) shuffled() []int { return r.rng.Perm(len(r.c.Nodes)) }

// some returns a number of milliseconds between two bounds.
func (r *round) some(from, to int) time.Duration {
	return time.Duration(from+r.rng.IntN(to-from)) * time.Millisecond
}

// cut holds back all that two nodes send each other.
func (r *round) cut(i, j int) { r.c.net.Both(name(i), name(j), link.Rule{Cut: true}) }

// each calls do for every pair of nodes, or with one of the pair given.
func (r *round) each(with int, do func(i, j int)) {
	for i := range r.c.Nodes {
		for j := range i {
			if with < 0 || i == with || j == with {
				do(i, j)
			}
		}
	}
}
