package verbs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/client"
)

// told notes what is done to a source and a target, in turn.
type told struct{ all []string }

type toldTarget struct {
	*localTree
	*told
}

func (t toldTarget) write(ctx context.Context, rel string, r io.Reader, e entry) (string, error) {
	if e.durable {
		t.all = append(t.all, "sync "+rel)
	}
	return t.localTree.write(ctx, rel, r, e)
}

func (t toldTarget) syncDir(rel string) error {
	t.all = append(t.all, "sync "+rel)
	return t.localTree.syncDir(rel)
}

func (t toldTarget) syncAbove(ctx context.Context) error {
	t.all = append(t.all, "sync above")
	return t.localTree.syncAbove(ctx)
}

type toldSource struct {
	*remoteTree
	*told
}

func (s toldSource) removeMarked(ctx context.Context, rel, mark string) error {
	s.all = append(s.all, "remove "+rel)
	return s.remoteTree.removeMarked(ctx, rel, mark)
}

func (s toldSource) remove(ctx context.Context, rel string, all bool) error {
	s.all = append(s.all, "remove "+rel)
	return s.remoteTree.remove(ctx, rel, all)
}

// What is moved to this machine is synced here, with its names, before it goes there.
func TestMovedIsDurable(t *testing.T) {
	c, ctx := served(t)
	for _, whole := range []bool{true, false} {
		if err := mkdirAll(ctx, c, "/memfs/d/sub", 0o755); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"/memfs/d/a", "/memfs/d/sub/b"} {
			if _, err := c.WriteFile(ctx, p, []byte("text")); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(t.TempDir(), "new")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		k, err := (&mover{app: &app{Env: cli.New(strings.NewReader(""), io.Discard, io.Discard)}}).copier(false)
		if err != nil {
			t.Fatal(err)
		}
		k.jobs = 1
		defer k.moved.files.close()
		var seen told
		l := &leg{k, toldSource{&remoteTree{clients: []*client.Client{c}, root: "/memfs/d"}, &seen}, toldTarget{&localTree{root: root, ours: true}, &seen}}
		want := []string{"sync a", "sync .", "sync above", "remove a"}
		if whole {
			want = []string{"sync a", "sync sub/b", "sync .", "sync sub", "sync above", "remove a", "remove sub/b", "remove sub", "remove ."}
			err = k.treeWhole(ctx, l, "/memfs/d")
		} else {
			err = k.one(ctx, &way{file: l.single("a", "a", entry{name: "a", mode: 0o640, size: 4})})
		}
		if err == nil {
			err = l.clear(ctx)
		}
		if err != nil || !slices.Equal(seen.all, want) {
			t.Errorf("%q, not %q: %v", seen.all, want, err)
		}
	}
}

// Of what is above a target those directories are synced that get a new name in them.
func TestSyncAbove(t *testing.T) {
	s := clitest.Start(t)
	server, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.Mkdir(t.Context(), "/memfs/d", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, c := range []struct{ dst, want string }{{"new/a/to", "new/a new ."}, {"new/a/to", "new/a/to"}, {"new/a//to/", "new/a/to"}, {"other//", "."}} {
		k, err := (&mover{app: &app{Env: cli.New(strings.NewReader(""), io.Discard, io.Discard)}}).copier(false)
		if err != nil {
			t.Fatal(err)
		}
		defer k.moved.files.close()
		w, err := k.way(t.Context(), end{path: "/memfs/d"}, end{path: c.dst, local: true}, false)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		to := w.tree.dst.(*localTree)
		if got := strings.Join(to.above, " "); got != c.want {
			t.Errorf("above %s: %q, not %q", c.dst, got, c.want)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.tree.persistNames(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("it is not ended: %v", err)
		}
		if err := w.tree.persistNames(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A local file that has come meanwhile is not replaced by one that is to be new.
func TestPlaceOnly(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for i, want := range []error{nil, fs.ErrExist} {
		_, err := place(root, "f", placing{mode: 0o600, only: true}, func(w io.Writer) (int64, error) {
			n, err := fmt.Fprint(w, i)
			return int64(n), err
		})
		if !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	list, err := fs.ReadDir(root.FS(), ".")
	if b, rerr := root.ReadFile("f"); string(b) != "0" || len(list) != 1 || err != nil || rerr != nil {
		t.Errorf("%q in %v: %v, %v", b, list, err, rerr)
	}
}
