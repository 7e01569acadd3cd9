package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/vfs"
)

// mountQueue mounts queues of a backend at /sqlq and waits for them on all nodes.
func mountQueue(t *testing.T, c *harness.Cluster, node string, config vfs.Config) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"fstype": "queuefs", "path": "/sqlq", "node": node, "config": config})
	if err != nil {
		t.Fatal(err)
	}
	newWeb(t, c.Nodes[0]).want(200, "POST", "/mount", string(body))
	for _, n := range c.Nodes {
		w := newWeb(t, n)
		if !harness.Poll(60*time.Second, func() bool {
			a, err := w.do("GET", "/stat?path=/sqlq", nil)
			return err == nil && a.status == 200
		}) {
			t.Fatalf("not mounted: %+v", w.shown("/sqlq"))
		}
	}
}

// workThrough is run on queues at /sqlq, and checks what became of each message.
func (p *plant) workThrough(total, workers, kills int) {
	t := p.t
	killed, took := p.run(total, workers, kills)
	lost, again, _, redelivered := p.check()
	t.Logf("%d messages in %v (%.0f/s), %d kills: lost %d, delivered after ack %d; %d deliveries again, %d leases ran out under their workers",
		len(p.sent), took.Round(time.Millisecond), float64(total)/took.Seconds(), killed, lost, again, redelivered, p.lost.Load())
	if killed == 0 {
		t.Error("no server was killed")
	}
	p.poisoned()
}

func newPlant(t *testing.T, cs ...*harness.Cluster) *plant {
	return &plant{t: t, cs: cs, queues: []string{"/sqlq/one", "/sqlq/two"}, loose: true,
		sent: map[string]string{}, seen: map[string][]delivery{}, ends: map[string]uint64{}}
}

// TestQueueMariaDB has two servers that know nothing of each other share queues
// in one database; one after the other is killed.
func TestQueueMariaDB(t *testing.T) {
	t.Parallel()
	s := sqldbtest.Start(t)
	dsn := s.Config("queues")["dsn"].(string)
	var cs []*harness.Cluster
	for range 2 {
		c := harness.Start(t, harness.Options{Env: []string{"PFS_TEST_DSN=" + dsn}})
		mountQueue(t, c, "", vfs.Config{"backend": "mysql", "dsn": "env:PFS_TEST_DSN"})
		cs = append(cs, c)
	}
	newPlant(t, cs...).workThrough(2000, 6, 4)

	// The database itself is killed: who waits goes on, and nothing is lost.
	a, b := cs[0].Client(0), cs[1].Client(0)
	if _, err := a.Enqueue(t.Context(), "/sqlq/one", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	mine := `pfs_queuefs_ready_messages{mount="/sqlq",queue="/one"} 1`
	for _, c := range cs {
		if !harness.Poll(time.Minute, func() bool { return strings.Contains(newWeb(t, c.Nodes[0]).metrics(), mine) }) { // a slow database is left out
			t.Errorf("metrics lack %s", mine)
		}
	}
	s.Kill()
	if body := newWeb(t, cs[0].Nodes[0]).metrics(); strings.Contains(body, "pfs_queuefs_ready_messages{mount=\"/sqlq\"") {
		t.Error("without the database there are figures of its queues")
	}
	if resp, err := newWeb(t, cs[0].Nodes[0]).do("GET", "/files?path=/sqlq/one/size", nil); err != nil || resp.status != 503 || strings.Contains(resp.body, s.Dir) {
		t.Errorf("without the database: %+v, %v", resp, err)
	}
	s.Run(t)
	got, err := b.Take(t.Context(), "/sqlq/one", client.TakeOptions{Wait: 30 * time.Second})
	if err != nil || len(got) != 1 || string(got[0].Data) != "kept" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestQueueSQLite keeps queues in a file of the second node of three, which is
// killed again and again; all work through all nodes.
func TestQueueSQLite(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 3})
	mountQueue(t, c, "n2", vfs.Config{"backend": "sqlite", "db_path": filepath.Join(t.TempDir(), "queue.db")})
	for i := range 3 {
		sqlQueueForms(t, newWeb(t, c.Nodes[i]), fmt.Sprintf("/sqlq/forms%d", i))
	}
	p := newPlant(t, c)
	p.victim = c.Nodes[1]
	p.workThrough(1000, 6, 3)
}

// sqlQueueForms asks through one node for all that headers and queries can.
func sqlQueueForms(t *testing.T, w web, q string) {
	enqueue := "/files?path=" + q + "/enqueue"
	first := w.want(200, "PUT", enqueue, "one", "X-Pfs-Dedup-Id", "17", "Idempotency-Key", q).body
	if again := w.want(200, "PUT", enqueue, "one", "X-Pfs-Dedup-Id", "17", "Idempotency-Key", q).body; again != first {
		t.Errorf("%s; again %s", first, again)
	}
	if a := w.want(200, "PUT", enqueue, "other", "X-Pfs-Dedup-Id", "17").body; !strings.Contains(a, `"duplicate":true`) {
		t.Errorf("a duplicate: %s", a)
	}
	w.want(200, "PUT", enqueue, "first", "X-Pfs-Priority", "9")
	w.want(200, "PUT", enqueue, "later", "X-Pfs-Delay", "1h")
	w.want(400, "PUT", enqueue, "x", "X-Pfs-Priority", "10")
	if a := w.want(200, "PUT", enqueue, "two\nthree\n", "Content-Type", "application/x-ndjson").body; !strings.Contains(a, `"seq":[4,5]`) {
		t.Errorf("a batch: %s", a)
	}
	long := bytes.Repeat([]byte("long "), 200_000)
	w.want(200, "PUT", enqueue, string(long))
	w.want(413, "PUT", enqueue, strings.Repeat("x", 4<<20))
	var got []struct{ Data, Lease string }
	w.json("GET", "/files?path="+q+"/take&max=10&lease=5m", "", &got)
	var data, leases []string
	for _, m := range got {
		data, leases = append(data, m.Data), append(leases, m.Lease)
	}
	if strings.Join(data, " ") != "first one two three "+string(long) {
		t.Errorf("%.100q", data)
	}
	if a := w.want(200, "PUT", "/files?path="+q+"/ack", strings.Join(leases, "\n")).body; !strings.Contains(a, `"acked":5`) {
		t.Errorf("ack: %s", a)
	}
	if a := w.want(409, "PUT", "/files?path="+q+"/ack", leases[0]).body; !strings.Contains(a, `"lease_lost"`) {
		t.Errorf("again: %s", a)
	}
	if a := w.want(200, "GET", "/files?path="+q+"/take&wait=300ms", "").body; a != "{}" {
		t.Errorf("nothing: %s", a)
	}
	w.want(400, "GET", "/files?path="+q+"/dequeue", "", "Range", "bytes=0-1")
	w.want(404, "GET", "/files?path="+q+"x/dequeue&wait=1s", "")
}
