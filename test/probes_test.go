package test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// ask returns the status and the body of a GET.
func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A node that has lost its quorum is alive, so that nobody restarts it, and is
// not ready, so that nobody asks it.
func TestProbesWithoutQuorum(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	left := c.Nodes[0]
	var code int
	var body string
	if !harness.Poll(20*time.Second, func() bool { // a leader may just be elected
		code, body = ask(t, left.URL+"/readyz")
		return code == 200 && body == "ok\n"
	}) {
		t.Fatalf("readyz of a whole cluster: %d %s", code, body)
	}
	c.Nodes[1].Kill()
	c.Nodes[2].Kill()
	unready := harness.Poll(20*time.Second, func() bool {
		code, body = ask(t, left.URL+"/readyz")
		return code == 503 && strings.Contains(body, "no leader is known")
	})
	if !unready {
		t.Errorf("readyz without a quorum: %s", body)
	}
	for _, probe := range []string{"/livez", "/healthz"} {
		if code, body := ask(t, left.URL+probe); code != 200 || body != "ok\n" {
			t.Errorf("%s without a quorum: %d %s", probe, code, body)
		}
	}
	c.StartAll()
	c.Ready()
}
