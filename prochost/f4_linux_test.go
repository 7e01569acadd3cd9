package prochost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// speaker is a program in Python that may change how the example speaks.
func speaker(t testing.TB, body string) []byte {
	t.Helper()
	base := read(t, filepath.Join("..", "examples", "python-msgpack", "pfsplugin.py"))
	return []byte("#!/usr/bin/env python3\n" + string(base) + `
import os, threading, select
raw = os.dup(1)
def packed(v):
    out = bytearray(); pack(v, out); return bytes(out)
class P(WritablePlugin):
    name = "p"
    def stat(self, path):
        if path == "/d": return File("d", is_dir=True)
        if path == "/f": return File("f", 5)
        raise FileNotFoundError
    def list(self, path): return [File("f", 5), File("d", is_dir=True)] if path == "/" else []
    def read(self, path, off, size): return b"hello"[off:off+size]
    def create(self, path): pass
    def append(self, path, data): pass
class S(Server): methods = ()
def go():
    p = P(); s = S(p); p.server = s; s.loop()
` + body + "\ngo()\n")
}

// log is a log that can be read while it is written.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// mounted starts a mount of a program of a known kind.
func mounted(t testing.TB, kind string, code []byte, lib vfs.Library, config vfs.Config) (*FS, *log, error) {
	t.Helper()
	f, l := unclosed(t, kind, code, lib, config)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, l, f.Start(t.Context())
}

// unclosed is a mount that is not started, and that the test is to close.
func unclosed(t testing.TB, kind string, code []byte, lib vfs.Library, config vfs.Config) (*FS, *log) {
	t.Helper()
	l := &log{}
	h := New("1.2.3", nil, nil)
	lib.Name, lib.Kind, lib.Place = "p", kind, vfs.Pinned
	if lib.Verbs == 0 {
		lib.Verbs = vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Remove, vfs.RemoveAll, vfs.Rename)
	}
	fs, err := h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return code, nil }).
		New(vfs.Env{Log: slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "1.2.3", Mount: "/p"}, config)
	if err != nil {
		t.Fatal(err)
	}
	return fs.(*FS), l
}

// speaks starts a mount of a speaker.
func speaks(t testing.TB, body string, limits vfs.Limits) (*FS, *log) {
	t.Helper()
	f, l, err := mounted(t, MessagePack, speaker(t, body), vfs.Library{Limits: limits}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, l
}

func readAll(f *FS, p vfs.Path, n int) (string, error) {
	b := make([]byte, n)
	n, err := f.ReadAt(context.Background(), nil, p, b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(b[:n]), err
}

// soon waits for what takes a moment.
func soon(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in 30 s: " + what)
		}
	}
}

// again makes sure that the mount is there after what has happened to its process.
func (f *FS) again(t testing.TB) {
	t.Helper()
	var err error
	soon(t, "the next call is answered", func() bool {
		_, err = f.Stat(t.Context(), nil, "/d")
		return err == nil
	})
}

// What a process sends that is no message, or no answer, ends it: the call fails,
// and the mount is there again.
func TestHostileFrames(t *testing.T) {
	for name, c := range map[string]struct{ do, why string }{
		"text":            {`os.write(raw, b"Hello, world")`, "it is no map"},
		"a list":          {`os.write(raw, packed([1, 2]))`, "it is no map"},
		"garbage":         {`os.write(raw, b"\x83\xc1\xc1\xc1")`, "means nothing"},
		"4 GiB of bytes":  {`os.write(raw, b"\x81\xa1t\xc6\xff\xff\xff\xff")`, "too long"},
		"4G of a list":    {`os.write(raw, b"\x81\xa1t\xdd\xff\xff\xff\xff")`, "too long"},
		"too deep":        {`os.write(raw, b"\x91" * 100)`, "too deep"},
		"half of it":      {`os.write(raw, b"\x83\xa1t"); os._exit(3)`, "exit status 3"},
		"silence in it":   {`os.write(raw, b"\x83\xa1t"); time.sleep(1000)`, "does not come to an end"},
		"a byte at times": {"\n            for b in packed({'t': 1, 'i': 9, 'd': 'x' * 1000}):\n                os.write(raw, bytes([b])); time.sleep(0.1)", "does not come to an end"},
		"exit":            {`print("I had enough", file=sys.stderr); os._exit(0)`, "I had enough"},
		"kill":            {`import ctypes; ctypes.string_at(0)`, "segmentation fault"},
		"close":           {`os.close(raw); os.close(1); time.sleep(1000)`, "killed"},
		"a flood":         {"\n            while True: os.write(raw, packed({'t': 1, 'i': 77777}) * 100)", "flood"},
		"a flood of asks": {"\n            while True: os.write(raw, packed({'t': 0, 'i': 1, 'm': 'Host.GetVersion'}) * 100)", "takes answers"},
		"no handle":       {`return {"ID": -5}`, "no handle"},
		"no map":          {`return 5`, "no handle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := speaks(t, `
class S(S):
    def answer(self, method, d):
        if method == "VFS.Open" and d["Path"] == "/f":
            pass; `+c.do+`
        return super().answer(method, d)
`, vfs.Limits{Call: 5 * time.Second})
			if got, err := readAll(f, "/f", 5); vfs.KindOf(err) != vfs.Crashed || !strings.Contains(err.Error(), c.why) {
				if !(vfs.KindOf(err) == vfs.Timeout && strings.Contains(c.why, "come to an end")) {
					t.Errorf("%q, %v; expected: %s", got, err, c.why)
				}
			}
			f.again(t)
		})
	}
}

// What it says of files is checked as what clients send.
func TestHostileAnswers(t *testing.T) {
	for name, c := range map[string]string{
		"more than asked":  "    def read(self, path, off, size): return b'x' * (size + 1)",
		"a number":         "    def read(self, path, off, size): return bytes(5) if size == 0 else [1]\n    def unused(self): pass",
		"a huge size":      "    def stat(self, path): return File('f', 1 << 60)",
		"a negative size":  "    def stat(self, path): return File('f', -1)",
		"a size below all": "    def stat(self, path): return File('f', 0xffffffffffffffff)",
	} {
		t.Run(name, func(t *testing.T) {
			body := "class Q(P):\n" + c + "\nP = Q\n"
			if name == "a number" {
				body += "S.answer = lambda s, m, d: 7 if m == 'VFS.ReadAt' else Server.answer(s, m, d)\n"
			}
			f, _ := speaks(t, body, vfs.Limits{})
			_, err := f.Stat(t.Context(), nil, "/f")
			if err == nil {
				_, err = readAll(f, "/f", 4)
			}
			if name == "a size below all" && err == nil {
				return // more than any file has is as good as not told
			}
			if vfs.KindOf(err) != vfs.Crashed || !strings.Contains(err.Error(), "wrong") {
				t.Error(err)
			}
		})
	}
	f, _ := speaks(t, `
class Q(P):
    def list(self, path): return [File(n) for n in ("", ".", "..", "a/b", "a\0b", "x" * 300, "ok", "ok")]
P = Q
`, vfs.Limits{})
	list, err := f.List(t.Context(), nil, "/", "", 0)
	if err != nil || len(list) != 1 || list[0].Name != "ok" {
		t.Errorf("%v, %v", list, err)
	}
}

// An answer that comes too late is nobody else's, and a file that it opens is
// closed. Too many of them end the process.
func TestLateAnswers(t *testing.T) {
	f, l := speaks(t, `
class S(S):
    slow = 0
    lock = threading.Lock()
    def send(self, message):
        with self.lock: super().send(message)
    def take(self, message):
        if message["t"] == 0 and message["m"] == "VFS.Open" and message["d"]["Path"] == "/late":
            def later():
                time.sleep(8); self.send({"t": 1, "i": message["i"], "d": {"ID": 4242, "Size": 5}})
            threading.Thread(target=later).start()
            return None
        if message["t"] == 0 and message["m"] == "VFS.CloseFile" and message["d"]["ID"] == 4242:
            print("closed 4242", file=sys.stderr, flush=True)
        if message["t"] == 0 and message.get("d", None) and message["d"].get("Path") == "/never":
            return None
        return super().take(message)
class Q(P):
    def stat(self, path): return File("late", 5) if path in ("/late", "/never") else super().stat(path)
P = Q
`, vfs.Limits{Call: 3 * time.Second})
	if _, err := readAll(f, "/late", 5); vfs.KindOf(err) != vfs.Timeout {
		t.Error(err)
	}
	for range 50 {
		got, err := readAll(f, "/f", 9)
		if vfs.KindOf(err) == vfs.Timeout { // of this machine: nothing here is slow
			got, err = readAll(f, "/f", 9)
		}
		if got != "hello" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	soon(t, "the late file is closed", func() bool { return strings.Contains(l.String(), "closed 4242") })
	if strings.Contains(l.String(), "plugin ended") {
		t.Error(l.String())
	}
	var wg sync.WaitGroup
	for range mostLate + 1 {
		wg.Go(func() {
			if _, err := readAll(f, "/never", 5); vfs.KindOf(err) != vfs.Timeout && vfs.KindOf(err) != vfs.Crashed {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	soon(t, "the process is ended", func() bool { return strings.Contains(l.String(), errLate.Error()) })
	f.again(t)
}

// A client that goes away takes nothing from others: what was sent is answered.
func TestGoneClients(t *testing.T) {
	f, l := speaks(t, "class Q(P):\n    def read(self, path, off, size):\n        time.sleep(0.02); return b'hello'[off:off+size]\nP = Q\n", vfs.Limits{})
	for range 4 * mostLate {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, _ = f.ReadAt(ctx, nil, "/f", make([]byte, 5), 0)
		cancel()
	}
	if got, err := readAll(f, "/f", 5); got != "hello" || err != nil || strings.Contains(l.String(), "ended") {
		t.Errorf("%q, %v, %s", got, err, l)
	}
}

// Reads of one file are a few at once and their answers may come in any order; of
// writes there is one at a time, also without a word in between.
func TestWindows(t *testing.T) {
	f, _ := speaks(t, `
SIZE = 3 * 1024 * 1024 + 17
def content(off, n): return bytes((i * 7 + i // 251) % 256 for i in range(off, min(off + n, SIZE)))
class S(S):
    held = []
    most = 0
    def take(self, message):
        if message["t"] == 0 and message["m"] == "VFS.ReadAt":
            self.held.append(message)
            S.most = max(S.most, len(self.held))
            while select.select([0], [], [], 0.05)[0] and len(self.held) < 4:
                self.held.append(unpack(self.read)); S.most = max(S.most, len(self.held))
            for m in reversed(self.held):
                d = m["d"]
                self.send({"t": 1, "i": m["i"], "d": content(d["Off"], d["Len"])} if d["Off"] < SIZE else {"t": 1, "i": m["i"], "e": "EOF"})
            self.held.clear()
            return None
        if message["t"] == 0 and message["m"] == "VFS.Write":
            if select.select([0], [], [], 0.05)[0]: print("PIPELINED", file=sys.stderr, flush=True)
            self.plugin.written += message["d"]["Data"]
        return super().take(message)
class Q(P):
    written = b""
    def stat(self, path):
        if path == "/big": return File("big", SIZE)
        if path == "/most": return File("most", S.most)
        if path == "/w": return File("w", len(self.written))
        return super().stat(path)
P = Q
keep = sys.stdin
class In:
    buffer = None
class R:
    def read(self, n):
        out = b""
        while len(out) < n:
            b = os.read(0, n - len(out))
            if not b: return out
            out += b
        return out
In.buffer = R(); sys.stdin = In
`, vfs.Limits{})
	const size = 3*1024*1024 + 17
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(i*7 + i/251)
	}
	b := make([]byte, size+100)
	n, err := f.ReadAt(t.Context(), nil, "/big", b, 0)
	if n != size || !errors.Is(err, io.EOF) || !bytes.Equal(b[:n], want) {
		t.Errorf("%d bytes, %v", n, err)
	}
	n, err = f.ReadAt(t.Context(), nil, "/big", b[:100], size-50)
	if n != 50 || !errors.Is(err, io.EOF) || !bytes.Equal(b[:n], want[size-50:]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if i, err := f.Stat(t.Context(), nil, "/most"); err != nil || i.Size < 2 || i.Size > ahead {
		t.Errorf("%d reads at once, %v", i.Size, err)
	}
	res, err := f.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/w", Flag: vfs.FlagCreate | vfs.FlagTruncate}, bytes.NewReader(want))
	if err != nil || res.N != size {
		t.Error(res, err)
	}
	if i, err := f.Stat(t.Context(), nil, "/w"); err != nil || i.Size != size {
		t.Error(i.Size, err)
	}
}

// A client that breaks off leaves the file as it was.
func TestBrokenPut(t *testing.T) {
	f, l := speaks(t, "class Q(P):\n    def create(self, path): print('CREATED', file=sys.stderr, flush=True)\nP = Q\n", vfs.Limits{})
	op := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate}
	if _, err := f.Put(t.Context(), op, io.MultiReader(strings.NewReader("new"), broken{})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	f.again(t)
	if strings.Contains(l.String(), "CREATED") {
		t.Error(l)
	}
}

// Long files that are sent for ever are few, and take nothing from others.
func TestSlowPuts(t *testing.T) {
	f, _ := speaks(t, "", vfs.Limits{})
	op := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate}
	var wg sync.WaitGroup
	var ends []*io.PipeWriter
	for range maxSpools {
		r, w := io.Pipe()
		ends = append(ends, w)
		wg.Go(func() {
			if _, err := f.Put(t.Context(), op, r); err != nil {
				t.Error(err)
			}
		})
		if _, err := w.Write(make([]byte, shortPut+1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Put(t.Context(), op, bytes.NewReader(make([]byte, shortPut))); vfs.KindOf(err) != vfs.Throttled {
		t.Error(err)
	}
	if r, err := f.Put(t.Context(), op, bytes.NewReader(make([]byte, shortPut-1))); err != nil || r.N != shortPut-1 {
		t.Error(r.N, err)
	}
	if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte("x"), Flag: op.Flag}); err != nil {
		t.Error(err)
	}
	for _, w := range ends {
		w.Close()
	}
	wg.Wait()
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Handshakes of all generations, and those that are none.
func TestInit(t *testing.T) {
	answers := func(init string) string {
		return "S.answer = lambda s, m, d: " + init + " if m == 'Plugin.Init' else Server.answer(s, m, d)\n"
	}
	for name, c := range map[string]struct{ body, want string }{
		"a map":         {answers(`{"Drives": ["Dummy RPC VFS"], "Commands": [], "Panels": [{"A": 1}], "New": {}}`), "dummy-rpc-vfs"},
		"a list":        {answers(`["Dummy RPC VFS", "Other"]`), "dummy-rpc-vfs"},
		"no drives":     {answers(`{"Drives": None}`), "no drives"},
		"an empty list": {answers(`[]`), "no drives"},
		"nothing":       {answers(`None`), "neither a map nor a list"},
		"an error":      {"def no(*a): raise ValueError('not today')\nP.start = no\n", "not today"},
		"exit":          {"P.start = lambda s, c: os._exit(2)\n", "exit status 2"},
		"print":         {"os.write(raw, b'debug\\n')\n", "no MessagePack"},
		"callbacks": {"def st(s, c):\n    assert s.server.host('Host.GetVersion') == '1.2.3'\n    s.server.host('Host.Log', 'hi\\nthere')\n" +
			"    assert s.server.host('Host.IsProgressCancelled') is False and s.server.host('Host.RunAction', 'x') is False\n" +
			"    for m in ('Host.Menu', 'Host.AskOverwrite', 'Host.Nothing'):\n        try: s.server.host(m); sys.exit(9)\n        except RuntimeError: pass\nP.start = st\n", "p"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib, err := New("1.2.3", nil, nil).Inspect(t.Context(), speaker(t, "if sys.argv[1:]: sys.exit(0)\n"+c.body), vfs.Limits{}, vfs.Grants{})
			if err != nil {
				if vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), c.want) {
					t.Error(err)
				}
				return
			}
			if lib.Name != c.want || lib.Kind != MessagePack {
				t.Errorf("%+v", lib)
			}
		})
	}
}

// The first generation has only three methods; the Lua one says so in other words
// and sends texts for bytes. What is missing is told as such, and learned once.
func TestGenerations(t *testing.T) {
	code := speaker(t, `
if sys.argv[1:]: sys.exit(0)
class Z(Server):
    def answer(self, method, d):
        if method == "Plugin.Init": return {"Drives": ["gen0"]}
        if method == "VFS.ReadDir": return [{"Name": "..", "IsDir": True}, {"Name": "item", "Size": 1024}, {"Name": "rpc_folder", "IsDir": True}]
        if method == "VFS.Stat": return {"Name": "item", "Size": 1024, "IsDir": False, "MTime": Zero()}
        raise LookupError('method "%s" not found' % method)
class Zero: pass
old = pack
def pack(v, out):
    if isinstance(v, Zero): out += bytes.fromhex("c70cff00000000fffffff1886e0900")
    else: old(v, out)
S = Z
`)
	lib, err := New("1.2.3", nil, nil).Inspect(t.Context(), code, vfs.Limits{}, vfs.Grants{})
	if err != nil || lib.Verbs != 0 || lib.Name != "gen0" {
		t.Fatalf("%+v, %v", lib, err)
	}
	f, _, err := mounted(t, MessagePack, code, lib, nil)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := f.List(t.Context(), nil, "/", "", 0); err != nil || len(list) != 2 || list[0].ModTime.Year() < 2000 {
		t.Error(list, err)
	}
	if i, err := f.Stat(t.Context(), nil, "/"); err != nil || !i.IsDir() {
		t.Error(i, err)
	}
	if _, err := readAll(f, "/item", 5); vfs.KindOf(err) != vfs.Unsupported {
		t.Error(err)
	}
	if i, err := f.Stat(t.Context(), nil, "/item"); err != nil || i.Size != 1024 || i.ModTime.Year() < 2000 {
		t.Error(i, err)
	}

	code = speaker(t, `
if sys.argv[1:]: sys.exit(0)
class L(Server):
    def answer(self, method, d):
        if method == "Plugin.Init": return ["Lua Virtual Drive"]
        if method == "VFS.ReadDir": return [{"Name": "readme.txt", "IsDir": False}] if d["Path"] == "/" else []
        if method == "VFS.Stat":
            if d["Path"] != "/readme.txt": raise LookupError("plugin.lua:42: file does not exist")
            return {"Name": "/readme.txt", "IsDir": False, "Size": 3}
        if method == "VFS.Open": return {"ID": 1, "Size": 3}
        if method == "VFS.ReadAt": return "abc"[d["Off"]:d["Off"] + d["Len"]]
        if method == "VFS.CloseFile": return None
        raise LookupError("plugin.lua:7: method not found: " + method)
S = L
`)
	if lib, err = New("1.2.3", nil, nil).Inspect(t.Context(), code, vfs.Limits{}, vfs.Grants{}); err != nil || lib.Verbs != 0 || lib.Name != "lua-virtual-drive" {
		t.Fatalf("%+v, %v", lib, err)
	}
	if f, _, err = mounted(t, MessagePack, code, lib, vfs.Config{"drive": "Lua Virtual Drive"}); err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(f, "/readme.txt", 10); got != "abc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := f.Stat(t.Context(), nil, "/x"); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
	if _, err := f.List(t.Context(), nil, "/x", "", 0); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
	if _, _, err := mounted(t, MessagePack, code, lib, vfs.Config{"drive": "C:"}); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "Lua Virtual Drive") {
		t.Error(err)
	}
}

// Ids go round after 2^32 and leave out those that are under way.
func TestIDsWrap(t *testing.T) {
	f, _ := speaks(t, "", vfs.Limits{})
	err := f.get(t.Context(), func(ctx context.Context, b backend) error {
		r := b.(*f4).rpc
		r.mu.Lock()
		r.next = 1<<32 - 2
		r.calls[0] = &pending{method: "taken"}
		r.mu.Unlock()
		for range 4 {
			if _, err := r.call(ctx, methodStat, b.(*f4).at("/f")); err != nil {
				return err
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.next != 3 || len(r.calls) != 1 {
			t.Errorf("id %d, %d under way", r.next, len(r.calls))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A program that never answers is ended, with all that it has started.
func TestSilentInit(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	own := fmt.Sprintf("%s/pfs-plugin-%d-*", os.TempDir(), os.Getpid())
	before, _ := filepath.Glob(own)
	c := supervise.Command{Code: []byte("#!/bin/sh\nsleep 1000\n"), Processes: true, Log: slog.New(slog.DiscardHandler)}
	if _, err := newF4(ctx, New("", nil, nil).starts(c), time.Minute, vfs.Env{}, time.Second, ""); vfs.KindOf(err) != vfs.Timeout {
		t.Error(err)
	}
	if after, _ := filepath.Glob(own); len(after) > len(before) {
		t.Errorf("it left %v", after)
	}
}
