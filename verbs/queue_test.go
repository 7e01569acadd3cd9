package verbs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

func TestQueueVerbs(t *testing.T) {
	serve(t)
	for _, s := range []clitest.Step{
		{Args: "queue create /queuefs/team/jobs --lease 5s --max-attempts 1", Stderr: "created /queuefs/team/jobs\n"},
		{Args: "queue create /queuefs/team/jobs --dedup 1m", Stderr: "was there: /queuefs/team/jobs\n"},
		{Args: "cat /queuefs/team/jobs/ctl", Stdout: "lease=5s\nmax_attempts=1\ndedup=60s\npriority=4\ndelay=0s\nmax_messages=0\nmax_bytes=0\n"},
		{Args: "queue take /queuefs/team/jobs", Code: 9},
		{Args: "queue take /queuefs/team/jobs --wait 50ms", Code: 9},
		{Args: "queue take /queuefs/team/jobs --wait=50ms", Code: 9},
		{Args: "queue take /queuefs/team/jobs --wait=soon", Code: 2, Stderr: "pfs: --wait is a time such as 30s, not soon\nhint: see: pfs queue take --help\n"},
		{Args: "queue take /queuefs/team/jobs /queuefs/other", Code: 2, Stderr: "pfs: take takes one queue\n…\n"},
		{Args: "queue peek /queuefs/team/jobs", Code: 9},
		{Args: "queue put /queuefs/team/jobs one two", Stderr: "2 enqueued\n"},
		{Args: "queue put /queuefs/team/jobs", Stdin: "three\n\nfour\r\nfive", Stderr: "3 enqueued\n"},
		{Args: "queue put /queuefs/team/jobs - --idempotency-key k", Stdin: "six\nseven\n", Stderr: "2 enqueued\n"},
		{Args: "queue put /queuefs/team/jobs - --idempotency-key k", Stdin: "six\nseven\n", Stderr: "0 new, 2 duplicate\n"},
		{Args: "queue put /queuefs/team/jobs - --idempotency-key k", Stdin: "eight\n", Code: 6, Stderr: "0 enqueued\npfs: …\n"},
		{Args: "queue put /queuefs/team/jobs --delay 1h --priority 9 -o json later", Stdout: "{\"duplicates\":0,\"id\":[\"…\"],\"seq\":[8]}\n"},
		{Args: "queue put /queuefs/team/jobs --priority 10 x", Code: 2, Stderr: "pfs: --priority is 0 to 9, not 10\n…\n"},
		{Args: "queue peek /queuefs/team/jobs", Stdout: "{…\"data\":\"one\"…}\n"},
		{Args: "queue ls /queuefs/team", Stdout: "QUEUE               READY  DELAYED  INFLIGHT  DEAD\n/queuefs/team/jobs  7      1        0         0\n"},
		{Args: "queue stats /queuefs/team/jobs", Stdout: "queue     /queuefs/team/jobs\nready     7  oldest …\ndelayed   1\ninflight  0\ndead      0\nbytes     …\ntotal     8 enqueued, 0 taken, 0 acked, 0 nacked, 0 expired, 0 dead, 0 redriven, 0 dropped, 0 duplicates\n"},
		{Args: "queue stats /queuefs/no", Code: 4, Stderr: "pfs: read: /queuefs/no/stats.json: not found (not_found)\n"},
		{Args: "queue redrive /queuefs/team/jobs", Code: 2, Stderr: "pfs: say which: --id ID or --all\n…\n"},
		{Args: "queue purge /queuefs/team/jobs", Code: 2, Stderr: "pfs: nothing was removed: add --yes\n…\n"},
	} {
		pfs.Do(t, s)
	}
	take := func(n int) (leases []string) {
		for line := range strings.Lines(pfs.Must(t, "", "queue", "take", "/queuefs/team/jobs", "--max", fmt.Sprint(n))) {
			var m struct{ Lease, Data string }
			if err := json.Unmarshal([]byte(line), &m); err != nil || m.Data == "" {
				t.Fatalf("%v in %q", err, line)
			}
			leases = append(leases, m.Lease)
		}
		return leases
	}
	l := take(4)
	for _, s := range []clitest.Step{
		{Args: "queue ack /queuefs/team/jobs " + l[0], Stderr: "1 acked\n"},
		{Args: "queue ack /queuefs/team/jobs " + l[0], Code: 6, Stderr: "pfs: …(lease_lost)\n"},
		{Args: "queue ack /queuefs/team/jobs -", Stdin: l[1] + "\n", Stderr: "1 acked\n"},
		{Args: "queue extend /queuefs/team/jobs --for 10m " + l[2], Stdout: "20…Z\n"},
		{Args: "queue nack /queuefs/team/jobs --reason broken " + l[2] + " " + l[3], Stderr: "2 nacked\n"},
		{Args: "queue redrive /queuefs/team/jobs --all -o json", Stdout: "{\n  \"requeued\": 2\n}\n"},
		{Args: "queue purge --yes /queuefs/team/jobs"},
		{Args: "queue take /queuefs/team/jobs", Code: 9},
	} {
		pfs.Do(t, s)
	}
}

// A line that fits into no batch goes alone, and many lines into several.
func TestQueuePutMany(t *testing.T) {
	serve(t)
	var in strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&in, "message %d\n", i)
	}
	in.WriteString(strings.Repeat("x", 50_000) + "\nlast\n")
	for i, want := range []string{"2502 enqueued\n", "0 new, 2502 duplicate\n"} {
		if r := pfs.Run(t, in.String(), "queue", "put", "/queuefs/q", "-", "--idempotency-key", "all"); r.Code != 0 || r.Stderr != want {
			t.Errorf("%d: %d %q", i, r.Code, r.Stderr)
		}
	}
	if n := strings.TrimSpace(pfs.Must(t, "", "cat", "/queuefs/q/size")); n != "2502" {
		t.Errorf("%s messages", n)
	}
}

func TestQueueTakeWaits(t *testing.T) {
	s := serve(t)
	pfs.Must(t, "", "queue", "create", "/queuefs/q")
	r := run(t, "queue", "take", "/queuefs/q", "--wait")
	held(t, s, 1)
	pfs.Must(t, "", "queue", "put", "/queuefs/q", "say hi")
	r.prints("{\"id\":\"…\",\"data\":\"say hi\",…\"attempt\":1,\"lease\":\"…\"…}\n", "")
	if code := r.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestQueueWork(t *testing.T) {
	serve(t)
	dir := t.TempDir()
	pfs.Must(t, "", "queue", "create", "/queuefs/q", "--max-attempts", "2")
	pfs.Must(t, "1\n2\n13\n4\n", "queue", "put", "/queuefs/q", "-")
	script := `n=$(cat); test "$n" != 13 || { echo noise >&2; echo "cannot do $n" >&2; exit 3; }
		echo "$PFS_QUEUE $PFS_MESSAGE_ATTEMPT $PFS_MESSAGE_SEQ" >` + dir + `/$n; echo "did $n"`
	r := pfs.Run(t, "", "queue", "work", "/queuefs/q", "--until-empty", "--delay", "0s", "--jobs", "3", "--exec", script)
	if r.Code != 0 || !strings.HasSuffix(r.Stderr, "3 done, 2 failed\n") || strings.Count(r.Stderr, ": exit 3: cannot do 13\n") != 2 ||
		strings.Count(r.Stdout, "did ") != 3 || !strings.Contains(r.Stderr, "attempt 2 of ") {
		t.Errorf("%d %q %q", r.Code, r.Stdout, r.Stderr)
	}
	for name, want := range map[string]string{"1": "/queuefs/q 1 1\n", "2": "/queuefs/q 1 2\n", "4": "/queuefs/q 1 4\n"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	dead := strings.TrimSpace(pfs.Must(t, "", "ls", "/queuefs/q/dead"))
	if text := pfs.Must(t, "", "cat", "/queuefs/q/dead/"+dead); !strings.Contains(text, `"reason":"attempt 2/2: exit 3: cannot do 13"`) {
		t.Error(text)
	}
	for _, s := range []clitest.Step{
		{Args: "queue work /queuefs/q --until-empty --exec true", Code: 9, Stderr: "0 done, 0 failed\n"},
		{Args: "queue redrive /queuefs/q --id " + dead, Stderr: "1 requeued\n"},
		{Args: "queue work /queuefs/q --max 1 -o json -- cat", Stdout: "13{\"done\":1,\"failed\":0,\"lost\":0}\n"},
		{Args: "queue work /queuefs/q", Code: 2, Stderr: "pfs: say what to run: --exec 'COMMAND', or -- PROGRAM ARGS…\n…\n"},
		{Args: "queue work /queuefs/q -- no-such-program", Code: 2, Stderr: "pfs: …no-such-program…\n…\n"},
		{Args: "queue work /queuefs/no --exec true", Code: 4, Stderr: "0 done, 0 failed\npfs: …(not_found)\n"},
	} {
		pfs.Do(t, s)
	}
}

// The first Ctrl-C finishes what runs. A lease runs on while its command does,
// and a command whose lease is lost is ended.
func TestQueueWorkEnds(t *testing.T) {
	s := serve(t)
	gate := filepath.Join(t.TempDir(), "gate")
	pfs.Must(t, "", "queue", "put", "/queuefs/q", "slow")
	r := run(t, "queue", "work", "/queuefs/q", "--lease", "4s", "--exec", "echo begun; until test -e "+gate+"; do sleep 0.05; done; cat")
	r.prints("begun\n", "")
	for range 50 { // time goes on, and the lease with it
		if err := s.Node.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := pfs.Run(t, "", "queue", "take", "/queuefs/q", "--wait=100ms"); r.Code != 9 {
			t.Fatalf("somebody else got it: %+v", r)
		}
	}
	r.stop()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := r.code(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	r.prints("begun\nslow", "1 done, 0 failed\n")
	pfs.Must(t, "", "queue", "put", "/queuefs/q", "lost")
	r = run(t, "queue", "work", "/queuefs/q", "--max", "1", "--lease", "4s", "--exec", "echo $PFS_MESSAGE_LEASE; sleep 100")
	r.prints("…\n", "")
	out, _ := r.text()
	pfs.Must(t, "", "queue", "ack", "/queuefs/q", strings.TrimSpace(out))
	r.prints(out, "pfs: queue work: …(lease_lost)\n0 done, 0 failed\n")
	if code := r.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
