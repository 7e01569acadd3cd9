package test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/ports"
)

// shop is one node that serves /memfs/site as web pages.
type shop struct {
	web
	port int
}

func openShop(t *testing.T) *shop {
	c := harness.Start(t, harness.Options{Nodes: 1})
	s := &shop{web: newWeb(t, c.Nodes[0]), port: freePort(t)}
	for _, dir := range []string{"/memfs/site", "/memfs/site/deep"} {
		s.want(201, "POST", "/directories?path="+dir, "")
	}
	for name, content := range map[string]string{
		"/a.txt": "0123456789", "/page.html": "<script>document.title='ran'</script>", "/README.md": "# Wares\n\n<script>x</script>\n\n**all** of them",
		"/deep/b.json": `{"b":1}`, "/<img src=x onerror=alert(1)>": "x", "/javascript:alert(1)": "x", "/sp ace#?%": "odd",
	} {
		s.put("/memfs/site"+url.PathEscape(name), content)
	}
	s.mount()
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	port := netip.MustParseAddrPort(ports.Free(t, 1)[0]).Port()
	return int(port)
}

func (s *shop) mount() {
	s.t.Helper()
	s.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":"httpfs","path":"/web","config":{"pfs_path":"/memfs/site","http_port":%d}}`, s.port))
	s.opens()
}

// opens waits until the web server is there.
func (s *shop) opens() {
	s.t.Helper()
	if !harness.Poll(30*time.Second, s.listens) {
		s.t.Fatalf("nobody listens on port %d", s.port)
	}
}

func (s *shop) listens() bool {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err == nil {
		c.Close()
	}
	return err == nil
}

// visit asks the web server; header is name, value and so on.
func (s *shop) visit(method, path string, header ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r) // no redirects
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(b)
}

func TestHTTPFS(t *testing.T) {
	s := openShop(t)
	for _, c := range []struct {
		name, method, path string
		header             []string
		status             int
		want               string // in the body
		has                string // a header and a part of its value
	}{
		{"listing", "GET", "/", nil, 200, `href="/deep/"`, "Content-Type: text/html"},
		{"readme", "GET", "/", nil, 200, "<strong>all</strong>", "Content-Security-Policy: default-src 'none'"},
		{"escaped name", "GET", "/", nil, 200, `&lt;img src=x onerror=alert(1)&gt;`, ""},
		{"escaped link", "GET", "/", nil, 200, `href="/javascript:alert%281%29"`, ""},
		{"file", "GET", "/a.txt", nil, 200, "0123456789", "Content-Type: text/plain"},
		{"type", "GET", "/deep/b.json", nil, 200, `{"b":1}`, "Content-Type: application/json"},
		{"odd name", "GET", "/sp%20ace%23%3F%25", nil, 200, "odd", "X-Content-Type-Options: nosniff"},
		{"range", "GET", "/a.txt", []string{"Range", "bytes=2-4"}, 206, "234", "Content-Range: bytes 2-4/10"},
		{"suffix", "GET", "/a.txt", []string{"Range", "bytes=-3"}, 206, "789", ""},
		{"bad range", "GET", "/a.txt", []string{"Range", "bytes=20-"}, 416, "", "Content-Range: bytes */10"},
		{"head", "HEAD", "/a.txt", nil, 200, "", "Content-Length: 10"},
		{"sandbox", "GET", "/page.html", nil, 200, "<script>", "Content-Security-Policy: sandbox"},
		{"no slash", "GET", "/deep", nil, 301, "", "Location: /deep/"},
		{"two slashes", "GET", "//deep", nil, 301, "", "Location: /deep/"},
		{"up", "GET", "/../../hellofs/hello", nil, 404, "", ""},
		{"missing", "GET", "/none", nil, 404, "there is no file /none", ""},
		{"change", "PUT", "/a.txt", nil, 405, "only shows", "Allow: GET, HEAD"},
		{"another name", "GET", "/", []string{"Host", "evil.example"}, 421, "", ""},
	} {
		resp, body := s.visit(c.method, c.path, c.header...)
		if resp.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d\n%s", c.name, resp.StatusCode, body)
		}
		if name, value, _ := strings.Cut(c.has, ": "); c.has != "" && !strings.Contains(resp.Header.Get(name), value) {
			t.Errorf("%s: %s is %q", c.name, name, resp.Header.Get(name))
		}
	}
	if _, body := s.visit("GET", "/"); strings.Contains(body, "<script") || strings.Contains(body, "<img") {
		t.Errorf("a script or a picture of somebody's:\n%s", body)
	}
	resp, _ := s.visit("GET", "/a.txt")
	if again, _ := s.visit("GET", "/a.txt", "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("unchanged: %d", again.StatusCode)
	}
	s.put("/memfs/site/a.txt", "new")
	if again, body := s.visit("GET", "/a.txt", "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != 200 || body != "new" {
		t.Errorf("changed: %d %s", again.StatusCode, body)
	}
}

func TestHTTPFSZip(t *testing.T) {
	s := openShop(t)
	resp, body := s.visit("GET", "/?zip")
	z, err := zip.NewReader(bytes.NewReader([]byte(body)), int64(len(body)))
	if err != nil || !strings.Contains(resp.Header.Get("Content-Disposition"), "site.zip") {
		t.Fatal(err, resp.Header)
	}
	f, err := z.Open("deep/b.json")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != `{"b":1}` || len(z.File) != 8 {
		t.Errorf("%s, %v, %d files", b, err, len(z.File))
	}
}

// TestHTTPFSStatus: the mount is a file that tells how the server fares; what is
// unmounted frees its port at once, and a port that is taken is told.
func TestHTTPFSStatus(t *testing.T) {
	s := openShop(t)
	body := s.want(200, "GET", "/files?path=/web", "").body
	for _, want := range []string{"HTTPFS Instance Status", "Virtual Path:    /web", "PFS Source Path: /memfs/site",
		fmt.Sprint("HTTP Port:       ", s.port), "Server Status:   Running", "Uptime:"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if a := s.want(200, "GET", "/directories?path=/", ""); !strings.Contains(a.body, `{"name":"web","size":0,"mode":292,`) {
		t.Errorf("a file is listed as a directory: %s", a.body)
	}
	second := fmt.Sprintf(`{"fstype":"httpfs","path":"/web2","config":{"agfs_path":"/memfs","port":"%d"}}`, s.port)
	if a := s.want(400, "POST", "/mount", second); !strings.Contains(a.body, fmt.Sprintf("port %d of 127.0.0.1 is in use", s.port)) {
		t.Errorf("two servers on one port: %s", a.body)
	}
	s.want(200, "POST", "/unmount", `{"path":"/web"}`)
	var a answer
	harness.Poll(10*time.Second, func() bool { // the first may take its moment to go
		var err error
		a, err = s.patient("POST", "/mount", second)
		return err == nil && a.status != 400
	})
	if a.status != 200 {
		t.Fatalf("the port is not free: %d %s", a.status, a.body)
	}
	s.opens()
	if _, body := s.visit("GET", "/"); !strings.Contains(body, "/site/") {
		t.Errorf("the second server shows %s", body)
	}
	s.want(200, "POST", "/unmount", `{"path":"/web2"}`)
	if !harness.Poll(20*time.Second, func() bool { return !s.listens() }) {
		t.Error("the port is not free")
	}
}

// TestHTTPFSConsumesNothing: what a read would take away is not read, by
// whatever method, nor by a zip.
func TestHTTPFSConsumesNothing(t *testing.T) {
	s := openShop(t)
	s.want(201, "POST", "/directories?path=/queuefs/jobs", "")
	s.want(200, "PUT", "/files?path=/queuefs/jobs/enqueue", "one")
	other := freePort(t)
	s.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":"httpfs","path":"/qweb","config":{"pfs_path":"/queuefs","http_port":%d}}`, other))
	s.port = other
	s.opens()
	for _, method := range []string{"GET", "HEAD"} {
		if resp, body := s.visit(method, "/jobs/dequeue"); resp.StatusCode != 403 {
			t.Errorf("%s: %d %s", method, resp.StatusCode, body)
		}
	}
	s.visit("GET", "/jobs/")
	s.visit("GET", "/?zip")
	if n := s.want(200, "GET", "/files?path=/queuefs/jobs/size", "").body; strings.TrimSpace(n) != "1" {
		t.Errorf("%s messages are left", n)
	}
}
