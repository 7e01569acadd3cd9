package test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestBadInputsOfClusters sends what only three real nodes can get wrong. The
// numbers are those of the catalogue of bad inputs, most of which the API's
// own tests go through.
func TestBadInputsOfClusters(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 3})
	var w []web
	for _, n := range c.Nodes {
		w = append(w, newWeb(t, n))
	}
	t.Run("24 the client resets after a whole write", func(t *testing.T) { resetAfterWrite(t, c, w) })
	t.Run("25 a body cut short", func(t *testing.T) { cutShort(t, c, w) })
	t.Run("60 handles of another node", func(t *testing.T) { foreignHandle(t, c, w) })
	t.Run("67 one key on all nodes at once", func(t *testing.T) { keyEverywhere(t, w) })
	t.Run("68 an index from the future", func(t *testing.T) {
		w[1].want(504, "GET", "/files?path=/memfs/README&min_index=99999999999&timeout=300ms", "")
		w[1].want(400, "GET", "/files?path=/memfs/README&consistency=banana", "")
	})
	t.Run("82 one mount on all nodes at once", func(t *testing.T) { mountEverywhere(t, w) })
	t.Run("92 a mount without a quorum", func(t *testing.T) { mountAlone(t, c, w) })
	c.SameDigest()
}

// rawPut sends the header and the start of a PUT on a connection of its own.
func rawPut(t *testing.T, n *harness.Node, path, key string, length int, body string) net.Conn {
	t.Helper()
	conn := dialNode(t, n)
	say(t, conn, "PUT /api/v1/files?path=%s HTTP/1.1\r\nHost: x\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s", path, key, length, body)
	return conn
}

func resetAfterWrite(t *testing.T, c *harness.Cluster, w []web) {
	for i := range 9 {
		key, path := fmt.Sprintf("reset-%d", i), fmt.Sprintf("/queuefs/reset%d/enqueue", i)
		conn := rawPut(t, c.Nodes[i%3], path, key, 5, "hello").(*net.TCPConn)
		if err := conn.SetLinger(0); err != nil { // close with a reset
			t.Error(err)
		}
		conn.Close()
		a := w[(i+1)%3].want(200, "PUT", "/files?path="+path, "hello", "Idempotency-Key", key)
		b := w[(i+2)%3].want(200, "PUT", "/files?path="+path, "hello", "Idempotency-Key", key)
		if b.header.Get("Idempotency-Replayed") != "true" || a.body != b.body {
			t.Errorf("the repeat answers %s, the first %s", b.body, a.body)
		}
		size := w[i%3].want(200, "GET", fmt.Sprintf("/files?path=/queuefs/reset%d/size&consistency=linearizable", i), "")
		if size.body != "1" {
			t.Errorf("the message is there %s times", size.body)
		}
		w[i%3].want(422, "PUT", "/files?path="+path, "other", "Idempotency-Key", key)
	}
}

func cutShort(t *testing.T, c *harness.Cluster, w []web) {
	w[0].put("/memfs/whole", "whole")
	before := w[0].digest()
	for i, body := range []string{"", "abc", strings.Repeat("x", 40_000), strings.Repeat("x", 9<<20)} {
		conn := rawPut(t, c.Nodes[i%3], "/memfs/whole", fmt.Sprintf("cut-%d", i), 10<<20, body).(*net.TCPConn)
		if err := conn.CloseWrite(); err != nil {
			t.Error(err)
		}
		if status, answer := answerOn(t, conn); status != 400 {
			t.Errorf("%d of 10 MiB: status %d: %s", len(body), status, answer)
		}
	}
	w[0].reads("/memfs/whole", "whole")
	if w[0].digest() != before {
		t.Error("a body cut short changed the state")
	}
}

func foreignHandle(t *testing.T, c *harness.Cluster, w []web) {
	w[0].put("/memfs/held", "0123456789")
	h := w[0].open("/memfs/held", "flags=readwrite")
	if a := w[1].want(200, "GET", h+"/read?size=4", ""); a.body != "0123" {
		t.Errorf("through another node: %q", a.body)
	}
	w[2].want(200, "POST", "/rename?path=/memfs/held", `{"newPath":"/memfs/moved"}`)
	w[1].want(200, "PUT", h+"/write?offset=0", "AB")
	if a := w[2].want(200, "GET", h+"/read", ""); a.body != "456789" {
		t.Errorf("the position is the node's that opened: %q", a.body)
	}
	if a := w[2].want(200, "GET", "/files?path=/memfs/moved&consistency=linearizable", ""); a.body != "AB23456789" {
		t.Errorf("the file holds %q", a.body)
	}
	w[1].want(404, "GET", "/handles/99999999/read", "")
	c.Nodes[0].Kill()
	if a, err := w[1].do("GET", h+"/read?offset=0", nil); err != nil || a.status != 503 && a.status != 404 {
		t.Errorf("a handle of a node that is gone: %d %s (%v)", a.status, a.body, err)
	}
	c.Nodes[0].Start()
	c.Ready()
	w[1].want(404, "GET", h+"/read?offset=0", "")
}

func keyEverywhere(t *testing.T, w []web) {
	var wg sync.WaitGroup
	answers := make([]answer, 12)
	for i := range answers {
		wg.Go(func() {
			answers[i] = w[i%3].want(200, "PUT", "/files?path=/queuefs/once/enqueue", "x", "Idempotency-Key", "everywhere")
		})
	}
	wg.Wait()
	replayed := 0
	for _, a := range answers {
		if a.body != answers[0].body || a.header.Get("X-Pfs-Seq") != answers[0].header.Get("X-Pfs-Seq") {
			t.Errorf("answers differ: %s, %s", a.body, answers[0].body)
		}
		if a.header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
	}
	if a := w[0].want(200, "GET", "/files?path=/queuefs/once/size&consistency=linearizable", ""); a.body != "1" || replayed != len(answers)-1 {
		t.Errorf("%s messages, %d of %d replayed", a.body, replayed, len(answers))
	}
}

func mountEverywhere(t *testing.T, w []web) {
	var wg sync.WaitGroup
	statuses := make([]int, 6)
	for i := range statuses {
		wg.Go(func() {
			a, err := w[i%3].patient("POST", "/mount", `{"fstype":"memfs","path":"/twice"}`)
			if statuses[i] = a.status; err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{200, 409, 409, 409, 409, 409}) {
		t.Errorf("statuses %v", statuses)
	}
}

// mountAlone stops two of three nodes: the third refuses to mount and to
// write, in time, and still reads.
func mountAlone(t *testing.T, c *harness.Cluster, w []web) {
	c.SameDigest() // whoever is left has the file that is read
	leader := c.Leader()
	if leader == nil {
		t.Fatal("no leader")
	}
	alone := slices.IndexFunc(c.Nodes, func(n *harness.Node) bool { return n != leader })
	for i, n := range c.Nodes {
		if i != alone {
			n.Pause()
			defer n.Signal(syscall.SIGCONT)
		}
	}
	var wg sync.WaitGroup
	for _, r := range []struct{ method, route, body string }{
		{"POST", "/mount", `{"fstype":"memfs","path":"/alone"}`},
		{"PUT", "/files?path=/memfs/alone", "x"},
		{"GET", "/files?path=/memfs/moved&consistency=linearizable", ""},
	} {
		wg.Go(func() { w[alone].want(503, r.method, r.route, r.body) })
	}
	wg.Wait()
	w[alone].want(200, "GET", "/files?path=/memfs/moved", "")
	for i, n := range c.Nodes {
		if i != alone {
			n.Signal(syscall.SIGCONT)
		}
	}
	c.Ready()
	back := harness.Poll(60*time.Second, func() bool {
		a, err := w[alone].do("PUT", "/files?path=/memfs/back", io.LimitReader(strings.NewReader("x"), 1))
		return err == nil && a.status == 200
	})
	if !back {
		t.Error("no writes after the nodes were let go on")
	}
}
