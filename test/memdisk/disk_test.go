package memdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/store"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree lists all files with their content.
func tree(t *testing.T, d *Disk, dir string) string {
	t.Helper()
	names, err := d.List(dir)
	check(t, err)
	var out []string
	for _, name := range names {
		p := d.PathJoin(dir, name)
		if i, err := d.Stat(p); err == nil && i.IsDir() {
			out = append(out, tree(t, d, p))
			continue
		}
		b, err := store.ReadFile(d, p)
		check(t, err)
		out = append(out, p+"="+string(b))
	}
	return strings.Join(out, " ")
}

func put(t *testing.T, d *Disk, name, text string, sync bool) {
	t.Helper()
	f, err := store.Create(d, name)
	check(t, err)
	_, err = f.Write([]byte(text))
	if sync {
		err = errors.Join(err, f.Sync())
	}
	check(t, errors.Join(err, f.Close()))
}

// A cut keeps what was synced, a kill all that was written.
func TestCut(t *testing.T) {
	d := New()
	check(t, store.MakeDir(d, "/a"))
	put(t, d, "/a/whole", "1", true)
	put(t, d, "/a/torn", "2", false)
	check(t, store.SyncDir(d, "/a"))
	put(t, d, "/a/unnamed", "3", true)
	check(t, d.Rename("/a/whole", "/a/moved"))
	for _, c := range []struct {
		what string
		of   *Disk
		want string
	}{
		{"cut", d.Cut(0, nil), "/a/torn= /a/whole=1"},
		{"cut that keeps all", d.Cut(100, nil), "/a/moved=1 /a/torn=2 /a/unnamed=3"},
		{"copy", d.Copy(), "/a/moved=1 /a/torn=2 /a/unnamed=3"},
		{"cut of a copy", d.Copy().Cut(0, nil), "/a/torn= /a/whole=1"},
		{"disk itself", d, "/a/moved=1 /a/torn=2 /a/unnamed=3"},
	} {
		if got := tree(t, c.of, "/"); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// The disk and what a cut left of it do not see each other's writes.
func TestDisksPart(t *testing.T) {
	d := New()
	put(t, d, "/f", "old", true)
	check(t, store.SyncDir(d, "/"))
	c := d.Cut(0, nil)
	f, err := d.OpenReadWrite("/f", "")
	check(t, err)
	_, err = f.WriteAt([]byte("N"), 0)
	check(t, err)
	g, err := c.OpenReadWrite("/f", "")
	check(t, err)
	_, err = g.WriteAt([]byte("er"), 3)
	check(t, err)
	if a, b := tree(t, d, "/"), tree(t, c, "/"); a != "/f=Nld" || b != "/f=older" {
		t.Errorf("%q and %q", a, b)
	}
	if a, b := tree(t, d.Cut(0, nil), "/"), tree(t, c.Cut(0, nil), "/"); a != "/f=old" || b != "/f=old" {
		t.Errorf("after a cut %q and %q", a, b)
	}
}

// Of unsynced blocks some are kept, and a rename is one step.
func TestCutKeepsSome(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	d := New()
	put(t, d, "/f", strings.Repeat("a", 100*block), true)
	put(t, d, "/x", "", true)
	check(t, store.SyncDir(d, "/"))
	f, err := d.OpenReadWrite("/f", "")
	check(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("b", 100*block)), 0)
	check(t, err)
	check(t, d.Rename("/x", "/y"))
	moved := 0
	for range 50 {
		c := d.Cut(50, r)
		b, err := store.ReadFile(c, "/f")
		check(t, err)
		if n := strings.Count(string(b), "b") / block; n < 20 || n > 80 || len(b) != 100*block {
			t.Fatalf("%d of 100 blocks are new, %d bytes", n, len(b))
		}
		_, errX := c.Stat("/x")
		_, errY := c.Stat("/y")
		if (errX == nil) == (errY == nil) {
			t.Fatalf("a file is at both names or none: %v, %v", errX, errY)
		}
		if errY == nil {
			moved++
		}
	}
	if moved == 0 || moved == 50 {
		t.Errorf("a rename was kept %d times of 50", moved)
	}
}

func TestFault(t *testing.T) {
	d := New()
	seen := map[Kind]int{}
	d.Fault = func(k Kind, _ string) error {
		seen[k]++
		if k == Rename {
			return fs.ErrPermission
		}
		return nil
	}
	put(t, d, "/f", "1", true)
	if err := d.Rename("/f", "/g"); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	check(t, errors.Join(d.Link("/f", "/g"), d.Remove("/f"), store.SyncDir(d, "/"), d.MkdirAll("/d/e", 0)))
	for _, k := range []Kind{Create, Write, Sync, Rename, Link, Remove, SyncDir, Mkdir} {
		if seen[k] != 1 {
			t.Errorf("%s was asked %d times", k, seen[k])
		}
	}
	if got := tree(t, d, "/"); got != " /g=1" {
		t.Errorf("%q", got)
	}
	if _, err := d.Open("/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A database and a store of chunks live on it.
func TestCarries(t *testing.T) {
	d := New()
	db, err := pebble.Open("/db", &pebble.Options{FS: d})
	check(t, err)
	for i := range 1000 {
		check(t, db.Set(fmt.Append(nil, i), make([]byte, 1000), pebble.NoSync))
	}
	check(t, db.Flush())
	check(t, db.Checkpoint("/copy"))
	check(t, db.Close())
	db, err = pebble.Open("/copy", &pebble.Options{FS: d.Cut(0, nil)})
	check(t, err)
	_, c, err := db.Get([]byte("999"))
	check(t, err)
	check(t, errors.Join(c.Close(), db.Close()))

	s, err := blob.Open("/blobs", d.Chunks())
	check(t, err)
	hash, err := s.Put([]byte("chunk"))
	check(t, err)
	s, err = blob.Open("/blobs", d.Cut(0, nil).Chunks())
	check(t, err)
	b := make([]byte, 5)
	if err := s.ReadAt(hash, b, 0); err != nil || string(b) != "chunk" {
		t.Errorf("%q, %v", b, err)
	}
}
