//go:build linux

package soak

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// maxRounds is how many rounds a planted bug may live.
const maxRounds = 50

// plant is a bug behind a build tag.
type plant struct {
	tag, bug string
	first    string // fault
	slow     bool   // only in the long form
}

func plants() []plant {
	return []plant{
		{"plant_earlyack", "acknowledged before it is committed", "kill leader", false},
		{"plant_leaseread", "a leader reads without asking a quorum", "pause leader", false},
		{"plant_dupdeliver", "some messages are given and stay", "kill leader", false},
		{"plant_dropack", "some writes are acknowledged and do nothing", "kill leader", false},
		{"plant_skipcrc", "content is not verified when it is read", "damage chunks", false},
		{"plant_maporder", "the state depends on the order of a map", "kill leader", true},
		{"plant_minindex", "a read does not wait for min_index", "kill leader", true},
		{"plant_retry", "an unknown outcome is tried again without a key", "kill leader", true},
	}
}

// TestPlants lets the rounds find bugs that were planted, one at a time.
func TestPlants(t *testing.T) {
	var table []string
	seed := seedOf(t)
	for _, p := range plants() {
		if p.slow && !long() {
			continue
		}
		t.Run(p.tag, func(t *testing.T) { table = append(table, p.caught(t, seed)) })
	}
	t.Logf("round that caught it\n%s", strings.Join(table, "\n"))
}

// caught plays rounds with the bug until one is red, and tells of it. Round 0 is
// the making of the cluster.
func (p plant) caught(t *testing.T, seed uint64) string {
	c := startCluster(t, setup{name: p.tag, nodes: 3, store: "bolt", bin: harness.Build(t, p.tag)})
	line := func(round int, fault, found string) string {
		found, _, _ = strings.Cut(found, "\n")
		return fmt.Sprintf("%5d  %-16s  %-47s  %-16s  %.120s", round, p.tag, p.bug, fault, found)
	}
	if err := c.prepare(); err != nil {
		return line(0, "none", err.Error())
	}
	all := fitting(c.setup)
	at := slices.IndexFunc(all, func(f fault) bool { return f.name == p.first })
	for i := range maxRounds {
		r := c.play(all[(at+i)%len(all)], seed*1000+uint64(i))
		switch {
		case len(r.found) > 0:
			return line(i+1, r.fault.name, r.found[0].What+": "+r.found[0].Text)
		case len(r.errs) > 0:
			return line(i+1, r.fault.name, r.errs[0].Error())
		}
	}
	t.Errorf("%s was not caught in %d rounds", p.tag, maxRounds)
	return line(maxRounds, "", "not caught")
}
