package test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// TestLogDump reads the log of a stopped node with the program, as one that
// looks for what became of a request does.
func TestLogDump(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	n := c.Nodes[0]
	if _, err := n.Client().WriteFile(context.Background(), "/memfs/order", []byte("17"), client.Key("order-17")); err != nil {
		t.Fatal(err)
	}
	pfs := filepath.Join(c.Bin, "pfs")
	if out, err := harness.Output(pfs, "debug", "log-dump", "--data-dir", n.Dir); err == nil || !strings.Contains(out, "in use") {
		t.Errorf("beside a running node: %v, %s", err, out)
	}
	n.Stop()
	for _, with := range []string{"--data=false", "--data"} {
		out := c.Run("", "debug", "log-dump", "--data-dir", n.Dir, with)
		found := 0
		for line := range strings.Lines(out) {
			var l struct {
				Index uint64
				Type  string
				Key   string
				Ops   []struct{ Verb, Path, Data string }
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.Index == 0 || l.Type == "" {
				t.Fatalf("%q: %v", line, err)
			}
			if l.Key != "order-17" {
				continue
			}
			found++
			want := map[bool]string{true: "17"}[with == "--data"]
			if op := l.Ops[0]; op.Verb != "write" || op.Path != "/memfs/order" || op.Data != want {
				t.Errorf("%s: %+v", with, op)
			}
		}
		if found != 1 {
			t.Errorf("%s: %d events under the key\n%s", with, found, out)
		}
	}
	if out, err := harness.Output(pfs, "debug", "log-dump"); err == nil || !strings.Contains(out, "--data-dir") {
		t.Errorf("without a directory: %v, %s", err, out)
	}
}
