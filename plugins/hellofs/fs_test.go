package hellofs

import (
	"io"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems and plays its scripts.
func Test(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: Plugin(), Config: vfs.Config{}, Scripts: "testdata"})
}

func TestHello(t *testing.T) {
	fs, err := Plugin().New(vfs.Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := fs.(vfs.Device)
	infos, err := d.List(t.Context(), nil, "/", "", 0)
	if err != nil || len(infos) != 1 || infos[0].Name != "hello" || infos[0].Size != 14 || infos[0].Mode != 0o444 {
		t.Fatalf("%+v, %v", infos, err)
	}
	b := make([]byte, 20)
	if n, err := d.ReadAt(t.Context(), nil, "/hello", b, 0); string(b[:n]) != "Hello, World!\n" || err != io.EOF {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if n, err := d.ReadAt(t.Context(), nil, "/hello", b[:5], 7); string(b[:n]) != "World" || err != nil {
		t.Errorf("read %q, %v", b[:n], err)
	}
	root, err := d.Stat(t.Context(), nil, "/")
	if err != nil || root.Mode != vfs.ModeDir|0o555 || root.Meta.Type != "directory" {
		t.Errorf("%+v, %v", root, err)
	}
	for name, err := range map[string]error{
		"not_found":     second(d.Stat(t.Context(), nil, "/no")),
		"not_directory": second(d.List(t.Context(), nil, "/hello", "", 0)),
		"is_directory":  second(d.ReadAt(t.Context(), nil, "/", b, 0)),
		"permission":    second(d.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/hello"})),
	} {
		if got := vfs.KindOf(err).Code(); got != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
