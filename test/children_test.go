package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// children returns the ids of the processes that a node has, but for those that have
// ended.
func children(t testing.TB, n *harness.Node) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		b, err := os.ReadFile(s)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(n.Pid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(s)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// allEnd waits until no process of those runs.
func allEnd(t *testing.T, pids []int) {
	t.Helper()
	if !harness.Poll(30*time.Second, func() bool {
		for _, pid := range pids {
			if st, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(st), ") Z ") {
				return false
			}
		}
		return true
	}) {
		t.Errorf("some of %v outlive their node", pids)
	}
}
