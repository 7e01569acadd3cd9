package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// many is the answer to a batch.
type many struct {
	Message string
	Index   uint64
	ID      []string
	Seq     []uint64
	Dups    int `json:"duplicates"`
}

func TestBatchIsOneEvent(t *testing.T) {
	s := start(t)
	var lines strings.Builder
	for i := range 900 { // more than one Op holds
		fmt.Fprintf(&lines, "{\"n\":%d,\"pad\":%q}\n", i, strings.Repeat("x", 100))
	}
	events, ops := 0, 0
	s.Node.Refuse(func(r vfs.Request) error { events, ops = events+1, ops+len(r.Ops); return nil })
	send := func(header ...string) (int, many, string) {
		a := s.Do(t, "PUT", queue+"enqueue", lines.String(), append(header, "Content-Type", "application/x-ndjson; charset=utf-8")...)
		var m many
		if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
			t.Fatalf("%v in %s", err, a.Body)
		}
		return a.Status, m, a.Header.Get("Idempotency-Replayed")
	}
	status, m, _ := send("Idempotency-Key", "batch", "X-Pfs-Dedup-Id", "import 7")
	if status != 200 || len(m.ID) != 900 || len(m.Seq) != 900 || m.Seq[899] != 900 || m.Index == 0 || m.Message != fmt.Sprintf("Written %d bytes", lines.Len()) {
		t.Errorf("%d, %d ids, %d seqs, %q", status, len(m.ID), len(m.Seq), m.Message)
	}
	if events != 1 || ops < 3 {
		t.Errorf("%d Events of %d Ops", events, ops)
	}
	if _, again, replayed := send("Idempotency-Key", "batch", "X-Pfs-Dedup-Id", "import 7"); replayed != "true" || fmt.Sprint(again.ID) != fmt.Sprint(m.ID) {
		t.Errorf("repeated: %q", replayed)
	}
	if status, _, _ := send("Idempotency-Key", "batch", "X-Pfs-Dedup-Id", "import 8"); status != 422 {
		t.Errorf("the key with another dedup id: %d", status)
	}
	if _, again, _ := send("X-Pfs-Dedup-Id", "import 7"); again.Dups != 900 || fmt.Sprint(again.Seq) != fmt.Sprint(m.Seq) {
		t.Errorf("again without the key: %d duplicates", again.Dups)
	}
	if a := s.Do(t, "GET", queue+"size", ""); a.Body != "900" {
		t.Errorf("%s messages", a.Body)
	}
	if got := message(t, s.Do(t, "GET", queue+"dequeue", "").Body); !strings.HasPrefix(got.Data, `{"n":0,`) || strings.HasSuffix(got.Data, "\n") {
		t.Errorf("%q", got.Data)
	}
}

func TestBatchLimits(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	for _, c := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"long", strings.Repeat("0123456789\n", 30_000), 413, "a batch may have 262144 bytes, send it in parts"},
		{"many", strings.Repeat("x\n", 1001), 413, "a batch may have 1000 lines, send it in parts"},
		{"a long line", "a\n" + strings.Repeat("x", 40_000), 413, "line 2: a line of a batch may have 32768 bytes, send it alone"},
		{"none", "\n\r\n", 400, "a batch has at least one line"},
		{"empty", "", 400, "a batch has at least one line"},
		{"most", strings.Repeat("x\n", 1000), 200, ""},
		{"one", "x", 200, `"seq":[1001]`},
	} {
		a := s.Do(t, "PUT", queue+"enqueue", c.body, "Content-Type", "application/x-ndjson")
		if a.Status != c.status || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s: %d %.200s", c.name, a.Status, a.Body)
		}
	}
	// A file that knows nothing of lines takes the body as it is.
	s.Do(t, "PUT", v1+"/files?path=/memfs/lines", "a\nb\n", "Content-Type", "application/x-ndjson", "X-Pfs-Delay", "5s")
	if a := s.Do(t, "GET", v1+"/files?path=/memfs/lines", ""); a.Body != "a\nb\n" {
		t.Errorf("%q", a.Body)
	}
}

func TestWhatAnEnqueueAsksFor(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		header, value string
		status        int
		says          string
	}{
		{"X-Pfs-Priority", "9", 200, `"seq":1`},
		{"X-Pfs-Priority", "10", 400, "priority must be a whole number, 0 to 9"},
		{"X-Pfs-Delay", "1h", 200, `"seq":2`},
		{"X-Pfs-Delay", "tomorrow", 400, "delay must be a time such as 30s"},
		{"X-Pfs-Delay", "-1s", 400, "delay must be 0s to 168h"},
		{"X-Pfs-Dedup-Id", "a", 200, `"seq":3}`},
		{"X-Pfs-Dedup-Id", "a", 200, `"seq":3,"duplicate":true`},
		{"X-Pfs-Dedup-Id", strings.Repeat("a", 129), 400, "dedup must be at most 128 printable ASCII characters"},
		{"X-Pfs-Dedup-Id", "\u00e9", 400, "printable ASCII"},
	} {
		a := s.Do(t, "PUT", queue+"enqueue", "x", c.header, c.value)
		if a.Status != c.status || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s: %s: %d %s", c.header, c.value, a.Status, a.Body)
		}
	}
	steps(t, s, "", "POST /symlink?path=/memfs/l {\"target\":\"/q/jobs\"} -> 201", "GET /directories?path=/q/jobs/delayed -> 200 \"Type\":\"message\"")
	s.Do(t, "PUT", v1+"/files?path=/memfs/l/enqueue", "through\nlinks", "X-Pfs-Priority", "9", "Content-Type", "application/x-ndjson")
	s.Do(t, "GET", queue+"dequeue", "")
	if a := s.Do(t, "GET", v1+"/files?path=/memfs/l/take&wait=10s", ""); !strings.Contains(a.Body, `"data":"through"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	h := s.Do(t, "POST", v1+"/handles/open?path=/memfs/l/dequeue", "")
	id := strings.Split(strings.SplitN(h.Body, `"handle_id":`, 2)[1], ",")[0]
	if a := s.Do(t, "GET", v1+"/handles/"+id+"/read", ""); !strings.Contains(a.Body, `"data":"links"`) && !strings.Contains(a.Body, `"data":"x"`) {
		t.Errorf("through a link and a handle: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/q/jobs/enqueue", "x", "X-Pfs-Priority", "0", "Idempotency-Key", "p"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/q/jobs/enqueue", "x", "X-Pfs-Priority", "1", "Idempotency-Key", "p"); a.Status != 422 {
		t.Errorf("the key with another priority: %d %s", a.Status, a.Body)
	}
}

// A worker's day, over HTTP: what each answer has, and which status a mistake.
func TestWorkerRequests(t *testing.T) {
	s := start(t)
	for i := range 4 {
		s.Do(t, "PUT", queue+"enqueue", fmt.Sprint("job", i))
	}
	for _, c := range []string{"HEAD /files?path=/q/jobs/take -> 200", "GET /files?path=/q/jobs/take&size=1 -> 400",
		"GET /files?path=/q/jobs/take&stream=true -> 404", `GET /stat?path=/q/jobs/take -> 200 "Content":{"consume":"true"`,
		"GET /files?path=/q/jobs/take&max=1000 -> 400 max must be 1 to 100", "GET /files?path=/q/jobs/size -> 200 4"} {
		steps(t, s, "", c)
	}
	a := s.Do(t, "GET", queue+"take&max=2&lease=30s", "")
	var two []struct{ Data, Lease string }
	if err := json.Unmarshal([]byte(a.Body), &two); err != nil || len(two) != 2 || a.Header.Get("X-Pfs-Seq") == "" || a.Header.Get("X-Pfs-Index") == "" {
		t.Fatalf("%s %v", a.Body, a.Header)
	}
	put := func(file, body string, status int, says string) {
		t.Helper()
		if a := s.Do(t, "PUT", queue+file, body); a.Status != status || !strings.Contains(a.Body, says) {
			t.Errorf("%s %s: %d %s", file, body, a.Status, a.Body)
		}
	}
	put("extend", `{"lease":"`+two[0].Lease+`","for":"60s"}`, 200, `"deadline":"`)
	put("ack", `{"lease":"`+two[0].Lease+`"}`, 200, `"acked":1`)
	put("ack", `{"lease":"`+two[0].Lease+`"}`, 409, `"code":"lease_lost"`)
	put("ack", two[1].Lease+"\n"+two[0].Lease+"\n", 409, two[0].Lease)
	put("nack", `{"lease":"`+two[1].Lease+`","reason":"no","delay":"0s"}`, 200, `"nacked":1`)
	put("ack", "junk", 400, `"code":"invalid"`)
	put("ack", strings.Repeat("x", 40_000), 413, "may have 32768 bytes")
	put("ctl", "leese=5s", 400, "did you mean lease?")
	put("ctl", "max_messages=3", 200, "Written")
	put("enqueue", "x", 507, `"code":"no_space"`)
	put("redrive", "*", 200, "Written")
	if a := s.Do(t, "GET", queue+"ctl", ""); !strings.Contains(a.Body, "max_messages=3\n") || a.Header.Get("ETag") == "" {
		t.Errorf("%s %v", a.Body, a.Header)
	}
	stale := s.Do(t, "PUT", queue+"ctl", "lease=5s", "If-Match", `"1"`)
	if stale.Status != 412 {
		t.Errorf("ctl under a wrong condition: %d", stale.Status)
	}
	// Searches and digests leave the messages alone.
	s.Do(t, "POST", v1+"/grep", `{"path":"/q","pattern":"job","recursive":true}`)
	if a := s.Do(t, "POST", v1+"/digest", `{"path":"/q/jobs/take","algorithm":"md5"}`); a.Status/100 != 4 {
		t.Errorf("digest of take: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", queue+"size", ""); a.Body != "3" {
		t.Errorf("%s messages", a.Body)
	}
	// A handle takes once, and reads it in parts.
	h := s.Do(t, "POST", v1+"/handles/open?path=/q/jobs/take", "")
	id := strings.Split(strings.SplitN(h.Body, `"handle_id":`, 2)[1], ",")[0]
	one := s.Do(t, "GET", v1+"/handles/"+id+"/read?size=9", "").Body + s.Do(t, "GET", v1+"/handles/"+id+"/read?size=4096", "").Body
	if m := message(t, one); m.Lease == "" || m.Attempt != 2 {
		t.Errorf("%s", one)
	}
}

// What else an enqueue can ask for is refused until every member knows it, and
// not dropped.
func TestAsksBeforeTheirLevel(t *testing.T) {
	s := start(t)
	level := func(n uint64) {
		op := vfs.Op{Verb: vfs.Begin, Path: vfs.Root, Data: fsm.EncodeBegin(fsm.BeginSpec{Cluster: "c", Level: n})}
		if out, err := s.Node.Propose(t.Context(), vfs.Request{Ops: []vfs.Op{op}}); err != nil || out.Err != nil {
			t.Fatal(err, out.Err)
		}
	}
	level(2)
	steps(t, s, "", `POST /mount {"fstype":"queuefs","path":"/early"} -> 200`)
	send := func(status int, header ...string) {
		t.Helper()
		if a := s.Do(t, "PUT", v1+"/files?path=/early/q/enqueue", "a\nb\n", header...); a.Status != status {
			t.Errorf("%v: %d %s", header, a.Status, a.Body)
		}
	}
	send(503, "X-Pfs-Delay", "1h")
	send(503, "Content-Type", "application/x-ndjson")
	send(200)
	steps(t, s, "", "GET /files?path=/early/q/size -> 200 1", "GET /files?path=/early/q/take&max=2 -> 404",
		`GET /files?path=/early/q/dequeue&wait=10s -> 200 "data":"a\nb\n"`, "GET /files?path=/early/q/dequeue&wait=50ms -> 200 {}")
	level(3)
	send(200, "X-Pfs-Delay", "1h")
	send(200, "Content-Type", "application/x-ndjson")
	steps(t, s, "", "GET /files?path=/early/q/size -> 200 2", "GET /files?path=/early/q/take&max=2 -> 200 lease")
}
