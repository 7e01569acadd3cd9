package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/vfs"
)

var errNoLeader = vfs.Unavailable.With("no leader")

// badInputs are inputs that must do no harm, by their numbers in the catalogue
// of bad inputs (names, files, queues, JSON). Where the compatible contract
// asks for another answer than the catalogue, it wins.
var badInputs = []row{
	{n: 29, req: "GET /files?path=../../etc/passwd", status: 404, text: "read: /etc/passwd: not found"},
	{n: 29, req: "GET /stat?path=/memfs/../../memfs/README", status: 200, has: `"name":"README"`},
	{n: 30, req: "GET /files?path=/memfs/%2e%2e%2f%2e%2e%2fetc", status: 404, text: "read: /etc: not found"},
	{n: 30, req: "PUT /files?path=/memfs/%252e%252e x", status: 200, changes: true},
	{n: 30, req: "GET /files?path=/memfs/..%5c..%5cetc", status: 400, has: "backslash"},
	{n: 30, req: "PUT /files?path=/memfs/%EF%BC%8E%EF%BC%8E x", status: 200, changes: true},
	{n: 31, req: "PUT /files?path=/memfs/a%00b x", status: 400, has: "control character"},
	{n: 31, req: "PUT /files?path=/memfs/a%01b x", status: 400},
	{n: 31, req: "PUT /files?path=/memfs/a%1fb x", status: 400},
	{n: 31, req: "POST /mkdir?path=/memfs/a%7fb", status: 400},
	{n: 31, req: `POST /rename?path=/memfs/README {"newPath":"/memfs/a\u0000b"}`, status: 400},
	{n: 31, req: "GET /files?path=/memfs/a%zz", status: 400, text: "malformed escape in query"},
	{n: 32, req: "PUT /files?path=/memfs/%ff%fe x", status: 400, has: "UTF-8"},
	{n: 32, req: "PUT /files?path=/memfs/%c0%af x", status: 400},
	{n: 32, req: "PUT /files?path=/memfs/%ed%a0%80 x", status: 400},
	{n: 33, setup: []string{"PUT /files?path=/memfs/%C3%A9 1", "PUT /files?path=/memfs/e%CC%81 2"}, req: "GET /files?path=/memfs/%C3%A9", status: 200, has: "1"},
	{n: 34, req: "PUT /files?path=/memfs/a%0Ab x", status: 400},
	{n: 34, req: "PUT /files?path=/memfs/%E2%80%AEgpj.exe x", status: 200, changes: true},
	{n: 35, req: "GET /stat?path=", status: 400, text: "path parameter is required"},
	{n: 35, req: "GET /stat?path=//memfs//README", status: 200, has: `"name":"README"`},
	{n: 35, req: "GET /stat?path=/./", status: 200, has: `"Type":"root"`},
	{n: 36, req: "PUT /files?path=/memfs/" + strings.Repeat("n", 256) + " x", status: 400, has: "name too long"},
	{n: 36, req: "PUT /files?path=/memfs" + strings.Repeat("/"+strings.Repeat("n", 200), 21) + " x", status: 400, has: "path too long"},
	{n: 36, req: "GET /stat?path=" + strings.Repeat("/d", 257), status: 400, has: "path too deep"},
	{n: 37, req: "GET /files?path=/memfs/README&path=/memfs/secret", status: 400, text: "parameter given twice: path"},
	{n: 37, req: "DELETE /files?recursive=false&path=/memfs/README&%72ecursive=true", status: 400},
	{n: 39, req: "GET /files?path=/memfs2/README", status: 404, text: "read: /memfs2/README: not found"},
	{n: 40, req: `POST /mount {"fstype":"memfs","path":"/memfs/"}`, status: 409, text: "mount already exists: /memfs"},
	{n: 40, req: `POST /mount {"fstype":"memfs","path":"/"}`, status: 403},
	{n: 40, req: `POST /mount {"fstype":"memfs","path":"/memfs/below"}`, status: 200, changes: true},
	{n: 45, req: "GET /directories?path=/memfs&cursor=AAAAAAAAAAAAAAAA", status: 400, text: "invalid cursor"},
	{n: 45, req: "GET /directories?path=/memfs&cursor=%00", status: 400},
	{n: 45, req: "GET /directories?path=/memfs&cursor=", status: 200, has: "README"}, // the first page
	{n: 45, req: "GET /directories?path=/memfs&cursor=&after=A", status: 200, has: "README"},
	{n: 45, req: "GET /directories?path=/memfs&limit=0", status: 400},
	{n: 46, req: "PUT /files?path=/memfs/f&offset=-1 x", status: 400, text: "invalid offset: negative"},
	{n: 46, req: "PUT /files?path=/memfs/f&offset=1e9 x", status: 400, text: "invalid offset parameter"},
	{n: 46, req: "PUT /files?path=/memfs/f&offset=0x1 x", status: 400},
	{n: 46, req: "PUT /files?path=/memfs/f&offset= x", status: 400},
	{n: 46, req: "PUT /files?path=/memfs/f&offset=9223372036854775808 x", status: 400},
	{n: 46, req: "PUT /files?path=/memfs/f&offset=9223372036854775807 x", status: 413},
	{n: 46, req: "GET /files?path=/memfs/README&offset=", status: 400},
	{n: 47, req: "PUT /files?path=/memfs/f&offset=1099511627776 x", status: 200, changes: true},
	{n: 48, setup: []string{"PUT /files?path=/memfs/f abc"}, req: "GET /files?path=/memfs/f&size=-1", status: 200, has: "abc"},
	{n: 48, setup: []string{"PUT /files?path=/memfs/f abc"}, req: "GET /files?path=/memfs/f&offset=1&size=4611686018427387904", status: 200, has: "bc"},
	{n: 49, setup: []string{"PUT /files?path=/memfs/f x"}, req: "POST /truncate?path=/memfs/f&size=4611686018427387904", status: 413},
	{n: 52, setup: []string{"PUT /files?path=/memfs/f x"}, req: `POST /rename?path=/memfs/f {"newPath":"/memfs/f"}`, status: 200, changes: true},
	{n: 52, setup: []string{"POST /mkdir?path=/memfs/d", "POST /mkdir?path=/memfs/e", "PUT /files?path=/memfs/e/f x"}, req: `POST /rename?path=/memfs/d {"newPath":"/memfs/e"}`, status: 409},
	{n: 53, req: "DELETE /files?path=/&recursive=true", status: 403},
	{n: 53, req: "DELETE /directories?path=/", status: 403},
	{n: 55, setup: []string{`POST /symlink?path=/memfs/l {"target":"l"}`}, req: "GET /directories?path=/memfs/l", status: 400, has: "too many levels of symbolic links"},
	{n: 55, setup: []string{`POST /symlink?path=/memfs/l {"target":"../../../../etc"}`}, req: "GET /directories?path=/memfs/l", status: 404},
	{n: 56, req: `POST /chmod?path=/memfs/README {"mode":2097151}`, status: 400, text: "invalid mode"},
	{n: 56, req: `POST /chmod?path=/memfs/README {"mode":-1}`, status: 400, text: "invalid request body"},
	{n: 56, req: `POST /chmod?path=/memfs/README {"mode":"rwx"}`, status: 400, text: "invalid request body"},
	{n: 57, req: "POST /mkdir?path=/memfs/README/d", status: 400, has: "not a directory"},
	{n: 58, req: "PUT /files?path=/ x", status: 400, has: "is a directory"},
	{n: 58, req: "PUT /files?path=/memfs x", status: 400, has: "is a directory"},
	{n: 59, maxBody: 4, req: "PUT /files?path=/memfs/f", status: 200, has: "Written 0 bytes", changes: true},
	{n: 59, maxBody: 4, req: "PUT /files?path=/memfs/f abcd", status: 200, has: "Written 4 bytes", changes: true},
	{n: 59, maxBody: 4, req: "PUT /files?path=/memfs/f abcde", status: 413},
	{n: 60, req: "PUT /handles/99999999/write x", status: 404, text: "not found"},
	{n: 60, req: "GET /handles/-5/read", status: 404, text: "not found"},
	{n: 60, req: "GET /handles/9223372036854775807", status: 404, text: "not found"},
	{n: 62, setup: []string{"PUT /files?path=/memfs/f " + strings.Repeat("a", 30000) + "!"}, req: `POST /grep {"path":"/memfs/f","pattern":"(a+)+$"}`, status: 200},
	{n: 62, req: `POST /grep {"path":"/memfs","pattern":"` + strings.Repeat("a", 1025) + `","recursive":true}`, status: 400, has: "longer than 1024 bytes"},
	{n: 62, req: `POST /grep {"path":"/memfs","pattern":"(?=x)","recursive":true}`, status: 400, has: "invalid regex pattern"},
	{n: 62, req: `POST /grep {"path":"/memfs","pattern":"(((a{100}){100}){100})","recursive":true}`, status: 400},
	{n: 63, req: `POST /digest {"algorithm":"md2","path":"/memfs/README"}`, status: 400, text: "unsupported algorithm: md2 (supported: xxh3, md5)"},
	{n: 68, req: "GET /files?path=/memfs/README&consistency=banana", status: 400, text: "consistency must be local or linearizable"},
	{n: 68, req: "GET /files?path=/memfs/README&min_index=99999999999&timeout=50ms", status: 504, has: `"code":"timeout"`},
	{n: 68, req: "GET /files?path=/memfs/README&min_index=-1", status: 400},
	{n: 68, req: "GET /files?path=/memfs/README&timeout=-3s", status: 400},
	{n: 69, setup: []string{"POST /mkdir?path=/q/jobs"}, req: "GET /files?path=/q/jobs/dequeue&offset=0", status: 400},
	{n: 69, setup: []string{"POST /mkdir?path=/q/jobs", "PUT /files?path=/q/jobs/enqueue m"}, req: "GET /files?path=/q/jobs/dequeue&stream=true", status: 404},
	{n: 71, req: "POST /handles/open?path=/memfs/README&lease=0", status: 400},
	{n: 71, req: "POST /handles/open?path=/memfs/README&lease=-1", status: 400},
	{n: 71, req: "POST /handles/open?path=/memfs/README&lease=315360000", status: 400},
	{n: 73, setup: []string{"POST /mkdir?path=/q/jobs"}, req: "PUT /files?path=/q/jobs/enqueue", status: 200, changes: true},
	{n: 73, setup: []string{"POST /mkdir?path=/q/jobs"}, req: "PUT /files?path=/q/jobs/enqueue a\x00b\xff", status: 200, changes: true},
	{n: 75, req: "PUT /files?path=/kv/keys/.. x", status: 400},
	{n: 75, req: "PUT /files?path=/kv/keys/" + strings.Repeat("k", 4096) + " x", status: 400},
	{n: 79, req: `POST /rename?path=/memfs/README {"newPath":`, status: 400, text: "invalid request body"},
	{n: 79, req: `POST /rename?path=/memfs/README {"newPath":5}`, status: 400, text: "invalid request body"},
	{n: 79, req: `POST /rename?path=/memfs/README`, status: 400, text: "invalid request body"},
	{n: 79, req: `POST /digest {"algorithm":"md5","path":5}`, status: 400, has: "invalid request body: "},
	{n: 79, req: `POST /chmod?path=/memfs/README {"mode":1e400}`, status: 400},
	{n: 79, req: `POST /mount {"fstype":"memfs","path":"/x","config":` + strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10002), status: 400},
	{n: 81, req: `POST /mount {"fstype":"../../evil","path":"/x"}`, status: 400, has: "unknown filesystem type"},
	{n: 92, refuse: errNoLeader, req: `POST /mount {"fstype":"memfs","path":"/x"}`, status: 503, text: "no leader"},
}

func TestBadInputs(t *testing.T) {
	for i, r := range badInputs {
		t.Run(fmt.Sprintf("%02d/%d", r.n, i), func(t *testing.T) {
			r.test(t)
		})
	}
}

// wire is a request as bytes. HOST in it is the server's address.
type wire struct {
	n       int
	raw     string
	status  string // of the first answer; "" when the server just closes
	once    bool   // there must be one answer only, and then the end
	maxBody int64
}

var put = "PUT /api/v1/files?path=/memfs/evil HTTP/1.1\r\nHost: HOST\r\n"

// badWire are requests that no sane client sends, by their numbers.
var badWire = []wire{
	{n: 1, raw: put + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", status: "400", once: true},
	{n: 1, raw: put + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", status: "400", once: true},
	{n: 2, raw: put + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nDELETE /api/v1/files?path=/memfs/README HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "400", once: true},
	{n: 2, raw: put + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "400", once: true},
	{n: 3, raw: put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", status: "400", once: true},
	{n: 3, raw: put + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", status: "400", once: true},
	{n: 3, raw: put + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", status: "400", once: true},
	{n: 3, raw: put + "Transfer-Encoding: identity\r\n\r\nhello", status: "400", once: true},
	{n: 4, raw: "PUT /api/v1/files?path=/memfs/evil HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: -1\r\n\r\nhello", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: +5\r\n\r\nhello", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: 0x10\r\n\r\nhello", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: 1e3\r\n\r\nhello", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: 99999999999999999999\r\n\r\nhello", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: 9223372036854775808\r\n\r\nhello", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: 18446744073709551621\r\n\r\nhello", status: "400", once: true},
	{n: 5, raw: put + "Content-Length: \r\n\r\nhello", status: "400", once: true},
	{n: 6, raw: put + "Content-Length: 33\r\n\r\n", status: "413", once: true, maxBody: 32},
	{n: 7, raw: put + "Transfer-Encoding: chunked\r\n\r\n20\r\n" + strings.Repeat("x", 32) + "\r\n1\r\nx\r\n", status: "413", once: true, maxBody: 32},
	{n: 8, raw: put + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", status: "400", once: true},
	{n: 8, raw: put + "Transfer-Encoding: chunked\r\n\r\n11111111111111111111\r\nhello\r\n0\r\n\r\n", status: "400", once: true},
	{n: 8, raw: put + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", status: "400", once: true},
	{n: 8, raw: put + "Transfer-Encoding: chunked\r\n\r\n5;x\nhello\r\n0\r\n\r\n", status: "400", once: true},
	{n: 8, raw: put + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n", status: "400", once: true},
	{n: 9, raw: put + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n", status: "400", once: true},
	{n: 9, raw: put + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nAuthorization: x\r\n\r\n", status: "400", once: true},
	{n: 10, raw: "GET / HTTP/1.1\r\n\r\n", status: "400", once: true},
	{n: 10, raw: "GET / HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n", status: "400", once: true},
	{n: 10, raw: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", status: "400", once: true},
	{n: 10, raw: "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", status: "400", once: true},
	{n: 11, raw: "GET / HTTP/1.1\r\nHost: HOST\r\nX-A : b\r\n\r\n", status: "400", once: true},
	{n: 11, raw: "GET / HTTP/1.1\r\nHost: HOST\r\nX-A: a\x00b\r\n\r\n", status: "400", once: true},
	{n: 11, raw: "GET / HTTP/1.1\r\nHost: HOST\r\nX-A: a\rb\r\n\r\n", status: "400", once: true},
	{n: 11, raw: "GET / HTTP/1.1\r\nHost: HOST\r\nX-A: a\r\n b\r\n\r\n", status: "400", once: true},
	{n: 11, raw: "GET / HTTP/1.1\r\nHost: HOST\nX-A: b\r\n\r\n", status: "400", once: true},
	{n: 12, raw: "GET / HTTP/1.1\r\nHost: HOST\r\nX-A: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", status: "431", once: true},
	{n: 12, raw: "GET / HTTP/1.1\r\nHost: HOST\r\n" + strings.Repeat("X-A: b\r\n", 300) + "\r\n", status: "431", once: true},
	{n: 13, raw: "GET /?" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "414", once: true},
	{n: 13, raw: "GET /?" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "414", once: true},
	{n: 14, raw: "GET / HTTP/9.9\r\nHost: HOST\r\n\r\n", status: "505", once: true},
	{n: 14, raw: "GET / HTTP/0.9\r\nHost: HOST\r\n\r\n", status: "505", once: true},
	{n: 14, raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: "505", once: true},
	{n: 14, raw: "GET / HTTX/1.1\r\nHost: HOST\r\n\r\n", status: "505", once: true},
	{n: 15, raw: "PRI / HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "405", once: true},
	{n: 15, raw: "TRACE / HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "405", once: true},
	{n: 15, raw: "CONNECT example.org:80 HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "405", once: true},
	{n: 15, raw: "G(T / HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "400", once: true},
	{n: 15, raw: strings.Repeat("M", 4<<10) + " / HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "405", once: true},
	{n: 16, raw: "GET http://evil.example/api/v1/health HTTP/1.1\r\nHost: HOST\r\n\r\n", status: "400", once: true},
	{n: 16, raw: "GET http://HOST/api/v1/health HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", status: "200"},
	{n: 22, raw: put + "Content-Length: 33\r\nExpect: 100-continue\r\n\r\n", status: "413", once: true, maxBody: 32},
	{n: 22, raw: put + "Content-Length: 3\r\nExpect: the-worst\r\n\r\nabc", status: "417", once: true},
	{n: 23, raw: put + "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", status: "415", once: true},
	{n: 25, raw: put + "Content-Length: 10\r\n\r\nabc", status: "400", once: true},
	{n: 25, raw: put + "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", status: "400", once: true},
	{n: 26, raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 64) + "\r\n\r\n", status: "400", once: true},
	{n: 28, raw: "GET /api/v1/version HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAccept-Encoding: *;q=" + strings.Repeat("1", 8<<10) + "\r\n\r\n", status: "200"},
}

func TestBadWire(t *testing.T) {
	for i, w := range badWire {
		t.Run(fmt.Sprintf("%02d/%d", w.n, i), func(t *testing.T) {
			s := startWith(t, api.Config{MaxBody: w.maxBody})
			before := s.Digest(t)
			end := strings.HasPrefix(w.raw, put) && w.n == 25
			out := s.Raw(t, 30*time.Second, end, strings.ReplaceAll(w.raw, "HOST", s.Addr))
			head, body, _ := strings.Cut(out, "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 "+w.status+" ") {
				t.Fatalf("answer %q, want %s", out, w.status)
			}
			if n := strings.Count(out, "HTTP/1.1 "); w.once && n != 1 {
				t.Errorf("%d answers: %q", n, out)
			}
			if w.once && (!strings.Contains(head, "Connection: close") || !strings.Contains(head, "application/json") ||
				!strings.HasPrefix(body, `{"error":"`) || !strings.Contains(body, `"request_id":`)) {
				t.Errorf("not a closing error in JSON: %q", out)
			}
			if s.Digest(t) != before {
				t.Error("the state has changed")
			}
			if a := s.Do(t, "GET", "/api/v1/health", ""); a.Status != 200 {
				t.Errorf("server is not well: %d", a.Status)
			}
		})
	}
}
