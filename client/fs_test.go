package client_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pfs-project/pfs/client"
)

// A tree of many directories, with links and empty files, is an fs.FS as the
// standard library has it.
func TestFSTree(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	if err := c.Mkdir(ctx, "/memfs/tree", 0o755); err != nil {
		t.Fatal(err)
	}
	dirs := []string{"."}
	var files, links []string
	for depth, level := 0, dirs; depth < 3; depth++ {
		var next []string
		for _, d := range level {
			for n := range 4 - depth {
				next = append(next, path.Join(d, fmt.Sprintf("d%d.%d", depth, n)))
			}
		}
		for _, d := range next {
			if err := c.Mkdir(ctx, path.Join("/memfs/tree", d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		dirs = append(dirs, next...)
		level = next
	}
	for i, d := range dirs {
		f := path.Join(d, fmt.Sprintf("file %d.txt", i))
		put(t, c, path.Join("/memfs/tree", f), strings.Repeat("c", i%5)) // each fifth is empty
		l := path.Join(d, fmt.Sprintf("link%d", i))
		if err := c.Symlink(ctx, path.Base(f), path.Join("/memfs/tree", l)); err != nil {
			t.Fatal(err)
		}
		files, links = append(files, f), append(links, l)
	}
	fsys := c.FS(ctx, "/memfs/tree")
	if err := fstest.TestFS(fsys, slices.Concat(dirs[1:], files, links)...); err != nil {
		t.Error(err)
	}
	plain := struct{ fs.ReadDirFS }{fsys.(fs.ReadDirFS)} // globbed by package fs
	for _, p := range []string{"*", "*/*", "d0.?/*", "d0.[12]/d1.1/link*", "*/d1.0/file 1*.txt", "nothing*", "file 0.txt", `file\ 0*`, "*/none/x", "d0.1/*/d2.0/*", "../*", "file 0.txt/*"} {
		want, err := fs.Glob(plain, p)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		if got, err := fs.Glob(fsys, p); !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: %d names %q, %v, want %d", p, len(got), got, err, len(want))
		}
	}
	if _, err := fs.Glob(fsys, "a["); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("bad pattern: %v", err)
	}
}

// A pattern asks for the names that begin as it does, and a cluster that does
// not answer is no directory without a match.
func TestGlobAsks(t *testing.T) {
	s := &script{}
	c := dial(t, client.Config{URLs: []string{s.serve(t, answer(200, `{"files":[{"name":"ab1"},{"name":"ab2"}]}`), hangUp)}, Retries: -1})
	got, err := fs.Glob(c.FS(t.Context(), "/d"), "ab[1-9]*")
	if err != nil || !slices.Equal(got, []string{"ab1", "ab2"}) {
		t.Errorf("%q, %v", got, err)
	}
	if r := s.requests(); len(r) != 1 || !strings.Contains(r[0].target, "prefix=ab&") && !strings.HasSuffix(r[0].target, "prefix=ab") {
		t.Errorf("%+v", r)
	}
	if got, err := fs.Glob(c.FS(t.Context(), "/d"), "*/x"); !errors.Is(err, client.ErrNoLeader) {
		t.Errorf("no answer: %q, %v", got, err)
	}
}
