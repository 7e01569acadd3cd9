package test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/test/harness"
)

// TestBenchWrite runs the check that users run, and kills the leader under it.
func TestBenchWrite(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	cmd := exec.Command(filepath.Join(c.Bin, "pfs"), "--url", c.Nodes[0].URL+","+c.Nodes[1].URL+","+c.Nodes[2].URL,
		"bench", "write", "--clients", "16", "--for", "12s", "-o", "json")
	kill := time.AfterFunc(4*time.Second, func() { // it writes by then, also where it starts late
		if l := c.Leader(); l != nil {
			l.Kill()
		}
	})
	defer kill.Stop()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r bench.WriteResult
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if !r.Sound() || r.Acked < 100 || r.Readers != 2 || r.Leaders == 0 {
		t.Errorf("%+v", r)
	}
}
