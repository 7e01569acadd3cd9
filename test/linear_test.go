package test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// get asks a node for a path with a consistency level and returns the status
// and the body.
func get(n *harness.Node, path, level string, timeout time.Duration) (int, string, error) {
	cl := http.Client{Timeout: timeout}
	resp, err := cl.Get(n.URL + "/api/v1/files?path=" + path + "&consistency=" + level)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// pastReads stops the leader, lets the others choose a new one and write, then
// continues it and reads from it at once, linearizable. It returns how many
// reads were answered and how many saw the past.
func pastReads(t *testing.T, c *harness.Cluster, want int) (answered, past int) {
	t.Helper()
	ctx := context.Background()
	for value := 1; answered < want; value++ {
		old := c.Leader()
		if old == nil {
			t.Fatal("no leader")
		}
		i := 0
		for c.Nodes[i] != old {
			i++
		}
		old.Pause()
		other := c.Client((i + 1) % 3)
		wctx, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := other.WriteFile(wctx, "/memfs/register", []byte(strconv.Itoa(value)))
		cancel()
		if err != nil {
			old.Signal(syscall.SIGCONT)
			t.Fatalf("write while the old leader is stopped: %v", err)
		}
		// the reads are on their way before the old leader runs again, so
		// that they reach it while it still believes that it leads
		type answer struct {
			status int
			body   string
			err    error
		}
		answers := make(chan answer)
		const batch = 256
		for range batch {
			go func() {
				s, b, err := get(old, "/memfs/register", "linearizable", 10*time.Second)
				answers <- answer{s, b, err}
			}()
		}
		time.AfterFunc(50*time.Millisecond, func() { old.Signal(syscall.SIGCONT) })
		for range batch {
			a := <-answers
			if a.err != nil || a.status != http.StatusOK {
				continue // no answer is no lie
			}
			answered++
			if a.body != strconv.Itoa(value) {
				past++
			}
		}
		old.Ready()
	}
	return answered, past
}

// TestLinearizableReads reads on an old leader that was stopped and continued:
// no read may see the past.
func TestLinearizableReads(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	putFile(t, c.Client(0), "/memfs/register", "0")
	answered, past := pastReads(t, c, rounds(1000, 20_000))
	t.Logf("%d linearizable reads on a stopped and continued leader: %d saw the past", answered, past)
	if past > 0 {
		t.Errorf("%d of %d linearizable reads saw the past", past, answered)
	}
}

// TestMinority holds a node without a quorum to its answers: linearizable
// reads and writes get 503 in time, local reads go on.
func TestMinority(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	putFile(t, c.Client(0), "/memfs/f", "here")
	one := c.Nodes[0]
	if !harness.Poll(10*time.Second, func() bool { _, b, err := get(one, "/memfs/f", "local", time.Second); return err == nil && b == "here" }) {
		t.Fatal("the write did not reach the node")
	}
	c.Nodes[1].Kill()
	c.Nodes[2].Kill()
	from := time.Now()
	status, body, err := get(one, "/memfs/f", "linearizable", 30*time.Second)
	took := time.Since(from)
	if err != nil || status != http.StatusServiceUnavailable || took > 12*time.Second {
		t.Errorf("linearizable read: %d %q after %v (%v); want 503 within 5 s", status, body, took, err)
	}
	var e struct{ Error, Code string }
	if json.Unmarshal([]byte(body), &e) != nil || e.Code != "unavailable" {
		t.Errorf("the 503 says %q", body)
	}
	if status, body, err := get(one, "/memfs/f", "local", 30*time.Second); err != nil || status != 200 || body != "here" {
		t.Errorf("local read: %d %q %v", status, body, err)
	}
	from = time.Now()
	_, err = one.Client().WriteFile(context.Background(), "/memfs/f", []byte("new"))
	if took := time.Since(from); err == nil || took > 20*time.Second {
		t.Errorf("a write without a quorum: %v after %v; want an error within 10 s", err, took)
	}
	t.Logf("a minority answers 503 after %v", took.Round(time.Millisecond))
}
