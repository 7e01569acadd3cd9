package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// A change that cannot be repeated goes to the next node where one takes no
// connection, and only there.
func TestOnceFailover(t *testing.T) {
	dead := "http://" + ports.Free(t, 1)[0]
	s := &script{}
	live := s.serve(t, answer(200, written), answer(503, noLeader))
	c := dial(t, client.Config{URLs: []string{dead, live}})
	body := onlyReader{strings.NewReader("data")}
	if _, err := c.Write(t.Context(), "/f", body, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(t.Context(), "/f", onlyReader{strings.NewReader("more")}, -1); !errors.Is(err, client.ErrNoLeader) {
		t.Errorf("a body that was read: %v", err)
	}
	if _, err := c.Write(t.Context(), "/f", onlyReader{strings.NewReader("more")}, -1); !errors.Is(err, vfs.Unavailable) {
		t.Errorf("a body that was read: %v", err)
	}
	var bodies []string
	for _, r := range s.requests() {
		bodies = append(bodies, r.body)
	}
	if want := []string{"data", "more", "more"}; !slices.Equal(bodies, want) {
		t.Errorf("bodies %q, want %q", bodies, want)
	}
	w := dial(t, client.Config{URLs: []string{dead, live}}).NewWriter(t.Context(), "/f")
	if _, err := io.Copy(w, io.LimitReader(&zeros{}, 1<<20)); err == nil {
		err = w.Close()
		if !errors.Is(err, client.ErrNoLeader) {
			t.Errorf("a long write to a cluster without a leader: %v", err)
		}
	}
}

// Reads see what this client wrote, and what another process says.
func TestMinIndex(t *testing.T) {
	s := &script{}
	url := s.serve(t, answer(200, written, "X-Pfs-Index", "7"), answer(200, "{}"))
	c := dial(t, client.Config{URLs: []string{url, url}})
	if c.LastIndex() != 0 {
		t.Error("wrote before the first write")
	}
	if _, err := c.WriteFile(t.Context(), "/f", []byte("data")); err != nil || c.LastIndex() != 7 {
		t.Errorf("at %d, %v", c.LastIndex(), err)
	}
	ctx := client.WithMinIndex(t.Context(), 9)
	older := client.WithMinIndex(t.Context(), 3)
	for _, err := range []error{second2(c.Stat(t.Context(), "/f")), second2(c.Stat(ctx, "/f")), second2(c.Stat(older, "/f")),
		second2(c.FileDigest(ctx, "/f", "md5")), second2(dial(t, client.Config{URLs: []string{url}}).Stat(older, "/f"))} {
		if err != nil {
			t.Error(err)
		}
	}
	for i, want := range []string{"", "min_index=7", "min_index=9", "min_index=7", "min_index=9", "min_index=3"} {
		if r := s.requests()[i]; want != "" && !strings.Contains(r.target, want) {
			t.Errorf("request %d is %s, want %s", i, r.target, want)
		}
	}
}

// The token goes along with every request.
func TestToken(t *testing.T) {
	var got []string
	s := &script{}
	url := s.serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization")+" "+r.Header.Get("X-Other"))
		if len(got) > 2 {
			answer(401, `{"error":"no","code":"unauthenticated"}`, "X-Request-Id", "r1")(w, r)
			return
		}
		answer(200, written)(w, r)
	})
	h := http.Header{"X-Other": {"o"}}
	c := dial(t, client.Config{URLs: []string{url}, Token: "s3cret", Header: h})
	if _, err := c.WriteFile(t.Context(), "/f", nil); err != nil {
		t.Error(err)
	}
	if _, err := c.Stat(t.Context(), "/f"); err != nil {
		t.Error(err)
	}
	_, err := c.Stat(t.Context(), "/f")
	if !errors.Is(err, vfs.Unauthenticated) || client.RequestID(err) != "r1" || client.RequestID(io.EOF) != "" {
		t.Errorf("refused: %v, request %q", err, client.RequestID(err))
	}
	if err := c.Probe(client.WithHeader(t.Context(), http.Header{"X-Other": {"p"}}), "readyz"); !errors.Is(err, vfs.Unauthenticated) {
		t.Errorf("probe: %v", err)
	}
	if want := "Bearer s3cret o"; !slices.Equal(got, []string{want, want, want, "Bearer s3cret p"}) || len(h) != 1 {
		t.Errorf("sent %q, header %v", got, h)
	}
	for _, bad := range []string{"a b", "line\n", "ä"} {
		if _, err := client.New(client.Config{Token: bad}); !errors.Is(err, vfs.Invalid) || strings.Contains(err.Error(), bad) {
			t.Errorf("token %q: %v", bad, err)
		}
	}
}

// A Client that was given one node finds the others, asks the leader, and
// outlives the one it was given.
func TestDiscover(t *testing.T) {
	leader, other := &script{}, &script{}
	lead := leader.serve(t, answer(200, `{"name":"f"}`))
	var gone atomic.Bool
	var url string
	status := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case gone.Load():
			hangUp(w, r)
		case strings.Contains(r.URL.Path, "/cluster"):
			answer(200, fmt.Sprintf(`{"leader_id":"n2","nodes":[{"id":"n1","http_address":%q},{"id":"n2","http_address":%q},{"id":"n3","http_address":"nowhere:"}]}`, url, lead))(w, r)
		default:
			answer(200, `{"name":"f"}`)(w, r)
		}
	}
	url = other.serve(t, status)
	c := dial(t, client.Config{URLs: []string{url}, Discover: true})
	for range 2 {
		if _, err := c.Stat(t.Context(), "/f"); err != nil {
			t.Fatal(err)
		}
	}
	if len(leader.requests()) != 2 || len(other.requests()) != 1 {
		t.Errorf("the leader was asked %d times, the other %d times", len(leader.requests()), len(other.requests()))
	}
	plain := dial(t, client.Config{URLs: []string{url}})
	if _, err := plain.Stat(t.Context(), "/f"); err != nil || len(leader.requests()) != 2 {
		t.Errorf("one that was not told to look did: %v", err)
	}
	if err := plain.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	for range 3 {
		if _, err := plain.Stat(t.Context(), "/f"); err != nil {
			t.Error(err)
		}
	}
	if len(leader.requests()) != 5 {
		t.Errorf("the leader was asked %d times", len(leader.requests()))
	}
	if err := dial(t, client.Config{URLs: []string{url}, Retries: -1}).Discover(t.Context()); !errors.Is(err, vfs.Unavailable) {
		t.Errorf("nobody to ask: %v", err)
	}
	if _, err := dial(t, client.Config{URLs: []string{url, lead}, Discover: true}).Stat(t.Context(), "/f"); err != nil {
		t.Errorf("nobody to ask at first: %v", err)
	}
}

// Nodes that the cluster no longer names are not asked any more, but for those
// that were given.
func TestDiscoverForgets(t *testing.T) {
	var named atomic.Value
	named.Store(`{"id":"n2","http_address":"http://n2"},{"id":"n3","http_address":"http://n3"}`)
	var lead atomic.Value
	lead.Store("n2")
	f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
		if strings.Contains(r.URL.Path, "/cluster") {
			return 200, strings.NewReader(fmt.Sprintf(`{"leader_id":%q,"nodes":[%s]}`, lead.Load(), named.Load())), nil
		}
		return 503, strings.NewReader(noLeader), nil
	}}
	c, err := client.New(client.Config{URLs: []string{"n1"}, HTTP: &http.Client{Transport: f}, Backoff: time.Microsecond, Retries: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ nodes, lead, asked string }{
		{named.Load().(string), "n2", "n2 n3 n1 n2 n3 n1 n2 n3"},
		{`{"id":"n4","http_address":"http://n4"},{"id":"n3","http_address":"http://n3"}`, "", "n1 n4 n3 n1 n4 n3 n1 n4"},
	} {
		named.Store(x.nodes)
		lead.Store(x.lead)
		if err := c.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := len(f.seen)
		if _, err := c.Stat(t.Context(), "/f"); !errors.Is(err, client.ErrNoLeader) {
			t.Error(err)
		}
		var asked []string
		for _, s := range f.seen[before:] {
			host, _, _ := strings.Cut(strings.TrimPrefix(s, "GET "), "/")
			asked = append(asked, host)
		}
		if got := strings.Join(asked, " "); got != x.asked {
			t.Errorf("asked %s, want %s", got, x.asked)
		}
	}
}

// Of a cluster that was given by https no other nodes are taken, also while one that
// was given without is asked.
func TestDiscoverStaysWithHTTPS(t *testing.T) {
	f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
		switch cluster := strings.HasSuffix(r.URL.Path, "/cluster"); {
		case r.URL.Host == "b" && cluster:
			return 200, strings.NewReader(`{"nodes":[{"id":"c","http_address":"http://c"},{"id":"d","http_address":"https://d"}]}`), nil
		case r.URL.Host == "d":
			return 200, strings.NewReader(`{"name":"f"}`), nil
		}
		return 503, strings.NewReader(noLeader), nil
	}}
	c := f.dial(t, "https://a", "http://b")
	if err := c.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i, err := c.Stat(t.Context(), "/f"); err != nil || i.Name != "f" {
		t.Errorf("%+v, %v", i, err)
	}
	if f.count(" c/") != 0 || f.count(" d/") != 1 || f.count(" b/api/v1/stat") != 1 {
		t.Errorf("asked %q", f.seen)
	}
}
