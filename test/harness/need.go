package harness

import (
	"os"
	"os/exec"
	"testing"
)

// Need skips a test that runs other projects' programs where one is missing, and
// says which and how to get it. Where CI is true they are installed beforehand, so
// there it is a failure.
func Need(t testing.TB, how string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed: %s", p, how)
		}
		t.Skipf("SKIPPED: %s is not installed: %s", p, how)
	}
}
