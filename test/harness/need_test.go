package harness

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestNeedChild is what TestNeed runs.
func TestNeedChild(t *testing.T) {
	if os.Getenv("PFS_NEED") == "" {
		return
	}
	Need(t, "apt-get install it", "sh", os.Getenv("PFS_NEED"))
}

// A program that is missing is named, with how to get it: a skip for people, a
// failure where everything was to be installed.
func TestNeed(t *testing.T) {
	for _, c := range []struct{ program, ci, want string }{
		{"sh", "true", "--- PASS"}, {"no-such-program", "", "--- SKIP"}, {"no-such-program", "true", "--- FAIL"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNeedChild$", "-test.v")
		cmd.Env = append(os.Environ(), "CI="+c.ci, "PFS_NEED="+c.program)
		out, _ := cmd.CombinedOutput() // it fails where that is wanted
		said := strings.Contains(string(out), c.program+" is not installed: apt-get install it")
		if !strings.Contains(string(out), c.want) || said != (c.want != "--- PASS") {
			t.Errorf("%+v: %s", c, out)
		}
	}
}
