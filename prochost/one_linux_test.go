package prochost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// A plugin that has them is asked once to read a file, and once to write one, up to a
// window of 256 KiB; what it may not do it refuses as the host would.
func TestOneQuestion(t *testing.T) {
	f, l := speaks(t, `
class S(Server):
    def take(self, message):
        if message["t"] == 0: print("ASKED " + message["m"], file=sys.stderr, flush=True)
        return super().take(message)
class Q(P):
    kept = {"/f": b"hello"}
    def stat(self, path):
        if path == "/d": return File("d", is_dir=True)
        if path in self.kept: return File("x", len(self.kept[path]))
        raise FileNotFoundError
    def read(self, path, off, size):
        if path == "/odd": raise OSError("I do not know it")
        return self.kept[path][off:off + size]
    def create(self, path): self.kept[path] = b""
    def append(self, path, data): self.kept[path] += data
P = Q
`, vfs.Limits{})
	asked := func() (list []string) {
		for _, line := range strings.Split(l.String(), "\n") {
			if _, method, ok := strings.Cut(line, "ASKED "); ok {
				list = append(list, strings.Trim(method, `"`))
			}
		}
		return list
	}
	counts := func(what string, want ...string) {
		t.Helper()
		soon(t, fmt.Sprint(what, " asks ", want), func() bool {
			got := asked()
			return len(got) >= len(want) && fmt.Sprint(got[len(got)-len(want):]) == fmt.Sprint(want)
		})
	}
	put := func(p vfs.Path, data string, flag vfs.Flag) error {
		r, err := f.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Flag: flag | vfs.FlagTruncate}, strings.NewReader(data))
		if err == nil && r.N != int64(len(data)) {
			t.Errorf("%s: %d bytes", p, r.N)
		}
		return err
	}
	soon(t, "the plugin tells that it was set up", func() bool { return len(asked()) > 0 })
	before := len(asked())
	if got, err := readAll(f, "/f", 9); got != "hello" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if err := put("/f", "new", 0); err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(f, "/f", 3); got != "new" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	// 9 bytes were not there: that takes a question more, as the first is short.
	counts("a reading to the end, a writing and a reading", "VFS.ReadFile", "VFS.ReadFile", "VFS.PutFile", "VFS.ReadFile")
	if n := len(asked()) - before; n != 4 {
		t.Errorf("%d questions: %q", n, asked())
	}
	for _, c := range []struct {
		path vfs.Path
		flag vfs.Flag
		want vfs.Kind
	}{
		{"/none", 0, vfs.NotFound}, {"/d", vfs.FlagCreate, vfs.IsDirectory}, {"/", vfs.FlagCreate, vfs.IsDirectory},
		{"/f", vfs.FlagCreate | vfs.FlagExclusive, vfs.Exists}, {"/no/f", vfs.FlagCreate, vfs.NotFound}, {"/f/g", vfs.FlagCreate, vfs.NotDirectory},
		{"/e", vfs.FlagCreate, 0}, {"/e", 0, 0}, {"/d/e", vfs.FlagCreate | vfs.FlagExclusive, 0},
	} {
		if err := put(c.path, "x", c.flag); vfs.KindOf(err) != c.want {
			t.Errorf("%s with %v: %v", c.path, c.flag, err)
		}
	}
	for p, want := range map[vfs.Path]vfs.Kind{"/none": vfs.NotFound, "/d": vfs.IsDirectory, "/": vfs.IsDirectory} {
		if _, err := readAll(f, p, 5); vfs.KindOf(err) != want {
			t.Errorf("%s: %v", p, err)
		}
	}
	if got, err := readAll(f, "/odd", 5); vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("what only Stat tells to be missing: %q, %v", got, err)
	}
	if _, err := f.ReadAt(t.Context(), nil, "/none", nil, 0); vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("nothing, of what is missing: %v", err)
	}
	long := bytes.Repeat([]byte("0123456789abcdef"), 3*window/16)
	if err := put("/long", string(long), vfs.FlagCreate); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(long)+1)
	if n, err := f.ReadAt(t.Context(), nil, "/long", b, 0); n != len(long) || !errors.Is(err, io.EOF) || !bytes.Equal(b[:n], long) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// A plugin that names the methods of one question and has none of them is read and
// written in the old way.
func TestNamedAndLacking(t *testing.T) {
	f, _ := speaks(t, `
class S(Server):
    def take(self, message):
        if message.get("m") in ("VFS.ReadFile", "VFS.PutFile"):
            return self.send({"i": message["i"], "t": 1, "e": 'method "%s" not found' % message["m"]})
        return super().take(message)
class Q(P):
    kept = {"/f": b"hello"}
    def stat(self, path):
        if path in self.kept: return File("x", len(self.kept[path]))
        raise FileNotFoundError
    def read(self, path, off, size): return self.kept[path][off:off + size]
    def create(self, path): self.kept[path] = b""
    def append(self, path, data): self.kept[path] += data
P = Q
`, vfs.Limits{})
	for _, want := range []string{"hello", "new", "newer"} {
		if want != "hello" {
			op := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagTruncate}
			if _, err := f.Put(t.Context(), op, strings.NewReader(want)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := readAll(f, "/f", 9); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}
