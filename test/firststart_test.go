package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// defaults are the directories at the root of a server without a configuration file.
const defaults = "dev heartbeatfs hellofs kvfs memfs queuefs serverinfofs streamfs"

// Who waits for a node that is started for the first time, by either probe, finds
// every mount that it has by default, at once, and on each node of a new cluster.
func TestFirstStartShowsAll(t *testing.T) {
	t.Parallel()
	bin := harness.Build(t)
	for _, nodes := range []int{1, 3} {
		for _, probe := range []string{"/readyz", "/api/v1/ready"} {
			t.Run(fmt.Sprintf("%d nodes %s", nodes, strings.ReplaceAll(probe, "/", " ")), func(t *testing.T) {
				t.Parallel()
				c := harness.Start(t, harness.Options{Nodes: nodes, Bin: bin, NoReady: true})
				left := slices.Clone(c.Nodes)
				for until := time.Now().Add(5 * time.Minute); len(left) > 0; time.Sleep(time.Millisecond) {
					if time.Now().After(until) {
						t.Fatalf("not ready after five minutes\n%s", left[0].Tail())
					}
					left = slices.DeleteFunc(left, func(n *harness.Node) bool {
						resp, err := http.Get(n.URL + probe)
						if err != nil {
							return false
						}
						resp.Body.Close()
						if resp.StatusCode != http.StatusOK {
							return false
						}
						if got := atRoot(t, n.URL); got != defaults {
							t.Errorf("%s as %s said 200: %s\nwant: %s", n.ID, probe, got, defaults)
						}
						return true
					})
				}
			})
		}
	}
}

// Who does not wait is asked for patience: no path is said to be wrong before the
// mounts are there.
func TestFirstStartTurnsNobodyAway(t *testing.T) {
	t.Parallel()
	bin := harness.Build(t)
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Nodes: nodes, Bin: bin, NoReady: true})
			var wg sync.WaitGroup
			for i, n := range c.Nodes {
				wg.Go(func() {
					w, early := newWeb(t, n), 0
					for until := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
						a, err := w.do("PUT", fmt.Sprintf("/files?path=/memfs/f%d", i), strings.NewReader("early"))
						switch {
						case err == nil && a.status == 200:
							t.Logf("%s: %d requests were asked for patience", n.ID, early)
							return
						case err == nil && a.status != 503:
							t.Errorf("%s: %d %s", n.ID, a.status, a.body)
							return
						case err == nil:
							early++
						}
						if time.Now().After(until) {
							t.Errorf("%s: no write after five minutes", n.ID)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// atRoot returns the names at the root of a node, sorted.
func atRoot(t *testing.T, url string) string {
	t.Helper()
	_, body := ask(t, url+"/api/v1/directories?path=/")
	var list struct{ Files []struct{ Name string } }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var names []string
	for _, f := range list.Files {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// A mount that cannot work is named by the one probe, and keeps the other from
// nothing: not at the first start, and not at another.
func TestFirstStartWithABadMount(t *testing.T) {
	t.Parallel()
	config := "plugins:\n  memfs: {enabled: true, path: /memfs}\n  localfs: {enabled: true, path: /data, config: {local_dir: /nowhere/at/all}}\n"
	c := harness.Start(t, harness.Options{Nodes: 1, NoReady: true, Config: func(int) string { return config }})
	n := c.Nodes[0]
	for _, when := range []string{"first", "second"} {
		serves := harness.Poll(time.Minute, func() bool {
			resp, err := http.Get(n.URL + "/readyz")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		if !serves {
			t.Fatalf("the %s start\n%s", when, n.Tail())
		}
		if got := atRoot(t, n.URL); !strings.Contains(got, "memfs") {
			t.Errorf("the %s start: %s", when, got)
		}
		// Its start is tried in its own time, until then it says that it is starting.
		var body string
		why := harness.Poll(time.Minute, func() bool {
			var code int
			if code, body = ask(t, n.URL+"/api/v1/ready"); code != 503 || !strings.Contains(body, "mount /data is") {
				t.Fatalf("the %s start: ready: %d %s", when, code, body)
			}
			return strings.Contains(body, "local_dir")
		})
		if !why {
			t.Errorf("the %s start: ready does not say why: %s", when, body)
		}
		n.Kill()
		n.Start()
	}
}
