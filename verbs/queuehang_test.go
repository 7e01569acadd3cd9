package verbs_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

// A node that hangs has a part of the lease to answer: the message is acked by
// another before its lease is over.
func TestQueueWorkPastAHangingNode(t *testing.T) {
	s := serve(t)
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var hung atomic.Int32
	over := make(chan struct{})
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Query().Get("path"), "/ack") {
			hung.Add(1)
			<-over
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer bad.Close()
	defer close(over)
	pfs.Must(t, "", "queue", "put", "/queuefs/q", "job")
	clitest.TalkTo(t, bad.URL+","+s.URL)
	r := pfs.Run(t, "", "queue", "work", "/queuefs/q", "--max", "1", "--lease", "6s", "--exec", "true")
	if r.Code != 0 || !strings.HasSuffix(r.Stderr, "1 done, 0 failed\n") || hung.Load() != 1 {
		t.Errorf("%d %q; %d asked the node that hangs", r.Code, r.Stderr, hung.Load())
	}
	clitest.TalkTo(t, s.URL)
	if got := pfs.Must(t, "", "cat", "/queuefs/q/stats.json"); !strings.Contains(got, `"acked_total":1`) {
		t.Error(got)
	}
}
