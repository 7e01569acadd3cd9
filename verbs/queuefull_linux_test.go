package verbs_test

import (
	"os"
	"strings"
	"testing"
)

// A message whose command could not be heard comes back, and nothing more is taken.
func TestQueueWorkOutputLost(t *testing.T) {
	serve(t)
	pfs.Must(t, "", "queue", "create", "/queuefs/q")
	pfs.Must(t, "1\n2\n3\n", "queue", "put", "/queuefs/q", "-")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	var said strings.Builder
	code := pfs(t.Context(), []string{"queue", "work", "/queuefs/q", "--until-empty", "--delay", "0s", "--exec", "cat"}, strings.NewReader(""), full, &said)
	if code != 1 || !strings.Contains(said.String(), "its output is lost: ") || !strings.Contains(said.String(), "0 done, 1 failed") {
		t.Errorf("%d %s", code, said.String())
	}
	if got := pfs.Must(t, "", "cat", "/queuefs/q/size"); strings.TrimSpace(got) != "3" {
		t.Errorf("not all are there again: %s", got)
	}
}
