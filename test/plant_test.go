package test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// TestPlantedBugs builds the code with a bug in it, one at a time, and demands
// that the tests that guard against it fail.
func TestPlantedBugs(t *testing.T) {
	t.Parallel()
	root := harness.Root(t)
	type plant struct{ tag, pkg, run string }
	all := []plant{
		{"plant_nosync_log", "./raftlog", "PowerCut"},
		{"plant_nosync_chunk", "./blob", "PowerCut"},
		{"plant_nosync_dir", "./blob", "PowerCut"},
		{"plant_nosync_log", "./cluster", "PowerCutsOfANode"},
		{"plant_nosync_chunk", "./cluster", "PowerCutsOfANode"},
		{"plant_nosync_dir", "./cluster", "PowerCutsOfANode"},
		{"plant_leaseread", "./cluster", "SlowClock"},
		{"plant_earlyack", "./cluster", "PowerCutsOfThree"},
		{"plant_minindex", "./cluster", "TestSimulation"},
		{"plant_amnesia", "./cluster", "WipedVoter"},
	}
	if soak() {
		all = append(all, plant{"plant_nosync_log", "./cluster", "PowerCutsOfThree"})
		for _, tag := range []string{"earlyack", "dropack", "dupdeliver", "retry", "maporder"} {
			all = append(all, plant{"plant_" + tag, "./cluster", "TestSimulation"})
		}
	}
	for _, b := range all {
		t.Run(b.tag+" "+b.run, func(t *testing.T) {
			cmd := exec.Command("go", "test", "-count=1", "-timeout", "10m", "-run", b.run, "-tags", b.tag, b.pkg)
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PFS_SOAK=") // the short forms find them
			out, err := cmd.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: Test")) {
				t.Errorf("no test of %s fails with %s (%v)\n%s", b.pkg, b.tag, err, out)
			}
		})
	}
}

// TestPlantedEarlyAck acknowledges before the log has synced; a power cut must
// show it.
func TestPlantedEarlyAck(t *testing.T) {
	p := startPowered(t, harness.Build(t, "plant_earlyack"), "bolt")
	good := 0
	for round := 0; good < 10 && round < 30; round++ {
		if p.cut(round, nil) <= soon {
			good++
		}
		p.StartAll()
		p.Ready()
		if lost := p.lost(p.acked); lost > 0 {
			t.Logf("caught in round %d: %d acknowledged writes are lost", round+1, lost)
			return
		}
	}
	t.Errorf("acknowledging before the log has synced was not caught in power cuts of which %d came within %v of an acknowledgement", good, soon)
}
