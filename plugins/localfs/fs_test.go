package localfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems and plays its scripts.
func Test(t *testing.T) {
	p := Plugin()
	make := p.New
	p.New = func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
		return make(e, vfs.Config{"local_dir": t.TempDir()}) // each mount has its own
	}
	vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{"local_dir": "/"}, Scripts: "testdata"})
}

func started(t *testing.T) (*FS, string) {
	dir := t.TempDir()
	fs, err := Plugin().New(vfs.Env{}, vfs.Config{"local_dir": dir})
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, dir
}

// The page about the plugin is read at its root, unless the directory has a
// file of that name, and is listed nowhere.
func TestReadme(t *testing.T) {
	f, dir := started(t)
	read := func() string {
		b := make([]byte, 4096)
		n, err := f.ReadAt(t.Context(), nil, "/README", b, 0)
		if err != io.EOF {
			t.Error(err)
		}
		i, err := f.Stat(t.Context(), nil, "/README")
		if err != nil || i.Size != int64(n) {
			t.Errorf("%+v, %v", i, err)
		}
		return string(b[:n])
	}
	if got := read(); got != readme {
		t.Errorf("%q", got)
	}
	if list, err := f.List(t.Context(), nil, "/", "", 0); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Create, Path: "/README"}); err != nil {
		t.Error(err)
	}
	if got := read(); got != "" {
		t.Errorf("%q", got)
	}
	if _, err := f.Stat(t.Context(), nil, "/d/README"); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "README")); err != nil || st.Size() != 0 {
		t.Errorf("%v, %v", st, err)
	}
}

// A reader has one content from its first byte to its last, and knows when it
// is another than it has looked at.
func TestOneContent(t *testing.T) {
	f, _ := started(t)
	replace := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate}
	put := func(s string) {
		replace.Data = []byte(s)
		if _, err := f.Do(t.Context(), replace); err != nil {
			t.Fatal(err)
		}
	}
	put("the old one")
	i, err := f.Stat(t.Context(), nil, "/f")
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Stream(t.Context(), "/f", i.Version, 4)
	if err != nil {
		t.Fatal(err)
	}
	put("new")
	if b, err := io.ReadAll(r); string(b) != "old one" || err != nil || r.Close() != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := f.Stream(t.Context(), "/f", i.Version, 0); vfs.KindOf(err) != vfs.Stale {
		t.Error(err)
	}
	op := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate | vfs.FlagExclusive}
	if _, err := f.Put(t.Context(), op, strings.NewReader("x")); vfs.KindOf(err) != vfs.Exists {
		t.Error(err)
	}
}

// What a killed node was writing is swept once it is old, so that a directory
// that looks empty can be removed.
func TestLeftBehind(t *testing.T) {
	f, dir := started(t)
	part := filepath.Join(dir, "d", tempPrefix+"x")
	old := time.Now().Add(-2 * leftAfter)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o755), os.WriteFile(part, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	rmdir := vfs.Op{Verb: vfs.Remove, Path: "/d"}
	if _, err := f.Do(t.Context(), rmdir); vfs.KindOf(err) != vfs.NotEmpty {
		t.Errorf("under a write: %v", err)
	}
	if err := os.Chtimes(part, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Do(t.Context(), rmdir); err != nil {
		t.Error(err)
	}
}
