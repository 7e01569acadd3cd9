package test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// TestBenchWrite runs the check that users run, and kills the leader under it.
func TestBenchWrite(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	cmd := exec.Command(filepath.Join(c.Bin, "pfs"), "--url", c.Nodes[0].URL+","+c.Nodes[1].URL+","+c.Nodes[2].URL,
		"bench", "write", "--clients", "16", "--for", "16s", "--dir", "/memfs/checked", "-o", "json")
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		cl := c.Client(0)
		writes := func() bool { // all of its clients do, some lines each: so it knows who leads
			files, err := cl.List(t.Context(), "/memfs/checked")
			return err == nil && len(files) == 16 && !slices.ContainsFunc(files, func(f client.Info) bool { return f.Size < 10 })
		}
		if !harness.Poll(time.Minute, writes) {
			return
		}
		if l := c.Leader(); l != nil {
			l.Kill()
		}
	}()
	out, err := cmd.Output()
	<-killed
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
