package wasmhost

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// fetch has the guest make a request, and returns the answer as it stands in its
// memory.
func (f *FS) fetch(t *testing.T, ask string) (out webAnswer, text string) {
	t.Helper()
	if err := f.with(t.Context(), func(c *call) error {
		at, err := c.str(ask)
		if err != nil {
			return err
		}
		low, high, err := c.run("ask", at)
		if err != nil {
			return err
		}
		b, err := c.bytes(low, high)
		text = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v in %.100q", err, text)
	}
	return out, text
}

// site is a server that counts its requests.
type site struct {
	*httptest.Server
	asked atomic.Int64
	host  string // with its port
	port  string
}

func newSite(t *testing.T, start func(http.Handler) *httptest.Server, answer http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port = u.Host, u.Port()
	return s
}

func fetcher(t *testing.T, grants ...string) *FS {
	t.Helper()
	g := through()
	g.pages = 300
	return granted(t, g.bytes(), nil, nil, vfs.Grants{HTTP: grants})
}

// A request goes out as the module says, and its answer comes back as the SDKs
// look for it.
func TestHTTP(t *testing.T) {
	s := newSite(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(202)
		fmt.Fprintf(w, "%s %s %s %q", r.Method, r.URL, r.Header.Get("X-Ask"), b)
	})
	f := fetcher(t, s.host)
	for ask, want := range map[string]string{
		`{"url":"URL/a?b=c"}`: `GET /a?b=c  ""`,
		`{"method":"POST","url":"URL","headers":{"X-Ask":"me"},"body":[104,105]}`: `POST / me "hi"`,
		`{"method":"PUT","url":"URL","body":"aGk="}`:                              `PUT /  "hi"`,
		`{"method":"GET","url":"URL","body":null,"timeout":30}`:                   `GET /  ""`,
	} {
		out, text := f.fetch(t, strings.ReplaceAll(ask, "URL", s.URL))
		if out.Status != 202 || string(out.Body) != want || out.Headers["X-Answer"] != "yes" {
			t.Errorf("%s: %s", ask, text)
		}
		if !strings.HasPrefix(text, `{"status_code":202,"headers":{`) || !strings.Contains(text, `"body":"`) || strings.Contains(text, "error") {
			t.Errorf("the SDKs do not find %s", text)
		}
	}
}

// Everything that is not granted is refused with its reason, and nothing is sent.
func TestHTTPRefused(t *testing.T) {
	s := newSite(t, httptest.NewServer, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct{ grant, ask, text string }{
		{"", `{"url":"URL"}`, "no grant for HTTP requests"},
		{"example.com", `{"url":"URL"}`, "no grant for GET"},
		{"HOST", `{"url":"http://127.0.0.1:1/"}`, "no grant"},
		{"https://HOST", `{"url":"URL"}`, "no grant"},
		{"GET,HEAD HOST", `{"url":"URL","method":"POST"}`, "no grant for POST"},
		{"HOST", `{"url":"URL","method":"get"}`, "no grant"},
		{"HOST", `{"url":"URL","method":"CONNECT"}`, "no grant"},
		{"HOST", `{"url":"URL","method":"A B"}`, "no sound method"},
		{"HOST", `{"url":"file:///etc/passwd"}`, "no grant"},
		{"HOST", `{"url":"unix:///run/x.sock"}`, "no grant"},
		{"HOST", `{"url":"http://[::1"}`, "no sound"},
		{"HOST", `{"url":""}`, "no grant"},
		{"HOST", `{"url":7}`, "no JSON"},
		{"HOST", `?`, "no JSON"},
		{"HOST", `{"url":"URL","headers":{"X":"a\r\nb"}}`, "invalid header"},
		{"HOST", `{"url":"URL","headers":{"X":"` + strings.Repeat("x", maxHeaders) + `"}}`, "headers of a request"},
		{"HOST", `{"url":"URL","body":[` + strings.Repeat("1,", maxRequest) + `1]}`, "body of a request"},
		{"HOST", `{"url":"URL` + strings.Repeat("x", maxAsked) + `"}`, "more than"},
		{"localhost:PORT", `{"url":"http://localhost:PORT/"}`, "granted as an address only"},
		{"169.254.169.253:80", `{"url":"http://169.254.169.254/latest/meta-data"}`, "no grant"},
	} {
		in := strings.NewReplacer("URL", s.URL, "HOST", s.host, "PORT", s.port)
		var grants []string
		if c.grant != "" {
			grants = []string{in.Replace(c.grant)}
		}
		if out, text := fetcher(t, grants...).fetch(t, in.Replace(c.ask)); out.Status != 0 || !strings.Contains(out.Error, c.text) {
			t.Errorf("%s, granted %q: %.200s, expected %s", c.ask[:min(80, len(c.ask))], c.grant, text, c.text)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("%d requests went out", n)
	}
	both := fetcher(t, "localhost:"+s.port, s.host, "[::1]:"+s.port)
	if out, text := both.fetch(t, `{"url":"http://localhost:`+s.port+`/"}`); out.Status != 200 {
		t.Errorf("a name with its address: %s", text)
	}
}

// Redirects are followed as far as the grant goes.
func TestHTTPRedirects(t *testing.T) {
	other := newSite(t, httptest.NewServer, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "there") })
	var to atomic.Value
	s := newSite(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			fmt.Fprint(w, "here")
			return
		}
		http.Redirect(w, r, to.Load().(string), http.StatusFound)
	})
	for _, c := range []struct {
		grants   []string
		to, want string
	}{
		{[]string{s.host}, "/end", "here"},
		{[]string{s.host}, other.URL, "no grant for GET"},
		{[]string{s.host, other.host}, other.URL, "there"},
		{[]string{s.host, "POST " + other.host}, other.URL, "no grant for GET"},
		{[]string{s.host}, "http://169.254.169.254/", "no grant for GET"},
		{[]string{s.host}, "file:///etc/passwd", "no grant for GET"},
		{[]string{s.host}, "/again", "redirects"},
	} {
		to.Store(c.to)
		before := other.asked.Load()
		out, text := fetcher(t, c.grants...).fetch(t, `{"url":"`+s.URL+`/"}`)
		if string(out.Body) != c.want && !strings.Contains(out.Error, c.want) {
			t.Errorf("%v to %s: %s", c.grants, c.to, text)
		}
		if out.Error != "" && other.asked.Load() != before {
			t.Errorf("%v to %s: it was sent on", c.grants, c.to)
		}
	}
}

// What does not end or is too long is cut off, and a call makes so many requests.
func TestHTTPBounded(t *testing.T) {
	hang := make(chan struct{})
	s := newSite(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			for b := make([]byte, 1<<20); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		case "/headers":
			w.Header().Set("X", strings.Repeat("x", 10*maxHeaders))
		case "/silent":
			<-hang
		case "/slow":
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-hang
		case "/cut":
			w.Header().Set("Content-Length", "100")
		}
	})
	defer close(hang)
	f := fetcher(t, s.host)
	for path, text := range map[string]string{
		"/long": "more than", "/headers": "the request failed", "/silent": "in time", "/slow": "in time", "/cut": "the request failed",
	} {
		patience := "4" // less than the call has, and more than what ends by itself takes
		if text == "in time" {
			patience = "0.2"
		}
		if out, got := f.fetch(t, `{"timeout":`+patience+`,"url":"`+s.URL+path+`"}`); path != "/long" && !strings.Contains(out.Error, text) ||
			path == "/long" && !strings.Contains(out.Error, text) && !strings.Contains(out.Error, "in time") {
			t.Errorf("%s: %.200s", path, got)
		}
	}
	before, last := s.asked.Load(), ""
	if err := f.with(t.Context(), func(c *call) error {
		for range 3 * maxRequests {
			at, err := c.str(`{"url":"` + s.URL + `"}`)
			if err != nil {
				return err
			}
			low, high, err := c.run("ask", at)
			if err != nil {
				return err
			}
			b, err := c.bytes(low, high)
			if last = string(b); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := s.asked.Load() - before; n != maxRequests || !strings.Contains(last, "20 HTTP requests") {
		t.Errorf("%d requests of one call, then %s", n, last)
	}
}

// A request ends with the call that makes it.
func TestHTTPDeadline(t *testing.T) {
	hang := make(chan struct{})
	s := newSite(t, httptest.NewServer, func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	module := through().bytes()
	lib := vfs.Library{Name: "p", Place: vfs.Pinned, Limits: vfs.Limits{Call: time.Second}, Grants: vfs.Grants{HTTP: []string{s.host}}}
	p := newHost(t).Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return module, nil })
	f := mounted(t, p, vfs.Env{Log: newHost(t).log, Mount: "/own"}, nil)
	err := f.with(t.Context(), func(c *call) error { return c.asks("ask", `{"url":"`+s.URL+`"}`) })
	if vfs.KindOf(err) != vfs.Timeout {
		t.Errorf("%v", err)
	}
	if err := f.soon(t); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// A granted server over TLS must show that it is it.
func TestHTTPTLS(t *testing.T) {
	s := newSite(t, httptest.NewTLSServer, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "sealed") })
	f := fetcher(t, "https://"+s.host)
	if out, text := f.fetch(t, `{"url":"`+s.URL+`"}`); !strings.Contains(out.Error, "certificate") {
		t.Errorf("a certificate of nobody: %s", text)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	f.pool.p.web.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if out, text := f.fetch(t, `{"url":"`+s.URL+`"}`); string(out.Body) != "sealed" {
		t.Errorf("%s", text)
	}
}

// No address is connected to that is not of the public Internet, but for those
// that are granted by themselves.
func TestHTTPAddresses(t *testing.T) {
	w, err := newWeb([]string{"example.com", "10.0.0.7:8080"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"93.184.216.34:80": true, "[2606:2800:220:1::1]:443": true, "10.0.0.7:8080": true, "[::ffff:10.0.0.7]:8080": true,
		"10.0.0.7:80": false, "10.0.0.8:8080": false, "127.0.0.1:80": false, "127.9.9.9:80": false, "[::1]:80": false,
		"0.0.0.0:80": false, "[::]:80": false, "169.254.169.254:80": false, "[fe80::1%eth0]:80": false, "[fd00:ec2::254]:80": false,
		"192.168.1.1:80": false, "172.16.0.1:80": false, "100.64.0.1:80": false, "168.63.129.16:80": false, "224.0.0.1:80": false, "255.255.255.255:80": false,
		"[::ffff:127.0.0.1]:80": false, "[64:ff9b::7f00:1]:80": false, "[2002:7f00:1::]:80": false, "[ff02::1]:80": false,
		"198.18.0.1:80": false, "240.0.0.1:80": false, "[::7f00:1]:80": false, "/run/x.sock": false, "": false,
	} {
		if err := w.control("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	if !public(netip.MustParseAddr("1.1.1.1")) {
		t.Error("1.1.1.1 is not public")
	}
}

// The environment sends no request through a proxy, and a socket is no server.
func TestHTTPWays(t *testing.T) {
	s := newSite(t, httptest.NewServer, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "direct") })
	proxy := newSite(t, httptest.NewServer, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	f := fetcher(t, "1.2.3.4", s.host)
	if out, text := f.fetch(t, `{"url":"`+s.URL+`"}`); string(out.Body) != "direct" {
		t.Error(text)
	}
	if f.pool.p.web.transport.Proxy != nil {
		t.Error("requests go through a proxy")
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, u := range []string{"unix://" + socket, "http+unix://" + url.QueryEscape(socket) + "/", "http://" + url.QueryEscape(socket) + "/"} {
		if out, text := f.fetch(t, `{"url":"`+u+`"}`); out.Error == "" {
			t.Errorf("%s: %s", u, text)
		}
	}
}
