package prochost

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// listener is a program in Python that speaks HTTP as programs of the framework
// do, and may do it worse. body changes it.
func listener(body string) []byte {
	return []byte(`#!/usr/bin/env python3
import sys, json, os, socket, base64, time, socketserver, http.server
from urllib.parse import urlparse, parse_qs
CAPS = {"types": {"fileSystem": [{"type": "p"}]}}
cfg = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
PATH = "/tmp/%s-plugin.socket" % cfg.get("id")
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def address_string(self): return "-"
    def say(self, status, body, kind="application/json"):
        self.send_response(status); self.send_header("Content-Type", kind); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def route(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        u = urlparse(self.path); self.q = {k: v[0] for k, v in parse_qs(u.query).items()}
        self.at = self.q.get("path") or (json.loads(self.body) if self.body[:1] == b"{" else {}).get("path")
        if u.path == "/healthz": return self.health()
        if u.path == "/shutdown": os._exit(1)
        self.files(u.path)
    do_GET = do_POST = do_PUT = route
    def health(self): self.say(200, b"")
    def files(self, path):
        if path.endswith("/stat"):
            if self.at == "/": return self.say(200, b'{"isDir":true}')
            if self.at == "/f": return self.say(200, b'{"size":5}')
            return self.say(404, b"nothing here", "text/plain")
        if path.endswith("/list"): return self.list()
        if path.endswith("/read"): return self.read()
        self.say(404, b"404 page not found", "text/plain")
    def list(self): self.say(200, b'{"name":"f","size":5}\n')
    def read(self):
        off, n = int(self.q["off"]), int(self.q["len"])
        self.say(200, b"hello"[off:off+n], "application/octet-stream")
class U(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): daemon_threads = True
def serve():
    s = U(PATH, H)
    open(PATH + ".lock", "w").write(str(os.getpid()))
    print("http+unix://" + PATH, flush=True)
    s.serve_forever()
` + body + `
if sys.argv[1] == "capabilities":
    print(json.dumps(CAPS)); sys.exit(0)
serve()
`)
}

// listens starts a mount of a listener.
func listens(t testing.TB, body string, lib vfs.Library, config vfs.Config) (*FS, *log) {
	t.Helper()
	f, l, err := mounted(t, HTTP, listener(body), lib, config)
	if err != nil {
		t.Fatal(err)
	}
	return f, l
}

// leftBehind returns the sockets and locks that this process has to answer for.
func leftBehind(t testing.TB) []string {
	t.Helper()
	left, err := filepath.Glob(fmt.Sprintf("%s/pfs-%d-*%s*", socketDir, os.Getpid(), socketEnd))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// What a program tells of itself is understood in all shapes in which it is sent or
// written about.
func TestCapabilities(t *testing.T) {
	schema := `{"type":"object","properties":{"n":{"type":"integer","default":3,"description":"how many"}},"required":["n"]}`
	quoted, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]string{
		"base64": `"` + base64.StdEncoding.EncodeToString([]byte(schema)) + `"`, "a text": string(quoted), "an object": schema,
	} {
		o, err := readOffer([]byte(`{"types":{"other":[{"type":"x"}],"fileSystem":[{"type":"p","jsonSchema":` + c + `,"verbs":["write","remove"]}]},"configTypes":["c"],"new":1}`))
		if err != nil || o.contract != contractFiles || o.name != "p" || o.configs[0] != "c" || !o.verbs.Has(vfs.RemoveAll) || o.verbs.Has(vfs.Mkdir) {
			t.Errorf("%s: %+v, %v", name, o, err)
			continue
		}
		if p := o.params; len(p) != 1 || p[0].Name != "n" || p[0].Type != "int" || !p[0].Required || p[0].Default != "3" {
			t.Errorf("%s: %+v", name, p)
		}
		if err := o.vet(map[string]any{"n": 5}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, bad := range []map[string]any{{}, {"n": "five"}, {"n": 1.5}} {
			if err := o.vet(bad); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "n") || strings.Contains(err.Error(), "file://") {
				t.Errorf("%s: %v: %v", name, bad, err)
			}
		}
	}
	o, err := readOffer([]byte(`{"types":{"dataProcessor":[{"type":"simple-text-processor","jsonSchema":""}]}}`))
	if err != nil || o.contract != contractProcessor || o.vet(nil) != nil {
		t.Errorf("%+v, %v", o, err)
	}
	for in, want := range map[string]string{
		`{"types":{"transformer":[{"type":"x"}]}}`:                                             "transformer",
		`{"capabilities":[{"type":"inputRepository"}]}`:                                        "another framework",
		`{"types":{"fileSystem":[{"type":"p","verbs":["fly"]}]}}`:                              "fly",
		`{"types":{"fileSystem":[{"type":"p","jsonSchema":{"$ref":"file:///etc/passwd"}}]}}`:   "may not refer",
		`{"types":{"fileSystem":[{"type":"p","jsonSchema":{"$ref":"http://127.0.0.1:1/x"}}]}}`: "may not refer",
		`{"types":{"fileSystem":[{"type":"p","jsonSchema":{"type":7}}]}}`:                      "schema",
		`{"types":{"fileSystem":[{"type":"p","jsonSchema":"no schema"}]}}`:                     "schema",
		`{"types":[]}`: "capabilities", `Usage: x [-h]`: "capabilities",
	} {
		if _, err := readOffer([]byte(in)); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
	for name, c := range map[string]struct{ body, want string }{
		"endless": {"sys.stdout.write('x' * (2 << 20)); sys.exit(0)", "bytes of its capabilities"},
		"exit":    {"sys.exit(1)", "says nothing"},
	} {
		if _, err := New("", nil, nil).Inspect(t.Context(), listener(c.body), vfs.Limits{}, vfs.Grants{}); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where a program listens is read in all forms; what is not on this machine is
// refused.
func TestAddress(t *testing.T) {
	for line, want := range map[string]string{
		"http+unix:///tmp/a-plugin.socket": "unix /tmp/a-plugin.socket", "unix:///tmp/a": "unix /tmp/a", "/tmp/a": "unix /tmp/a",
		"[::]:43207": "tcp 127.0.0.1:43207", "0.0.0.0:1": "tcp 127.0.0.1:1", ":1": "tcp 127.0.0.1:1", "http://localhost:7/": "tcp 127.0.0.1:7",
		"http://127.0.0.1:8": "tcp 127.0.0.1:8", "[::1]:9": "tcp 127.0.0.1:9",
		"8.8.8.8:1": "permission", "http://evil.example:1": "permission", "listening": "invalid", "": "invalid", "unix://a": "invalid",
		"http+unix:///" + strings.Repeat("x", 107): "invalid",
	} {
		network, where, err := address(line)
		got := network + " " + where
		if err != nil {
			got = vfs.KindOf(err).Code()
		}
		if got != want {
			t.Errorf("%q: %s, expected %s", line, got, want)
		}
	}
}

// The life of a program is that of the framework: it is killed and starts again, it
// closes the connection when it is told to stop, exits with 1 and leaves its lock,
// and nothing of that is left.
func TestLife(t *testing.T) {
	f, l := listens(t, "", vfs.Library{}, nil)
	if got, err := readAll(f, "/f", 9); got != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if left := leftBehind(t); len(left) != 2 {
		t.Errorf("there are %v", left)
	}
	if err := f.get(t.Context(), func(_ context.Context, b backend) error { return syscall.Kill(b.(httpFS).child.Pid(), syscall.SIGKILL) }); err != nil {
		t.Fatal(err)
	}
	soon(t, "it runs again", func() bool { got, err := readAll(f, "/f", 9); return got == "hello" && err == nil })
	soon(t, "that is told", func() bool { return strings.Contains(l.String(), "plugin runs again") })
	if left := leftBehind(t); len(left) != 2 {
		t.Errorf("there are %v", left)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if left := leftBehind(t); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	if _, err := f.Stat(t.Context(), nil, "/f"); vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
}

// Settings go along in the spelling that programs read; one that reads what is
// written about them gets that.
func TestSpellings(t *testing.T) {
	check := "if sys.argv[1] != 'capabilities':\n    c = cfg['configTypes'][0]\n    assert cfg['type'] == 'unix' and c['type'] == 'p' and len(PATH) < 108\n"
	for name, body := range map[string]string{
		"code":  check + "    assert cfg['idleTimeout'] == 3600 * 10**9 and json.loads(base64.b64decode(c['data'])) == {'a': 'b'}\n",
		"pages": check + "    assert cfg['idleTimeout'] == '1h0m0s' and c['data'] == {'a': 'b'}\n",
	} {
		f, _ := listens(t, body, vfs.Library{}, vfs.Config{"a": "b"})
		if _, err := f.Stat(t.Context(), nil, "/f"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Programs that do not start say why, and what listens in their place is not
// called.
func TestNoStart(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", mine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for name, c := range map[string]struct {
		body, want string
		kind       vfs.Kind
	}{
		"exit":        {"def serve(): print('{\"level\":\"ERROR\",\"msg\":\"no luck\"}', file=sys.stderr); sys.exit(1)", "no luck", vfs.Invalid},
		"no line":     {"def serve(): sys.stdout.write('x' * 9000); sys.stdout.flush(); time.sleep(1000)", "ended", vfs.Invalid},
		"text":        {"def serve(): print('listening...', flush=True); time.sleep(1000)", "not where it listens", vfs.Invalid},
		"another one": {"def serve(): print('unix://" + mine + "', flush=True); time.sleep(1000)", "not the plugin", vfs.Crashed},
		"a port":      {"def serve(): print('[::]:4711', flush=True); time.sleep(1000)", "not granted the network", vfs.Invalid},
		"far away":    {"def serve(): print('10.0.0.1:80', flush=True); time.sleep(1000)", "not on this machine", vfs.Permission},
		"not healthy": {"H.health = lambda s: s.say(500, b'')", "not healthy", vfs.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib := vfs.Library{}
			_, _, err := mounted(t, HTTP, listener(c.body), lib, nil)
			if vfs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v; expected %s", vfs.KindOf(err).Code(), err, c.want)
			}
		})
	}
}

// A port is used once the network is granted.
func TestPort(t *testing.T) {
	f, _ := listens(t, `
class T(socketserver.ThreadingMixIn, socketserver.TCPServer): daemon_threads = True
def serve():
    s = T(("127.0.0.1", 0), H)
    print("[::]:%d" % s.server_address[1], flush=True)
    s.serve_forever()
`, vfs.Library{Grants: vfs.Grants{Network: true}}, nil)
	if got, err := readAll(f, "/f", 9); got != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// Answers that are none fail the call alone.
func TestHostileHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		do, want string
		kind     vfs.Kind
	}{
		"too much":         {`self.say(200, b"x" * (int(self.q["len"]) + 1))`, "more than", vfs.Crashed},
		"without an end":   {"\n    self.send_response(200); self.end_headers()\n    while True: self.wfile.write(b'x' * 65536)", "more than", vfs.Crashed},
		"a byte at times":  {"\n    self.send_response(200); self.send_header('Content-Length', '5'); self.end_headers()\n    for c in b'hello': self.wfile.write(bytes([c])); time.sleep(3)", "in time", vfs.Timeout},
		"silence":          {`time.sleep(1000)`, "in time", vfs.Timeout},
		"garbage":          {`self.wfile.write(b"\x00\x01\x02 garbage\r\n\r\n"); self.close_connection = True`, "as a server does", vfs.Crashed},
		"a huge header":    {`self.send_response(200); self.send_header("X", "x" * 200000); self.end_headers()`, "as a server does", vfs.Crashed},
		"half of it":       {`self.send_response(200); self.send_header("Content-Length", "5"); self.end_headers(); self.wfile.write(b"he"); self.close_connection = True`, "as a server does", vfs.Crashed},
		"somewhere else":   {`self.send_response(302); self.send_header("Location", "http://169.254.169.254/"); self.send_header("Content-Length", "0"); self.end_headers()`, "", vfs.Internal},
		"exit":             {`print("good bye", file=sys.stderr, flush=True); os._exit(7)`, "good bye", vfs.Crashed},
		"a text":           {`self.say(403, b"you may not", "text/plain")`, "you may not", vfs.Permission},
		"an object":        {`self.say(500, b'{"message":"panic recovered","statusCode":500}')`, "panic recovered", vfs.Internal},
		"a code":           {`self.say(400, b'{"code":"is_dir","message":"that one"}')`, "that one", vfs.IsDirectory},
		"an endless error": {`self.say(500, b"e" * 10000000, "text/plain")`, "eee", vfs.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := listens(t, "def bad(self):\n    pass; "+c.do+"\nH.read = bad\n", vfs.Library{Limits: vfs.Limits{Call: 5 * time.Second}}, nil)
			got, err := readAll(f, "/f", 5)
			if vfs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 5000 {
				t.Errorf("%q, %.300v", got, err)
			}
			soon(t, "the next call is answered", func() bool { _, err := f.Stat(t.Context(), nil, "/f"); return err == nil })
		})
	}
}

// A whole file goes in one request, of any length, if the program takes that; what a
// client sends slowly or breaks off does not reach it.
func TestWholeFile(t *testing.T) {
	body := `
CAPS["types"]["fileSystem"][0]["verbs"] = ["write", "create"%s]
seen, kept = [], {}
def files(self, path):
    if path.endswith("/stat"):
        if self.at == "/": return self.say(200, b'{"isDir":true}')
        if self.at in kept: return self.say(200, b'{"size":%%d}' %% len(kept[self.at]))
        return self.say(404, b"")
    if path.endswith("/read") and self.at == "/seen": return self.say(200, "\n".join(seen).encode())
    seen.append("%%s %%s %%s %%s %%d" %% (path, self.q.get("off"), self.q.get("mode"), self.q.get("flags"), len(self.body)))
    if self.at == "/less": return self.say(200, b'{"bytes":1}')
    if self.at == "/more": return self.say(200, b'{"bytes":1000000000000}')
    if self.at == "/full": return self.say(507, b'{"code":"no_space","message":"it is full"}')
    kept[self.at] = self.body
    self.say(200, b'{"bytes":%%d}' %% len(self.body))
H.files = files
`
	verbs := vfs.Library{Verbs: vfs.Verbs(vfs.Write, vfs.Create)}
	f, _ := listens(t, fmt.Sprintf(body, `, "put"`), verbs, nil)
	put := func(p vfs.Path, r io.Reader) (int64, error) {
		res, err := f.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Mode: 0o600, Flag: vfs.FlagCreate | vfs.FlagTruncate}, r)
		return res.N, err
	}
	const long = 20 << 20 // more than any other body has
	if n, err := put("/f", io.LimitReader(zeroes{}, long)); n != long || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := put("/empty", strings.NewReader("")); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	cut := errors.New("the client is gone")
	if _, err := put("/cut", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(cut))); !errors.Is(err, cut) {
		t.Error(err)
	}
	for p, want := range map[vfs.Path]vfs.Kind{"/less": vfs.NoSpace, "/more": vfs.Crashed, "/full": vfs.NoSpace} {
		if _, err := put(p, strings.NewReader("some")); vfs.KindOf(err) != want {
			t.Errorf("%s: %v", p, err)
		}
	}
	got, err := readAll(f, "/seen", 4096)
	if want := fmt.Sprintf("/v1/fs/put 0 600 create,truncate %d\n/v1/fs/put 0 600 create,truncate 0", long); !strings.HasPrefix(got, want) || strings.Contains(got, "cut") || strings.Count(got, "\n") != 4 || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	without, _ := listens(t, fmt.Sprintf(body, ""), verbs, nil)
	if _, err := without.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/f"}, iotest.ErrReader(cut)); vfs.KindOf(err) != vfs.Unsupported {
		t.Errorf("a program that does not say so: %v", err)
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Listings are checked, too; pages are put together.
func TestListings(t *testing.T) {
	for name, c := range map[string]struct{ list, want string }{
		"pages":           {`self.say(200, b'{"name":"c"}\n{"name":"a"}\n{"next":"c"}\n' if json.loads(self.body)["after"] == "" else b'{"name":"d","is_dir":true,"mod_time":"2020-01-02T03:04:05Z"}')`, "a c d"},
		"no pages":        {`self.say(200, b"")`, ""},
		"pages in a ring": {`self.say(200, b'{"next":"a"}')`, "do not go on"},
		"twice":           {`self.say(200, b'{"name":"a"}{"name":"a"}')`, "twice"},
		"a path":          {`self.say(200, b'{"name":"../../etc"}')`, "names a file"},
		"a zero":          {`self.say(200, b'{"name":"a\\u0000"}')`, "names a file"},
		"a negative size": {`self.say(200, b'{"name":"a","size":-1}')`, "out of range"},
		"a million":       {`self.say(200, b"".join(b'{"name":"%d"}' % i for i in range(200000)))`, "more than"},
		"a list":          {`self.say(200, b'[{"name":"a"}]')`, "no JSON"},
		"17 MiB":          {`self.say(200, b'{"name":"a"}' + b" " * (17 << 20))`, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := listens(t, "def bad(self): "+c.list+"\nH.list = bad\n", vfs.Library{}, nil)
			list, err := f.List(t.Context(), nil, "/", "", 0)
			var names []string
			for _, i := range list {
				names = append(names, i.Name)
			}
			got := strings.Join(names, " ")
			if err != nil {
				if got = err.Error(); vfs.KindOf(err) != vfs.Crashed || !strings.Contains(got, c.want) {
					t.Error(err)
				}
			} else if got != c.want {
				t.Errorf("%q", got)
			}
		})
	}
}

// One that never answers is ended after a few calls, and is there again.
func TestDeafHTTP(t *testing.T) {
	f, l := listens(t, "first = H.files\ndef deaf(self, path):\n    if path.endswith('/read'): time.sleep(1000)\n    first(self, path)\nH.files = deaf\n", vfs.Library{Limits: vfs.Limits{Call: 2 * time.Second}}, nil)
	var wg sync.WaitGroup
	for range mostSilent + 4 {
		wg.Go(func() { _, _ = readAll(f, "/f", 5) })
	}
	wg.Wait()
	soon(t, "it is ended", func() bool { return strings.Contains(l.String(), errLate.Error()) })
	soon(t, "it is there again", func() bool { _, err := f.Stat(t.Context(), nil, "/f"); return err == nil })
}

// One that nobody calls is stopped, and started by the next call.
func TestIdle(t *testing.T) {
	f, l := listens(t, "", vfs.Library{Limits: vfs.Limits{Idle: time.Second}}, nil)
	for range 2 {
		if _, err := f.Stat(t.Context(), nil, "/f"); err != nil {
			t.Fatal(err)
		}
		soon(t, "it is stopped", func() bool { return len(leftBehind(t)) == 0 })
	}
	if strings.Contains(l.String(), "plugin ended") {
		t.Error(l)
	}
}

// A processor is mounted as files.
func TestProcessor(t *testing.T) {
	code := program(t, "upper")
	lib, err := New("", nil, nil).Inspect(t.Context(), code, vfs.Limits{}, vfs.Grants{})
	if err != nil || lib.Name != "upper" || lib.Kind != HTTP {
		t.Fatalf("%+v, %v", lib, err)
	}
	f, _, err := mounted(t, HTTP, code, lib, vfs.Config{"format": "text", "config": map[string]any{"repeat": "twice"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := mounted(t, HTTP, code, lib, vfs.Config{"colour": "red"}); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "colour") {
		t.Error(err)
	}
	op := vfs.Op{Verb: vfs.Write, Path: "/in", Flag: vfs.FlagCreate | vfs.FlagTruncate}
	put := func(p vfs.Path, text string) error {
		op.Path = p
		_, err := f.Put(t.Context(), op, strings.NewReader(text))
		return err
	}
	for p, text := range map[vfs.Path]string{"/in": "one", "/process/x": "two"} {
		if err := put(p, text); err != nil {
			t.Error(err)
		}
	}
	for p, want := range map[vfs.Path]string{"/out": "ONEONE", "/process/x": "TWOTWO", "/formats": "text/plain\ntext\n"} {
		if got, err := readAll(f, p, 100); got != want || err != nil {
			t.Errorf("%s: %q, %v", p, got, err)
		}
	}
	for p, k := range map[vfs.Path]vfs.Kind{"/out": vfs.Permission, "/formats": vfs.Permission, "/new": vfs.Permission, "/process": vfs.IsDirectory, "/process/a/b": vfs.Permission} {
		if err := put(p, "x"); vfs.KindOf(err) != k {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := put("/in", strings.Repeat("x", maxData+1)); vfs.KindOf(err) != vfs.TooLarge {
		t.Error(err)
	}
	if list, err := f.List(t.Context(), nil, "/process", "", 0); err != nil || len(list) != 1 || list[0].Size != 6 || list[0].Meta.Content["operation"] != "uppercase" || list[0].Meta.Content["bytes"] != "3" {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: "/process/x"}); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat(t.Context(), nil, "/process/x"); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
	if list, err := f.List(t.Context(), nil, "/", "", 0); err != nil || len(list) != 4 {
		t.Error(list, err)
	}
	full := 0
	for n := range maxResults + 5 {
		if err := put(vfs.Path(fmt.Sprintf("/process/%d", n)), "x"); vfs.KindOf(err) == vfs.NoSpace {
			full++
		}
	}
	if full != 6 { // /out is one of them
		t.Errorf("%d were refused", full)
	}
}
