package cluster

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/test/memdisk"
)

// What a node is since the last change that was acknowledged. One that joins
// becomes a voter some time.
const (
	roleJoins = "joins"
	roleOut   = "out"
)

// operator changes who is in the cluster, one change at a time.
type operator struct {
	s    *sim
	r    *rand.Rand
	role []string // by host
}

// deed is one change, and what the node is once it is acknowledged; "" for as
// before.
type deed struct {
	Action
	of   int
	role string
}

// next picks a change that the cluster should be able to make.
func (o *operator) next() deed {
	i := o.r.IntN(len(o.role))
	a := Action{ID: o.s.hosts[i].conf.NodeID}
	do := func(what, role string) deed {
		a.Do = what
		return deed{a, i, role}
	}
	voters := 0
	for _, r := range o.role {
		if r == roleVoter {
			voters++
		}
	}
	switch n := o.r.IntN(6); {
	case n == 0:
		return do("snapshot", "")
	case o.role[i] == roleOut:
		return do("come", roleJoins)
	case o.role[i] == roleJoins || o.role[i] == roleNonVoter && n < 4:
		return do("promote", roleVoter)
	case o.role[i] == roleVoter && n == 1:
		return do("transfer", "")
	case o.role[i] == roleVoter && voters < 3:
		return do("snapshot", "")
	case o.role[i] == roleVoter && n < 4:
		return do("demote", roleNonVoter)
	}
	return do("remove", roleOut)
}

// tell puts a line into the log of the nodes, where a run is looked at.
func (s *sim) tell(what string, args ...any) {
	s.hosts[0].conf.Log.Debug(what, append(args, "n", 0)...)
}

// try asks some node for a change; true if it was acknowledged.
func (o *operator) try(a Action) bool {
	l := o.s.hosts[o.r.IntN(len(o.s.hosts))].life.Load()
	if l == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := l.Manage(ctx, a)
	o.s.tell("change of members", "do", a.Do, "node", a.ID, "at", l.ID(), "error", err, "over", l.over.Load())
	return err == nil && !l.over.Load()
}

// begin begins a change, while the power may go; end has it done after that.
func (o *operator) begin(d deed) (end func()) {
	acked := make(chan bool, 1)
	if d.role == roleOut {
		o.s.hosts[d.of].away.Store(true) // perhaps
	}
	go func() {
		simPause(time.Duration(o.r.Int64N(int64(time.Second))))
		if d.Do == "come" {
			o.s.wipe(o.s.hosts[d.of])
			acked <- true
			return
		}
		acked <- o.try(d.Action)
	}()
	return func() {
		ok := <-acked
		if !ok && d.role != "" {
			ok = o.s.within(2*time.Minute, func() bool { return o.try(d.Action) })
			if !ok {
				o.s.bad("%s %s: not within two minutes", d.Do, d.ID)
			}
		}
		if ok && d.role != "" {
			o.role[d.of] = d.role
			o.s.hosts[d.of].away.Store(d.role == roleOut)
		}
	}
}

// wipe starts a node with an empty disk.
func (s *sim) wipe(h *host) {
	for done := false; !done; {
		s.crash(h, 0, true)
		h.turn <- struct{}{}
		if done = h.life.Load() == nil; done { // it may have been about to start
			h.disk = memdisk.New()
		}
		h.turn.leave()
	}
	s.tell("wiped", "node", h.conf.NodeID)
	s.start(h)
}

// check compares the members with what was acknowledged.
func (o *operator) check() {
	var conf raft.Configuration
	for _, h := range o.s.hosts {
		if l := h.life.Load(); l != nil && l.rules(l.reign.Load()) {
			conf = l.configuration()
		}
	}
	for i, role := range o.role {
		s, in := serverOf(conf, o.s.hosts[i].conf.NodeID)
		got := roleOut
		if in {
			got = roleOf(s)
		}
		if got != role && (role != roleJoins || !in) {
			o.s.bad("%s is %s, and was acknowledged to be %s", o.s.hosts[i].conf.NodeID, got, role)
		}
	}
}

// blackout takes the power of some nodes at once, again and again.
type blackout struct {
	*sim
	op    *operator
	total int
	seen  map[string]int
}

// cut has the power of some nodes go, in most cases before a call that changes
// the disk of one of them.
func (b *blackout) cut(which []int) {
	var once sync.Once
	gone := make(chan struct{})
	strike := func(first *host, l *life) {
		once.Do(func() {
			lives := map[*host]*life{}
			if l != nil {
				lives[first] = l
			}
			for _, i := range which {
				if l := b.hosts[i].life.Load(); l != nil && b.hosts[i] != first {
					lives[b.hosts[i]] = l
				}
			}
			if len(lives) > 0 {
				b.note(len(lives), l != nil && first.life.Load() != l)
			}
			for h := range lives {
				b.tell("power cut", "node", h.conf.NodeID)
			}
			b.lose(lives, []int{0, 0, 10, 50, 90, 100}[b.random().IntN(6)])
			close(gone)
		})
	}
	h := b.hosts[which[0]]
	trips := func(l *life) { strike(h, l) }
	h.trips.Store(&trips)
	h.trip.Store(int64(1 + b.r.IntN(60)))
	select {
	case <-gone:
	case <-time.After(3 * time.Second):
	}
	h.trip.Store(0)
	strike(h, h.life.Load())
	<-gone
}

func (b *blackout) note(nodes int, starting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += nodes
	b.seen[fmt.Sprint(nodes, " at once")]++
	if starting {
		b.seen["while it started"]++
	}
}

// round has the power go in the middle of a change of members, and again while
// the nodes start. In the end everything must be there and go on.
func (b *blackout) round() {
	d := b.op.next()
	b.seen["during "+d.Do]++
	end := b.op.begin(d)
	some := []int{1, 1, 2, len(b.hosts)}[b.r.IntN(4)]
	which := b.r.Perm(len(b.hosts))[:some]
	b.cut(which)
	if b.r.IntN(3) == 0 {
		go b.rise()
		b.cut(which[:1+b.r.IntN(some)])
	}
	up := func() bool {
		b.rise()
		return b.alive()
	}
	if !b.within(2*time.Minute, up) {
		b.bad("no life two minutes after the power was back, and %s %s: %s", d.Do, d.ID, b.lifeless())
		return
	}
	end()
	if !b.within(2*time.Minute, up) {
		b.bad("no life two minutes after %s %s: %s", d.Do, d.ID, b.lifeless())
		return
	}
	b.op.check()
}

// rise starts what is down.
func (b *blackout) rise() {
	for _, i := range b.random().Perm(len(b.hosts)) {
		b.start(b.hosts[i])
	}
}

// blackouts lives through so many power cuts.
func blackouts(t *testing.T, seed uint64, cuts int) {
	s := newSim(t, seed, simSize{nodes: 3, more: 1, clients: 4, think: 300 * time.Millisecond, election: 500 * time.Millisecond})
	op := &operator{s, rand.New(rand.NewPCG(seed, 3)), []string{roleVoter, roleVoter, roleVoter, roleJoins}}
	b := &blackout{sim: s, op: op, seen: map[string]int{}}
	begin := time.Now()
	b.rise()
	if !s.within(time.Minute, s.ready) {
		s.bad("no cluster within a minute")
		cuts = 0
	} else {
		s.load.first()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.load.run(ctx) })
	wg.Go(func() { s.book.run(ctx) })
	for n := 1; b.total < cuts && s.errs == 0; n++ {
		b.round()
		if n%20 == 0 {
			s.load.pause()
			s.alive() // the last entry is a change: a snapshot does not move a node beyond it
			s.settled()
			s.load.resume()
		}
	}
	cancel()
	wg.Wait()
	s.alive() // the last entry is a change: a snapshot does not move a node beyond it
	s.settled()
	for _, h := range s.hosts {
		s.stop(h)
	}
	s.dying.Wait()
	s.book.check(s.load)
	s.book.fresh(s.load)
	t.Logf("%d power cuts, at %d moments", b.total, b.seen["1 at once"]+b.seen["2 at once"]+b.seen["3 at once"]+b.seen["4 at once"])
	for _, what := range slices.Sorted(maps.Keys(b.seen)) {
		t.Logf("%6d %s", b.seen[what], what)
	}
	s.report(time.Since(begin), 0, 1)
	if err := s.book.copy.Close(); err != nil {
		t.Error(err)
	}
}

// TestPowerCutsOfThree takes the power of one node, of two and of all of a
// cluster at once, before calls that change a disk, while clients use it,
// snapshots are taken and nodes are added, promoted, demoted and removed. What
// was acknowledged is there, changes of members too, and every answer is checked
// as in TestSimulation.
func TestPowerCutsOfThree(t *testing.T) {
	seed := simSeed()
	start := time.Now()
	synctest.Test(t, func(t *testing.T) { blackouts(t, seed, cuts()/5) })
	t.Logf("seed %d, took %v", seed, time.Since(start))
}
