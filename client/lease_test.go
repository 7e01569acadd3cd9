package client

import (
	"net/http"
	"testing"
	"time"
)

// refusing fails the test at each request.
type refusing struct{ t *testing.T }

// RoundTrip implements http.RoundTripper.
func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	r.t.Errorf("%s %s", req.Method, req.URL)
	return nil, http.ErrHandlerTimeout
}

// An extension that has hold of the lease, and could not be given up yet when somebody
// came to settle it, is not sent: its node may hang.
func TestNoExtensionWhileSomebodySettles(t *testing.T) {
	c, err := New(Config{URLs: []string{"n1"}, HTTP: &http.Client{Transport: refusing{t}}})
	if err != nil {
		t.Fatal(err)
	}
	w := &work{c: c, ctx: t.Context(), queue: "/q", o: WorkOptions{Lease: time.Minute}}
	j := &Job{work: w, ctx: t.Context(), end: func(error) { t.Error("the lease is lost") }, until: time.Now().Add(time.Minute)}
	j.wanted.Add(1) // as hold does, before it waits
	j.extend(t.Context())
	if j.giveUp.Load() == nil {
		t.Error("it had no hold of the lease")
	}
}
