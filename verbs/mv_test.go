package verbs

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// meddling changes a tree once one of its files has been read.
type meddling struct {
	*remoteTree
	change func()
}

func (m *meddling) open(ctx context.Context, rel string) (io.ReadCloser, error) {
	r, err := m.remoteTree.open(ctx, rel)
	if m.change != nil {
		m.change()
		m.change = nil
	}
	return r, err
}

// What changes while it is copied is copied anew; what cannot be copied so, or comes
// meanwhile, stays.
func TestMovedWhileItChanges(t *testing.T) {
	s := clitest.Start(t)
	c, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	write := func(p, text string) {
		t.Helper()
		if _, err := c.WriteFile(ctx, p, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(){
		"nothing":    nil,
		"a newcomer": func() { write("/memfs/d/new", "n") },
		"a change":   func() { write("/memfs/d/a", "longer") },
		"a removal":  func() { _ = c.Remove(ctx, "/memfs/d/a") },
	} {
		if err := mkdirAll(ctx, c, "/memfs/d", 0o755); err != nil {
			t.Fatal(err)
		}
		write("/memfs/d/a", "a")
		write("/memfs/d/b", "b")
		a := &app{Env: cli.New(strings.NewReader(""), io.Discard, io.Discard)}
		k := &copier{app: a, jobs: 1, recursive: true, check: true, mute: true, made: targets{}}
		k.meter.app, k.meter.form = a, "none"
		if k.moved, err = newLedger(); err != nil {
			t.Fatal(err)
		}
		tree := &remoteTree{clients: []*client.Client{c}, root: "/memfs/d"}
		l := &leg{k, &meddling{tree, change}, &remoteTree{clients: tree.clients, root: "/memfs/to"}}
		err := k.treeWhole(client.WithFresh(ctx), l, "/memfs/d")
		if err == nil {
			err = l.clear(client.WithFresh(ctx))
		}
		if err := k.moved.files.close(); err != nil {
			t.Error(err)
		}
		if stayed := err != nil; stayed != (name == "a newcomer" || name == "a removal") {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := c.ReadFile(ctx, "/memfs/to/a"); name == "a change" && (err != nil || string(b) != "longer") {
			t.Errorf("what was copied anew is %q, %v", b, err)
		}
		for _, p := range []string{"/memfs/d", "/memfs/to"} {
			if err := c.RemoveAll(ctx, p); err != nil && vfs.KindOf(err) != vfs.NotFound {
				t.Fatal(err)
			}
		}
	}
}

// Whoever looks while a link is given another target finds one of the two.
func TestRelink(t *testing.T) {
	s := clitest.Start(t)
	c, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := errors.Join(c.Symlink(ctx, "one", "/memfs/l"), root.Symlink("one", "l")); err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var missed error
		for {
			_, err := c.Readlink(ctx, "/memfs/l")
			_, lerr := root.Readlink("l")
			missed = errors.Join(missed, err, lerr)
			select {
			case <-done:
				ended <- missed
				return
			default:
			}
		}
	}()
	for n := range 200 {
		to := []string{"two", "one"}[n%2]
		if err := errors.Join(link(ctx, c, to, "/memfs/l"), linkLocal(root, to, "l")); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	if err := <-ended; err != nil {
		t.Errorf("there was none: %v", err)
	}
	list, err := c.List(ctx, "/memfs")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.ReadDir(dir)
	if err != nil || len(here) != 1 || len(list) != 2 {
		t.Errorf("it left %v and %v, %v", list, here, err)
	}
	if err := relink(ctx, c, "x", "/memfs/none/l"); vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("without a directory: %v", err)
	}
}
