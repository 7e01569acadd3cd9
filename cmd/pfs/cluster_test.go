package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/client"
)

// healthy is a cluster of three that is well.
func healthy() client.Status {
	s := client.Status{ClusterID: "c1", NodeID: "n1", LeaderID: "n2", Term: 3, CommitIndex: 44, AppliedIndex: 44, DigestIndex: 44}
	for i := 1; i <= 3; i++ {
		started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		s.Nodes = append(s.Nodes, client.NodeStatus{ID: fmt.Sprint("n", i), RaftAddress: fmt.Sprintf("10.0.0.%d:7946", i), Role: "voter",
			State: "follower", AppliedIndex: 44, Version: "v1", Started: &started, Uptime: 3700, DiskFree: 50 << 30, DiskSize: 100 << 30,
			AppendP99: 3, Digest: "abcdef0123456789"})
	}
	s.Nodes[1].State = "leader"
	return s
}

// canned is a node that answers about its cluster what it is told to.
type canned struct {
	status client.Status
	verify client.Verification
	change []string // answers to changes, one after the other, as "status body"
	asked  []string
}

func (c *canned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var out any
	switch r.URL.Path {
	case "/api/v1/cluster":
		out = c.status
	case "/api/v1/cluster/verify":
		out = c.verify
	default:
		b, _ := io.ReadAll(r.Body)
		c.asked = append(c.asked, strings.TrimPrefix(r.URL.Path, "/api/v1/cluster/")+" "+string(b))
		answer := c.change[0]
		if len(c.change) > 1 {
			c.change = c.change[1:]
		}
		var status int
		var body string
		fmt.Sscanf(answer, "%d", &status)
		_, body, _ = strings.Cut(answer, " ")
		w.WriteHeader(status)
		io.WriteString(w, body)
		return
	}
	b, _ := json.Marshal(out)
	w.Write(b)
}

// serve starts the node; all APIs of its status are this one.
func (c *canned) serve(t *testing.T) {
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	for i := range c.status.Nodes {
		if c.status.Nodes[i].HTTPAddress == "" {
			c.status.Nodes[i].HTTPAddress = s.URL
		}
	}
	clitest.TalkTo(t, s.URL)
}

func TestClusterStatus(t *testing.T) {
	c := &canned{status: healthy()}
	c.serve(t)
	steps(t, []step{{"cluster status", "", 0, `cluster c1  leader n2  term 3  commit 44  asked n1
NODE  ROLE   STATE     APPLIED  LAG  DIGEST        VERSION  UPTIME   ADDRESS
n1    voter  follower  44       0    abcdef012345  v1       1h1m40s  http://…
n2    voter  leader    44       0    abcdef012345  v1       1h1m40s  http://…
n3    voter  follower  44       0    abcdef012345  v1       1h1m40s  http://…
`, ""}})
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.status.Nodes[0] = client.NodeStatus{ID: "n1", Role: "voter", State: "unreachable", LastContact: -1, Unreachable: &since}
	c.status.Nodes[1].NotReady, c.status.Nodes[1].AppliedIndex, c.status.Nodes[1].Digest = "no leader is known", 40, ""
	c.status.Nodes[2].Missing, c.status.Nodes[2].Standby, c.status.Nodes[2].Role = 2, true, "non-voter"
	c.status.LeaderID = ""
	got := must(t, "", "cluster", "status", "--digest=false")
	for _, want := range []string{"leader -", "n1    voter      unreachable  -        -    -", "n2    voter      leader       40       4    -  ",
		"n1: unreachable since 2026-01-02T03:04:05Z\n", "n2: not ready: no leader is known\n", "n3: 2 chunks of content still to fetch\n",
		"n3: stays without a vote until it is promoted\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	var s client.Status
	if err := json.Unmarshal([]byte(must(t, "", "cluster", "status", "-o", "json")), &s); err != nil || len(s.Nodes) != 3 || s.Nodes[2].Missing != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestClusterVerify(t *testing.T) {
	c := &canned{verify: client.Verification{Index: 44, Match: true, Complete: true, Nodes: []client.NodeState{
		{ID: "n1", Digest: "aaaaaaaaaaaaaaaa", Own: "bbbbbbbbbbbbbbbb"}, {ID: "n2", Digest: "aaaaaaaaaaaaaaaa", Own: "bbbbbbbbbbbbbbbb"}}}}
	c.serve(t)
	table := "NODE  DIGEST        OWN\nn1    aaaaaaaaaaaa  bbbbbbbbbbbb\n"
	steps(t, []step{{"cluster verify", "", 0, table + "n2    aaaaaaaaaaaa  bbbbbbbbbbbb\nMATCH at entry 44\n", ""}})
	c.verify.Match, c.verify.Nodes[1].Digest, c.verify.Nodes[1].Differs = false, "cccccccccccccccc", []string{"/kvfs", "/memfs"}
	steps(t, []step{{"cluster verify", "", 1, table + "n2    cccccccccccc  bbbbbbbbbbbb\nn2 differs in /kvfs, /memfs\nDIVERGED at entry 44\n",
		"pfs: nodes differ\nhint: stop n2, keep its data directory elsewhere, and start it with an empty one: it fetches everything from the others\n"}})
	c.verify = client.Verification{Index: 44, Match: true, Nodes: []client.NodeState{c.verify.Nodes[0], {ID: "n2", Error: "does not answer"}}}
	steps(t, []step{{"cluster verify", "", 5, table + "n2    -             -\nn2: does not answer\nMATCH at entry 44, as far as nodes have answered\n",
		"pfs: not compared: n2\nhint: start what is down, then repeat it\n"}})
}

// failures are the names of the checks that failed.
func failures(said string) (names []string) {
	for line := range strings.Lines(said) {
		if f := strings.Fields(line); f[0] == "FAIL" {
			names = append(names, f[1])
		}
	}
	return names
}

// Each check of the doctor fails for a fault of its own.
func TestClusterDoctor(t *testing.T) {
	since := time.Now()
	c := &canned{status: healthy()}
	c.serve(t)
	got := must(t, "", "cluster", "doctor")
	if strings.Count(got, "ok    ") != len(checks()) || strings.Contains(got, "FAIL") {
		t.Error(got)
	}
	faults := map[string]func(s *client.Status){
		"leader": func(s *client.Status) { s.LeaderID = "" },
		"peers": func(s *client.Status) {
			s.Nodes = append(s.Nodes, client.NodeStatus{ID: "n4", Role: "non-voter", State: "unreachable", Unreachable: &since})
		},
		"quorum":   func(s *client.Status) { s.Nodes[2].Role = "non-voter" },
		"api":      func(s *client.Status) { s.Nodes[2].HTTPAddress = "http://127.0.0.1:1" },
		"ready":    func(s *client.Status) { s.Nodes[1].NotReady = "mount /s3 is down" },
		"versions": func(s *client.Status) { s.Nodes[1].Version = "v2" },
		"clocks":   func(s *client.Status) { s.Nodes[1].Clock = -90_000 },
		"certs":    func(s *client.Status) { s.Nodes[1].CertExpires = &since },
		"disk":     func(s *client.Status) { s.Nodes[1].DiskFree = 1 << 30 },
		"log":      func(s *client.Status) { s.Nodes[1].AppendP99 = 250 },
		"lag":      func(s *client.Status) { s.CommitIndex += 5000 },
		"content":  func(s *client.Status) { s.Nodes[1].Missing = 7 },
		"state":    func(s *client.Status) { s.Nodes[1].Digest = "ffff" },
	}
	for _, k := range checks() {
		fault := faults[k.name]
		if fault == nil {
			t.Errorf("no fault for %s", k.name)
			continue
		}
		c.status = healthy()
		for i := range c.status.Nodes {
			c.status.Nodes[i].HTTPAddress = os.Getenv("PFS_URL")
		}
		fault(&c.status)
		r := pfs(t, "", "cluster", "doctor")
		failed := failures(r.Stdout)
		for try := 0; try < 5 && k.name != "api" && slices.Contains(failed, "api"); try++ { // this process was too slow to answer
			r = pfs(t, "", "cluster", "doctor")
			failed = failures(r.Stdout)
		}
		if r.Code != 1 || len(failed) != 1 || failed[0] != k.name || !strings.Contains(r.Stdout, "fix: "+k.fix) {
			t.Errorf("%s: exit code %d, failed %v\n%s", k.name, r.Code, failed, r.Stdout)
		}
	}
	c.status = healthy()
	c.status.LeaderID = ""
	var all []finding
	if r := pfs(t, "", "cluster", "doctor", "-o", "json"); r.Code != 1 || json.Unmarshal([]byte(r.Stdout), &all) != nil || all[0].OK || all[0].Fix == "" {
		t.Errorf("%+v", r)
	}
}

func TestClusterChanges(t *testing.T) {
	c := &canned{status: healthy()}
	c.serve(t)
	done := `200 {"message":"done","id":"n4","changed":true}`
	for _, k := range []struct{ args, answer, asked, stdout string }{
		{"remove n4", done, `remove {"id":"n4"}`, "done\n"},
		{"remove n4 --force", done, `remove {"id":"n4","force":true}`, "done\n"},
		{"demote n4 --force", done, `demote {"id":"n4","force":true}`, "done\n"},
		{"promote n4", done, `promote {"id":"n4"}`, "done\n"},
		{"transfer", done, `transfer {}`, "done\n"},
		{"transfer n4", done, `transfer {"id":"n4"}`, "done\n"},
		{"snapshot n4", done, `snapshot {"id":"n4"}`, "done\n"},
		{"add n4", done, ``, "pfs-server -node-id n4 -raft-addr HOST:PORT -join 10.0.0.1:7946,10.0.0.2:7946,10.0.0.3:7946\n"},
		{"add n4 --raft-address h:1 -q", done, `join {"id":"n4","raft_address":"h:1","voter":true}`, "done\n"},
		{"add n4 --raft-address h:1 --non-voter -q", done, `join {"id":"n4","raft_address":"h:1","voter":false}`, "done\n"},
		{"add n3 --raft-address h:1 --wait", done, `join {"id":"n3","raft_address":"h:1","voter":true}`, "done\nn3 caught up (0 behind): voter\n"},
	} {
		c.asked, c.change = nil, []string{k.answer}
		if got := must(t, "", append([]string{"cluster"}, strings.Fields(k.args)...)...); got != k.stdout || strings.Join(c.asked, ";") != k.asked {
			t.Errorf("%s: %q, asked %q", k.args, got, c.asked)
		}
	}
	c.asked = nil // n1 is asked, and n2 leads
	if got := must(t, "", "cluster", "transfer", "--if-leading"); got != "" || len(c.asked) != 0 {
		t.Errorf("a follower handed over: %q, asked %q", got, c.asked)
	}
	c.status.LeaderID, c.change = "n1", []string{done}
	if got := must(t, "", "cluster", "transfer", "--if-leading", "--pause", "10ms"); got != "done\n" || len(c.asked) != 1 {
		t.Errorf("a leader: %q, asked %q", got, c.asked)
	}
	c.status = healthy()
	refusal := `409 {"error":"node n3 is 7 entries behind","code":"conflict"}`
	c.asked, c.change = nil, []string{refusal}
	steps(t, []step{
		{"cluster promote n3", "", 6, "", "pfs: node n3 is 7 entries behind (conflict)\n"},
		{"cluster remove", "", 2, "", "…\nhint: see: pfs cluster remove --help\n"},
		{"cluster add n4 --non-voter", "", 2, "", "…\nhint: see: pfs cluster add --help\n"},
		{"cluster explode", "", 2, "", "…\n…\n"},
	})
	c.asked, c.change = nil, []string{refusal, done}
	steps(t, []step{{"cluster promote n3 --wait", "", 0, "done\n", "n3 0 entries behind\n"}})
	c.asked, c.change = nil, []string{refusal}
	if r := pfs(t, "", "cluster", "promote", "n3", "--wait", "--timeout", "3s"); r.Code != cli.ExitTemporary || r.Stdout != "" ||
		!strings.HasPrefix(r.Stderr, "n3 0 entries behind\n") || !strings.Contains(r.Stderr, "\npfs: context deadline exceeded") {
		t.Errorf("time is up: %+v", r)
	}
}
