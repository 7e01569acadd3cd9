package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// logLine is a line of a node's log that is about one request.
type logLine struct {
	Level   string             `json:"level"`
	Msg     string             `json:"msg"`
	Request string             `json:"request_id"`
	Call    string             `json:"call"`
	From    string             `json:"from"`
	Route   string             `json:"route"`
	Took    float64            `json:"took"`
	Stages  map[string]float64 `json:"stages"`
}

// linesOf returns what a node's JSON log says under a request id.
func linesOf(t *testing.T, n *harness.Node, id string) (out []logLine) {
	t.Helper()
	b, err := os.ReadFile(n.Log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var l logLine
		if json.Unmarshal(line, &l) == nil && l.Request == id { // the banner is no JSON
			out = append(out, l)
		}
	}
	return out
}

// send makes one request under an id and returns the id of the answer.
func send(t *testing.T, method, url, id, body string) string {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		req.Header.Set("X-Request-Id", id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	return resp.Header.Get("X-Request-Id")
}

// followers returns a node that follows, after the leader.
func leaderAndFollower(t *testing.T, c *harness.Cluster) (leader, follower *harness.Node) {
	t.Helper()
	if leader = c.Leader(); leader == nil {
		t.Fatal("no leader")
	}
	for _, n := range c.Nodes {
		if n != leader {
			follower = n
		}
	}
	return leader, follower
}

// A request through a follower is in the logs of the nodes that worked for it,
// under its id: a write, its content, and a linearizable read.
func TestRequestIsFollowedAcrossNodes(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3, Args: []string{"-log-level", "debug", "-log-format", "json"}})
	leader, follower := leaderAndFollower(t, c)
	for i, r := range []struct{ method, query, body, call string }{
		{"PUT", "path=/memfs/a", "small", "propose"},
		{"PUT", "path=/memfs/b", strings.Repeat("long", 20_000), "keep"},
		{"GET", "path=/memfs/a&consistency=linearizable", "", "index"},
	} {
		id := fmt.Sprintf("test-%d", i)
		if got := send(t, r.method, follower.URL+"/api/v1/files?"+r.query, id, r.body); got != id {
			t.Errorf("request %s was answered as %s", id, got)
		}
		found := harness.Poll(10*time.Second, func() bool {
			for _, l := range linesOf(t, leader, id) {
				if l.Level == "DEBUG" && l.Msg == "call answered" && l.Call == r.call && l.From == follower.ID {
					return true
				}
			}
			return false
		})
		if !found {
			t.Errorf("%s of %s is not in the log of the leader: %+v", r.call, id, linesOf(t, leader, id))
		}
		var own []logLine
		harness.Poll(10*time.Second, func() bool { // it is written beside the answer
			own = slices.DeleteFunc(linesOf(t, follower, id), func(l logLine) bool {
				return l.Call != "" // the leader asks every voter for its term
			})
			return len(own) > 0
		})
		if len(own) != 1 || own[0].Route != "/api/v1/files" || own[0].Took <= 0 {
			t.Errorf("the log of the node that was asked has of %s: %+v", id, own)
		}
	}
	write := linesOf(t, leader, "test-0")
	for _, stage := range []string{"queue", "append", "replicate", "apply"} {
		if len(write) != 1 || write[0].Stages[stage] <= 0 {
			t.Errorf("no time of the stage %s: %+v", stage, write)
		}
	}
	if l := linesOf(t, follower, "test-0"); len(l) != 1 || l[0].Stages["forward"] <= 0 {
		t.Errorf("no time of the forwarding: %+v", l)
	}
	if id := send(t, "GET", follower.URL+"/api/v1/version", "bad id", ""); id == "bad id" || id == "" {
		t.Errorf("the id of a request that has a bad one is %q", id)
	}
}

// A slow request is told at level warn, on the node that was asked and on the
// one that worked for it, with what it waited for.
func TestSlowRequestIsTold(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3, Args: []string{"-log-format", "json"},
		Config: func(int) string { return "server: {slow_request: 1ns}\nplugins: {memfs: {path: /memfs}}\n" }})
	leader, follower := leaderAndFollower(t, c)
	send(t, "PUT", follower.URL+"/api/v1/files?path=/memfs/a", "slow-one", "x")
	for n, want := range map[*harness.Node]string{follower: "slow request", leader: "slow call"} {
		var l []logLine
		harness.Poll(10*time.Second, func() bool { // it is written beside the answer
			l = linesOf(t, n, "slow-one")
			return len(l) > 0
		})
		if len(l) != 1 || l[0].Level != "WARN" || l[0].Msg != want || len(l[0].Stages) == 0 {
			t.Errorf("%s: %+v; want one %q at WARN", n.ID, l, want)
		}
	}
}
