package prochost

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// dummy behaves as the published example of the protocol does, with all of its faults,
// and ends if it is sent what that example does not survive or understand.
const dummy = `
class D(Server):
    inits, kept, dirs, open_, last = 0, {"/a": b"one"}, {"/", "/d"}, {}, 0
    def fault(self, what):
        print("FAULT " + what, file=sys.stderr, flush=True); os._exit(9)
    def answer(self, method, d):
        if method == "Plugin.Init":
            D.inits += 1
            if D.inits > 1: self.fault("a second Init")
            return {"Drives": ["Dummy"]}
        if not D.inits: self.fault("a call before Init")
        want = {"VFS.ReadDir": {"Drive", "Path"}, "VFS.Stat": {"Drive", "Path"}, "VFS.Open": {"Drive", "Path"}, "VFS.Create": {"Drive", "Path"},
                "VFS.ReadAt": {"ID", "Len", "Off"}, "VFS.Write": {"ID", "Data"}, "VFS.CloseFile": {"ID"}, "VFS.MkDir": {"Drive", "Path"},
                "VFS.Remove": {"Drive", "Path"}, "VFS.Rename": {"Drive", "Old", "New"}}
        if method not in want: raise LookupError('method "%s" not found' % method)
        if set(d) != want[method]: self.fault("%s with %s" % (method, sorted(d)))
        if method in ("VFS.ReadDir", "VFS.Stat"):
            for v in d.values():
                if not isinstance(v, str): self.fault("no text in " + method)
        for k in ("Path", "Old", "New"):
            p = d.get(k, "/")
            if not p.startswith("/") or "//" in p or "/." in p or len(p) > 1 and p.endswith("/"): self.fault("the path " + p)
        p = d.get("Path")
        if method == "VFS.Stat":
            if p == "/": self.fault("Stat of the root")
            if p in self.dirs: return {"Name": "wrong", "IsDir": True}
            if p in self.kept: return {"Name": p, "Size": len(self.kept[p])}
            raise LookupError("not found")
        if method == "VFS.ReadDir": # of what is not there, too
            at = p.rstrip("/") + "/"
            return [{"Name": n[len(at):], "IsDir": n in self.dirs} for n in [*self.dirs, *self.kept] if n.startswith(at) and n != "/" and "/" not in n[len(at):]] or None
        if method == "VFS.Open":
            if p not in self.kept: raise LookupError("not a file")
            D.last += 1; self.open_[D.last] = p
            return {"ID": D.last, "Size": len(self.kept[p])}
        if method == "VFS.Create":
            D.last += 1; self.open_[D.last] = p; self.kept[p] = b""
            return {"ID": D.last, "Size": 0}
        if method == "VFS.ReadAt":
            f = self.open_.get(d["ID"])
            if f is None: raise LookupError("bad handle")
            if d["Off"] < 0 or d["Len"] < 0 or f not in self.kept: self.fault("a read of what is not there")
            if d["Off"] >= len(self.kept[f]): raise LookupError("EOF")
            return self.kept[f][d["Off"]:d["Off"] + d["Len"]]
        if method == "VFS.Write":
            f = self.open_.get(d["ID"])
            if f is None: raise LookupError("bad handle")
            if f not in self.kept: self.fault("a write to what is not there")
            self.kept[f] += d["Data"] if isinstance(d["Data"], bytes) else d["Data"].encode()
            return None
        if method == "VFS.CloseFile": self.open_.pop(d["ID"], None)
        if method == "VFS.MkDir": self.dirs.add(p)
        if method == "VFS.Remove": # of a directory it leaves what is below, of nothing it succeeds
            if any(n.startswith(p + "/") for n in [*self.dirs, *self.kept]): self.fault("Remove of a directory with files")
            self.dirs.discard(p); self.kept.pop(p, None)
            if p in self.open_.values(): self.fault("Remove of an open file")
        if method == "VFS.Rename":
            old, new = d["Old"], d["New"]
            if any(n.startswith(old + "/") for n in [*self.dirs, *self.kept]): self.fault("Rename of a directory with files")
            if old in self.open_.values(): self.fault("Rename of an open file")
            if old in self.kept: self.kept[new] = self.kept.pop(old)
            elif old in self.dirs: self.dirs.discard(old); self.dirs.add(new)
        return None
S = D
`

// The faults of the published example are not seen through a mount, and it is never
// sent what it does not survive.
func TestDummy(t *testing.T) {
	f, l := speaks(t, dummy, vfs.Limits{})
	do := func(want vfs.Kind, op vfs.Op) {
		t.Helper()
		if _, err := f.Do(t.Context(), op); vfs.KindOf(err) != want {
			t.Errorf("%v %s: %v, expected %s", op.Verb, op.Path, err, want.Code())
		}
	}
	reads := func(p vfs.Path, want string) {
		t.Helper()
		if got, err := readAll(f, p, 100); got != want || err != nil {
			t.Errorf("%s: %q, %v", p, got, err)
		}
	}
	replace := vfs.FlagCreate | vfs.FlagTruncate
	reads("/a", "one")
	do(vfs.NotFound, vfs.Op{Verb: vfs.Remove, Path: "/none"})
	do(vfs.NotFound, vfs.Op{Verb: vfs.Rename, Path: "/none", To: "/x"})
	do(vfs.NotFound, vfs.Op{Verb: vfs.Write, Path: "/none", Data: []byte("x")})
	do(vfs.NotFound, vfs.Op{Verb: vfs.Mkdir, Path: "/none/d"})
	do(vfs.Exists, vfs.Op{Verb: vfs.Mkdir, Path: "/d"})
	do(0, vfs.Op{Verb: vfs.Write, Path: "/d/f", Data: []byte("0123456789"), Flag: replace})
	do(0, vfs.Op{Verb: vfs.Write, Path: "/d/f", Data: []byte("xy"), Off: 3})
	do(0, vfs.Op{Verb: vfs.Write, Path: "/d/f", Data: []byte("!"), Off: vfs.AtEnd})
	reads("/d/f", "012xy56789!")
	do(0, vfs.Op{Verb: vfs.Truncate, Path: "/d/f", Off: 4})
	reads("/d/f", "012x")
	do(vfs.NotEmpty, vfs.Op{Verb: vfs.Remove, Path: "/d"})
	do(0, vfs.Op{Verb: vfs.Rename, Path: "/d/f", To: "/d/g"})
	do(0, vfs.Op{Verb: vfs.Rename, Path: "/a", To: "/d/g"}) // takes its place
	reads("/d/g", "one")
	if _, err := f.List(t.Context(), nil, "/none", "", 0); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
	if _, err := readAll(f, "/none", 5); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
	if _, err := readAll(f, "/d", 5); vfs.KindOf(err) != vfs.IsDirectory {
		t.Error(err)
	}
	if _, err := f.ReadAt(t.Context(), nil, "/d/g", make([]byte, 4), -1); vfs.KindOf(err) != vfs.Invalid {
		t.Error(err)
	}
	if n, err := f.ReadAt(t.Context(), nil, "/d/g", make([]byte, 4), 1000); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	do(0, vfs.Op{Verb: vfs.Mkdir, Path: "/d/e"})
	do(0, vfs.Op{Verb: vfs.Write, Path: "/d/e/f", Data: []byte("deep"), Flag: replace})
	do(0, vfs.Op{Verb: vfs.RemoveAll, Path: "/d"})
	if list, err := f.List(t.Context(), nil, "/", "", 0); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	do(0, vfs.Op{Verb: vfs.Mkdir, Path: "/d"})
	if list, err := f.List(t.Context(), nil, "/d", "", 0); err != nil || len(list) != 0 {
		t.Errorf("what was below comes back: %v, %v", list, err)
	}
	if got := l.String(); strings.Contains(got, "FAULT") || strings.Contains(got, "plugin ended") {
		t.Error(got)
	}
}

// Envelopes of other shapes, messages of other kinds and answers that nobody waits for
// are passed over.
func TestEnvelopes(t *testing.T) {
	f, l := speaks(t, `
class E(Server):
    def send(self, m):
        if m.get("t") == 1:
            for stray in ({"t": 5, "i": 1}, {"t": 1, "i": 4000000000, "d": "late"}, {"t": 1, "i": m["i"] + 1000, "e": "not yours"}, {"x": 1}, {}):
                os.write(raw, packed(stray))
            m = {"z": [1, {"y": None}], **dict(reversed(m.items())), "new": "field"}
        for b in packed(m): os.write(raw, bytes([b])) # in as many pieces as there are bytes
S = E
`, vfs.Limits{})
	if got, err := readAll(f, "/f", 9); got != "hello" || err != nil {
		t.Errorf("%q, %v; %s", got, err, l)
	}
}

// What a program calls itself is no part of a path, and one that closes its standard
// output, or is healthy in another way than with 200, is taken as what it is.
func TestHTTPTraps(t *testing.T) {
	for _, name := range []string{"../tmp/esc/x", "/etc/passwd", strings.Repeat("long", 50), "a b\x00\n", "ÄÖ", ""} {
		id := pluginID(name)
		if !regexp.MustCompile(`^pfs-[0-9]+-[a-z0-9_-]+-[a-z0-9]+$`).MatchString(id) || len(id) > 88 || id == pluginID(name) {
			t.Errorf("%q: the id %q", name, id)
		}
	}
	f, _ := listens(t, "def serve():\n    s = U(PATH, H)\n    print('http+unix://' + PATH, flush=True)\n    os.close(1)\n    s.serve_forever()\n", vfs.Library{}, nil)
	if got, err := readAll(f, "/f", 9); got != "hello" || err != nil {
		t.Errorf("without a standard output: %q, %v", got, err)
	}
	f, _ = listens(t, "def serve():\n    s = U(PATH, H)\n    print('http+unix://' + PATH, flush=True)\n    import threading\n    threading.Thread(target=lambda: [sys.stdout.write('x' * 9000) for _ in iter(int, 1)], daemon=True).start()\n    s.serve_forever()\n", vfs.Library{}, nil)
	if got, err := readAll(f, "/f", 9); got != "hello" || err != nil {
		t.Errorf("with a flood on its standard output: %q, %v", got, err)
	}
	_, _, err := mounted(t, HTTP, listener("n = []\ndef health(s):\n    n.append(1); s.say(200 if len(n) > 3 else 204, b'')\nH.health = health\n"), vfs.Library{}, nil)
	if err != nil {
		t.Errorf("healthy in the end: %v", err)
	}
}

// A processor that answers no data has an empty result; one that answers no base64
// has none.
func TestProcessorAnswers(t *testing.T) {
	body := `
CAPS["types"] = {"dataProcessor": [{"type": "p"}]}
def files(self, path):
    if path == "/formats": return self.say(200, b'{"formats":null}')
    %s
H.files = files
`
	for answer, want := range map[string]vfs.Kind{
		`self.say(200, b'{}')`: 0, `self.say(200, b'{"data":null,"new":1}')`: 0, `self.say(200, b'{"data":""}')`: 0,
		`self.say(200, b'{"data":"no base64!"}')`: vfs.Crashed, `self.say(200, b'text')`: vfs.Crashed, `self.say(200, b'')`: vfs.Crashed,
		`self.say(400, b'Invalid request body\n', "text/plain")`: vfs.Invalid,
	} {
		f, _ := listens(t, strings.Replace(body, "%s", answer, 1), vfs.Library{Limits: vfs.Limits{Call: 5 * time.Second}, Verbs: processorVerbs}, nil)
		_, err := f.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/in", Flag: vfs.FlagTruncate}, strings.NewReader("some"))
		if vfs.KindOf(err) != want {
			t.Errorf("%s: %v, expected %s", answer, err, want.Code())
		}
		if got, err := readAll(f, "/out", 10); want == 0 && (got != "" || err != nil) {
			t.Errorf("%s: %q, %v", answer, got, err)
		}
	}
}
