package devfs

import (
	"bytes"
	"io"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems and plays its scripts.
func Test(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: Plugin(), Config: vfs.Config{}, Scripts: "testdata"})
}

func newDevice(t *testing.T) vfs.Device {
	t.Helper()
	fs, err := Plugin().New(vfs.Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fs.(vfs.Device)
}

func TestNullTakesAllAndGivesNothing(t *testing.T) {
	d := newDevice(t)
	for _, c := range []struct {
		op   vfs.Op
		n    int64
		kind vfs.Kind
	}{
		{vfs.Op{Verb: vfs.Write, Path: "/null", Data: []byte("hello"), Flag: vfs.FlagCreate | vfs.FlagTruncate}, 5, 0},
		{vfs.Op{Verb: vfs.Write, Path: "/null", Refs: []vfs.ChunkRef{{Len: 1 << 22}}}, 1 << 22, 0},
		{vfs.Op{Verb: vfs.Write, Path: "/null", Flag: vfs.FlagExclusive}, 0, vfs.Exists},
		{vfs.Op{Verb: vfs.Truncate, Path: "/null", Off: 9}, 0, 0},
		{vfs.Op{Verb: vfs.Touch, Path: "/null"}, 0, 0},
		{vfs.Op{Verb: vfs.Create, Path: "/null"}, 0, vfs.Exists},
		{vfs.Op{Verb: vfs.Remove, Path: "/null"}, 0, vfs.Permission},
		{vfs.Op{Verb: vfs.Chmod, Path: "/null"}, 0, vfs.Permission},
		{vfs.Op{Verb: vfs.Write, Path: "/one"}, 0, vfs.Permission},
		{vfs.Op{Verb: vfs.Write, Path: "/full", Data: []byte("x")}, 0, vfs.NoSpace},
		{vfs.Op{Verb: vfs.Write, Path: "/zero", Data: []byte("x")}, 1, 0},
		{vfs.Op{Verb: vfs.Mkdir, Path: "/d"}, 0, vfs.Permission},
		{vfs.Op{Verb: vfs.Rename, Path: "/null", To: "/n"}, 0, vfs.Permission},
	} {
		r, err := d.Do(t.Context(), c.op)
		if r.N != c.n || vfs.KindOf(err) != c.kind {
			t.Errorf("%v %s: %d, %v", c.op.Verb, c.op.Path, r.N, err)
		}
	}
	if n, err := d.ReadAt(t.Context(), nil, "/null", make([]byte, 9), 0); n != 0 || err != io.EOF {
		t.Errorf("read: %d, %v", n, err)
	}
}

func TestOnlyNullIsThere(t *testing.T) {
	d := newDevice(t)
	infos, err := d.List(t.Context(), nil, "/", "", 0)
	if err != nil || len(infos) != 4 || infos[1].Name != "null" || infos[1].Mode != 0o666 || infos[1].Meta.Type != "device" || infos[1].Endless() || !infos[3].Endless() {
		t.Fatalf("%+v, %v", infos, err)
	}
	if more, err := d.List(t.Context(), nil, "/", "null", 1); err != nil || len(more) != 1 || more[0].Name != "random" {
		t.Errorf("after null: %v, %v", more, err)
	}
	a, b := make([]byte, 64), make([]byte, 64)
	if _, err := d.ReadAt(t.Context(), nil, "/random", a, 1<<40); err != nil {
		t.Error(err)
	}
	if _, err := d.ReadAt(t.Context(), nil, "/random", b, 1<<40); err != nil || bytes.Equal(a, b) {
		t.Errorf("%x twice, %v", a, err)
	}
	if _, err := d.Stat(t.Context(), nil, "/one"); vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("stat: %v", err)
	}
	if _, err := d.List(t.Context(), nil, "/null", "", 0); vfs.KindOf(err) != vfs.NotDirectory {
		t.Errorf("list of a file: %v", err)
	}
	if _, err := d.ReadAt(t.Context(), nil, "/", make([]byte, 1), 0); vfs.KindOf(err) != vfs.IsDirectory {
		t.Errorf("read of a directory: %v", err)
	}
}
