package sqlfs

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// The table of another server is taken over with its files.
func TestTakenOver(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sqlfs.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte("x"), 3_000_000)
	if _, err := db.Exec(`CREATE TABLE files (path TEXT PRIMARY KEY, is_dir INTEGER NOT NULL, mode INTEGER NOT NULL,
		size INTEGER NOT NULL, mod_time INTEGER NOT NULL, data BLOB);
		INSERT INTO files VALUES ('/', 1, 493, 0, 1700000000, NULL), ('/docs', 1, 493, 0, 1700000000, NULL),
		('/docs/sub', 1, 448, 0, 1700000000, NULL), ('/docs/a.txt', 0, 420, 1, 1700000000, 'a'),
		('/docs/sub/long', 0, 384, 3000000, 1700000000, ?)`, long); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f := start(t, vfs.Config{"backend": "sqlite3", "db_path": file})
	for range 2 { // as it was, and after another start
		infos, err := f.List(t.Context(), nil, "/docs", "", 0)
		if err != nil || len(infos) != 2 || infos[0].Name != "a.txt" || !infos[1].IsDir() || infos[1].Mode.Perm() != 0o700 {
			t.Errorf("%+v, %v", infos, err)
		}
		if i, err := f.Stat(t.Context(), nil, "/docs/a.txt"); err != nil || i.Size != 1 || i.ModTime.Unix() != 1_700_000_000 || i.Version == 0 {
			t.Errorf("%+v, %v", i, err)
		}
		if got := f.all(t, "/docs/sub/long"); !bytes.Equal(got, long) {
			t.Errorf("%d bytes", len(got))
		}
		f = start(t, vfs.Config{"db_path": file})
	}
	for _, op := range []vfs.Op{
		{Verb: vfs.Write, Path: "/docs/sub/long", Off: vfs.AtEnd, Data: []byte("end")},
		{Verb: vfs.Rename, Path: "/docs", To: "/moved"},
	} {
		if _, err := f.Do(t.Context(), op); err != nil {
			t.Error(err)
		}
	}
	if got := f.all(t, "/moved/sub/long"); !bytes.Equal(got, append(long, "end"...)) {
		t.Errorf("%d bytes", len(got))
	}
}

// A database that is damaged, or is none, is told at the mount.
func TestNoDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE files (name TEXT)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fs, err := Plugin().New(vfs.Env{}, vfs.Config{"db_path": file})
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	if err := f.Start(t.Context()); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("the table of another program: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Listings are kept until they are old, or the tree changes.
func TestCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	kept := start(t, vfs.Config{"db_path": file, "cache_ttl_seconds": "300", "cache_max_size": 2.0})
	other := start(t, vfs.Config{"db_path": file, "cache_enabled": "false"})
	names := func(f *FS) (s string) {
		infos, err := f.List(t.Context(), nil, "/", "", 0)
		if err != nil {
			t.Error(err)
		}
		for _, i := range infos {
			s += i.Name
		}
		return s
	}
	kept.put(t, "/a", []byte("1"))
	if got := names(kept); got != "a" {
		t.Errorf("%q", got)
	}
	other.put(t, "/b", nil)
	if a, b := names(kept), names(other); a != "a" || b != "ab" {
		t.Errorf("%q with a cache, %q without", a, b)
	}
	kept.put(t, "/a", []byte("longer"))
	if infos, err := kept.List(t.Context(), nil, "/", "", 1); err != nil || len(infos) != 1 || infos[0].Size != 6 {
		t.Errorf("%+v, %v", infos, err)
	}
	if got := names(kept); got != "ab" {
		t.Errorf("%q after a change", got)
	}
}
