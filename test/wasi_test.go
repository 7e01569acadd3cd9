package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// A module that is a program goes through every floor: sent to one node, mounted
// on the second through the third, written and read through all, bounded in its
// memory, and there again after its node was killed.
func TestWASIPlugin(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "memory.wasm")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, "./memory")
	cmd.Dir = filepath.Join(harness.Root(t), "examples", "go-wasi")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string { return "external_plugins: {enabled: true}\n" }})
	one, two, three := newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1]), newWeb(t, c.Nodes[2])
	for query, text := range map[string]string{"memory=1MB": "memory must be", "instances=2": "instances must be 1", "grant_write=/x": "WASM modules", "grant_http=a": "WASM modules"} {
		if a := one.want(400, "POST", "/plugins/load?"+query, string(code)); !strings.Contains(a.body, text) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	one.want(200, "POST", "/plugins/load?name=memory.wasm&memory=24MB", string(code))
	if a := two.want(200, "GET", "/plugins?consistency=linearizable", ""); !strings.Contains(a.body, `"kind":"wasi"`) {
		t.Error("the plugin is of another kind")
	}
	three.want(200, "POST", "/mount", `{"fstype":"memory-wasi","path":"/m","node":"n2"}`)
	for _, w := range []web{one, two, three} {
		w.soon("/m")
	}
	one.mkdir("/m/d")
	three.put("/m/d/f", strings.Repeat("0123456789", 50_000))
	if a := one.want(206, "GET", "/files?path=/m/d/f", "", "Range", "bytes=499990-"); a.body != "0123456789" {
		t.Error(a.body)
	}
	two.want(200, "PUT", "/files?path=/m/d/f&offset=3", "X")
	if a := three.want(206, "GET", "/files?path=/m/d/f", "", "Range", "bytes=0-4"); a.body != "012X4" {
		t.Error(a.body)
	}
	// It ends at its limit, which costs the others nothing.
	crashed, last := false, answer{}
	for n := 0; n < 48 && !crashed; n++ {
		a, err := two.patient("PUT", fmt.Sprintf("/files?path=/m/%d", n), strings.Repeat("x", 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		last = a
		crashed = a.status == 502 && strings.Contains(a.body, "plugin_crashed")
	}
	if !crashed {
		t.Errorf("48 MiB fit into 24 MiB: %d %s", last.status, last.body)
	}
	one.want(200, "GET", "/stat?path=/", "")
	if !harness.Poll(30*time.Second, func() bool { // what it had in its memory is gone
		a, err := one.do("GET", "/stat?path=/m/d", nil)
		last = a
		return err == nil && a.status == 404
	}) {
		t.Errorf("%d %s", last.status, last.body)
	}
	c.Nodes[1].Kill()
	c.Nodes[1].Start()
	c.Ready()
	one.soon("/m")
	one.put("/m/f", "again")
	three.reads("/m/f", "again")
	one.want(200, "POST", "/unmount", `{"path":"/m"}`)
	one.want(200, "POST", "/plugins/unload", `{"library_path":"memory-wasi"}`)
	c.SameDigest()
}
