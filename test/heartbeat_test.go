package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestHeartbeats has workers beat through three nodes. Who is alive is the same
// on all of them, outlives the leader and a restart of all nodes, and ends by
// an Event.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 3})
	w := make([]web, len(c.Nodes))
	for i, n := range c.Nodes {
		w[i] = newWeb(t, n)
	}
	const timeout = 10 * time.Second
	w[0].mount("heartbeatfs", "/hb", `{"default_timeout":"10s"}`)
	c.SameDigest() // all nodes know of the mount
	there := func(i int, item string) int {
		a, err := w[i].patient("GET", "/stat?path=/hb/"+item+"&consistency=linearizable", "")
		if err != nil {
			return 0
		}
		return a.status
	}
	mkdir := func(i int, item string) { w[i].want(201, "POST", "/directories?path=/hb/"+item, "") }
	mkdir(2, "long")
	w[2].put("/hb/long/ctl", "timeout=3600")
	mkdir(1, "silent")
	beat := time.Now()
	mkdir(0, "beats")

	// missed reports whether the last beat is too long ago, since nobody came to beat.
	missed := func() bool { return time.Since(beat) >= timeout }
	var ended time.Time
	for i := 0; ended.IsZero() || time.Since(ended) < 2*time.Second; i++ {
		now := time.Now()
		switch a, err := w[i%3].patient("POST", "/touch?path=/hb/beats/keepalive", ""); {
		case err == nil && a.status == 200:
			beat = now
		case err == nil && a.status == 404 && missed():
			t.Logf("beat %d came %v after the last", i, time.Since(beat))
			beat = time.Now()
			mkdir(i%3, "beats")
		default:
			t.Fatalf("beat %d: %v %v", i, a, err)
		}
		if ended.IsZero() && there(i%3, "silent") == 404 {
			ended = time.Now()
		}
		if i > 600 {
			t.Fatal("an item without a beat does not end")
		}
		time.Sleep(100 * time.Millisecond)
	}
	for i := range w {
		for item, want := range map[string]int{"beats": 200, "silent": 404, "long": 200} {
			if got := there(i, item); got != want && (item != "beats" || !missed()) {
				t.Errorf("node %d: %s has status %d, expected %d", i+1, item, got, want)
			}
		}
		if s := w[i].want(200, "GET", "/files?path=/hb/long/ctl", "").body; !strings.HasSuffix(s, "timeout: 3600\nstatus: alive\n") {
			t.Errorf("ctl reads %q", s)
		}
	}
	c.SameDigest()

	// The next leader ends what the one before was waiting for.
	lead := c.Leader()
	if lead == nil {
		t.Fatal("no leader")
	}
	lead.Kill()
	left := 0
	for i, n := range c.Nodes {
		if n == lead {
			left = (i + 1) % 3
		}
	}
	if !harness.Poll(90*time.Second, func() bool { return there(left, "beats") == 404 }) {
		t.Error("an item outlives its leader")
	}
	lead.Start()
	c.Ready()
	c.KillAll()
	c.StartAll()
	c.Ready()
	for i := range w {
		if got := there(i, "long"); got != 200 {
			t.Errorf("node %d after a restart: status %d", i+1, got)
		}
	}
	w[1].put("/hb/long/ctl", "timeout=1")
	if !harness.Poll(30*time.Second, func() bool { return there(1, "long") == 404 }) {
		t.Error("a shorter timeout changes nothing")
	}
	c.SameDigest()
}

// peerHeartbeat removes the files of an item, which stays, and makes it again
// at the moment that it ends.
func peerHeartbeat(p *peer) {
	hb := p.dir + "-hb"
	p.mount("heartbeatfs", hb, `{"default_timeout":3600}`)
	p.want(201, "POST", "/directories?path="+hb+"/w", "")
	for _, f := range []string{"keepalive", "ctl"} {
		p.want(403, "DELETE", "/files?path="+hb+"/w/"+f, "")
		p.want(403, "DELETE", "/files?path="+hb+"/w/"+f+"&recursive=true", "")
		p.stat(hb + "/w/" + f)
	}
	for i := range 20 {
		item := fmt.Sprintf("%s/i%d", hb, i)
		p.want(201, "POST", "/directories?path="+item, "")
		p.want(200, "DELETE", "/files?path="+item, "")
		p.want(201, "POST", "/directories?path="+item, "")
		p.put(item+"/keepalive", "")
		p.stat(item)
	}
	p.want(400, "POST", "/mount", `{"fstype":"heartbeatfs","path":"`+hb+`2","config":{"default_timeout":"soon"}}`)
	p.want(200, "POST", "/unmount", `{"path":"`+hb+`"}`)
	p.want(404, "PUT", "/files?path="+hb+"/w/keepalive", "x")
	p.mount("heartbeatfs", hb, `{"default_timeout":3600}`)
	p.stat(hb + "/w")
}
