//go:build linux

package soak

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// long reports whether the long form was asked for.
func long() bool { return os.Getenv("PFS_SOAK") != "" }

// seedOf returns the seed of this run: PFS_SOAK_SEED, or one of its own.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("PFS_SOAK_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixMilli() % 1_000_000)
	}
	t.Logf("PFS_SOAK_SEED=%d has these faults and requests again", seed)
	return seed
}

// run is a cluster and how many rounds it lives.
type run struct {
	setup
	first       string // fault
	short, long int    // rounds
}

func runs() []run {
	return []run{
		{setup{name: "three nodes", nodes: 3, store: "bolt"}, "kill leader", 24, 90},
		{setup{name: "three nodes on disks", nodes: 3, store: "pebble", disks: true}, "swizzle", 22, 90},
		{setup{name: "five nodes", nodes: 5, store: "bolt"}, "split", 10, 100},
		{setup{name: "three nodes with clocks", nodes: 3, store: "pebble", clock: true}, "step clock", 4, 20},
	}
}

// TestSoak hurts clusters in every way, round after round: nothing lost, nothing
// doubled, no violation, nothing undecided.
func TestSoak(t *testing.T) {
	seed := seedOf(t)
	var back []time.Duration
	seen, rounds, clusters := map[string]int{}, 0, 0
	for i, s := range runs() {
		t.Run(s.name, func(t *testing.T) {
			clusters++
			for _, r := range s.play(t, seed*10+uint64(i)) {
				rounds++
				seen[r.fault.name]++
				if r.died > 0 {
					back = append(back, r.back)
				}
			}
		})
	}
	if t.Failed() || len(back) == 0 {
		return
	}
	slices.Sort(back)
	p99 := back[(len(back)*99+99)/100-1]
	t.Logf("%d rounds of %d kinds of faults; %d leaders killed: writes back after %v p50, %v p99",
		rounds, len(seen), len(back), back[len(back)/2].Round(time.Millisecond), p99.Round(time.Millisecond))
	if long() && p99 > 3*time.Second {
		t.Errorf("writes were back within %v at p99; the limit is 3 s", p99)
	}
	for _, f := range faults() {
		if os.Getenv("PFS_SOAK_FAULT") == "" && seen[f.name] == 0 && clusters == len(runs()) {
			t.Errorf("no round with the fault %q", f.name)
		}
	}
}

// play plays the rounds of a run, until one is red.
func (s run) play(t *testing.T, seed uint64) (played []*round) {
	s.bin = harness.Build(t)
	if s.clock {
		s.bin = harness.Build(t, "soak_clock")
	}
	c := startCluster(t, s.setup)
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	n := s.short
	if long() {
		n = s.long
	}
	if given, err := strconv.Atoi(os.Getenv("PFS_SOAK_ROUNDS")); err == nil {
		n = given
	}
	t.Log(head)
	for i := range n {
		r := c.play(s.fault(t, i), seed*1000+uint64(i))
		t.Log(r.line())
		played = append(played, r)
		if r.red() {
			dir, err := r.keep()
			t.Fatalf("%s  what is known of it is in %s %s", r.wrong(), dir, errText(err))
		}
		r.ops, r.load = nil, nil // the rest is for the report
	}
	return played
}

// fault returns the fault of a round: those that the cluster can have, in turn.
func (s run) fault(t *testing.T, i int) fault {
	all := fitting(s.setup)
	first := s.first
	if only := os.Getenv("PFS_SOAK_FAULT"); only != "" {
		first, i = only, 0
	}
	if s.clock && i%2 == 0 {
		i = 0
	}
	at := slices.IndexFunc(all, func(f fault) bool { return f.name == first })
	if at < 0 {
		t.Fatalf("%s cannot have the fault %q", s.name, first)
	}
	return all[(at+i)%len(all)]
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("(%v)", err)
}
