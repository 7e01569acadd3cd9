package verbs

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
)

func TestFilter(t *testing.T) {
	var f filter
	for _, r := range []struct {
		pattern string
		keep    bool
	}{{"keep.o", true}, {"*.o", false}, {"/top", false}, {"a/*/c", false}, {"tmp/", false}, {"docs/**/*.md", false}, {"**/deep/x", false}} {
		if err := (ruleFlag{&f, r.keep}).Set(r.pattern); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]bool{
		"x.o": true, "sub/x.o": true, "sub/keep.o": false, "x.c": false, "top": true, "sub/top": false, "a/b/c": true, "a/b/b/c": false,
		"z/a/b/c": false, "tmp": false, "tmp!": true, "sub/tmp!": true, "docs/a.md": true, "docs/b/c/a.md": true, "a.md": false, "deep/x": true, "1/2/deep/x": true,
	} {
		name, dir := strings.CutSuffix(path, "!")
		if got := f.out(name, dir); got != want {
			t.Errorf("%s is left out: %v", path, got)
		}
	}
	for _, bad := range []string{"", "[", "a/[/b"} {
		if err := (ruleFlag{&f, false}).Set(bad); err == nil {
			t.Errorf("%q is a pattern", bad)
		}
	}
}

func TestSizeOf(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "10": 10, "4K": 4096, "4KB": 4000, "1MiB": 1 << 20, "+5": 5, "-5": -5, "2G": 2 << 30} {
		n, from, err := sizeOf(text)
		if n != want || from != (text[0] == '+' || text[0] == '-') || err != nil {
			t.Errorf("%s is %d, %v, %v", text, n, from, err)
		}
	}
	for _, bad := range []string{"", "x", "K", "1X", "9999999999999T", "1.5K", "--5"} {
		if n, _, err := sizeOf(bad); err == nil {
			t.Errorf("%q is %d", bad, n)
		}
	}
}

func TestModeChange(t *testing.T) {
	for _, c := range []struct {
		text      string
		old, want uint32
		dir       bool
	}{
		{"644", 0, 0o644, false}, {"+x", 0o644, 0o755, false}, {"u+x", 0o644, 0o744, false}, {"go-rwx", 0o755, 0o700, false},
		{"a=r", 0o755, 0o444, false}, {"u=rwx,g=,o=", 0o644, 0o700, false}, {"a+X", 0o644, 0o644, false}, {"a+X", 0o644, 0o755, true}, {"a+X", 0o744, 0o755, false},
	} {
		f, err := modeChange(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f(c.old, c.dir); got != c.want {
			t.Errorf("%s makes %o of %o, want %o", c.text, got, c.old, c.want)
		}
	}
	for _, bad := range []string{"", "u", "u+q", "z+x", "888", "7777", "u+x,", "+x+"} {
		if _, err := modeChange(bad); err == nil {
			t.Errorf("%q is a mode", bad)
		}
	}
}

// blind is a tree of which a directory cannot be listed to its end.
type blind struct {
	*localTree
	dir string
}

func (b blind) entries(ctx context.Context, rel string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for e, err := range b.localTree.entries(ctx, rel) {
			if !yield(e, err) {
				return
			}
		}
		if rel == b.dir {
			yield(entry{}, errors.New("cut off"))
		}
	}
}

func plantFiles(t *testing.T, names ...string) *localTree {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(n)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &localTree{root: root}
}

// mirrored makes dst like src, and returns what it says and what dst holds.
func mirrored(t *testing.T, src source, dst target) (said string, held []string, err error) {
	t.Helper()
	return mirroredIn(t.Context(), t, src, dst)
}

// mirroredIn is mirrored by a command that ends with ctx.
func mirroredIn(ctx context.Context, t *testing.T, src source, dst target) (said string, held []string, err error) {
	t.Helper()
	var out strings.Builder
	k := &copier{app: &app{Env: cli.New(strings.NewReader(""), io.Discard, &out)}, jobs: 4, mirror: true, compare: true, clean: true}
	k.meter.app, k.meter.form = k.app, "none"
	if k.spare, err = newSpool(); err != nil {
		t.Fatal(err)
	}
	defer k.spare.close()
	l := &leg{k, src, dst}
	err = k.several(ctx, nil, func(give func(job)) error { return l.all(ctx, ".", true, give) }, l.tidy)
	l.swapped(ctx, false)
	var walk func(rel string)
	walk = func(rel string) {
		for e, err := range dst.entries(t.Context(), rel) {
			if err != nil {
				t.Fatal(err)
			}
			at := filepath.ToSlash(filepath.Join(rel, e.name))
			if held = append(held, at); e.mode.IsDir() {
				walk(at)
			}
		}
	}
	walk(".")
	return out.String(), held, err
}

// Nothing is removed where something of the source was not seen, at the root or
// below, and the copies are made all the same where they can be.
func TestNothingIsDeletedUnseen(t *testing.T) {
	for _, dir := range []string{".", "sub"} {
		dst := plantFiles(t, "extra", "sub/extra", "z")
		said, held, err := mirrored(t, blind{plantFiles(t, "new", "sub/new"), dir}, dst)
		if err == nil || !slices.Contains(held, "extra") || !slices.Contains(held, "sub/extra") || !slices.Contains(held, "z") {
			t.Errorf("%s: %v, %q holds %v", dir, err, said, held)
		}
		if dir == "sub" && (!strings.Contains(said, "nothing is deleted") || !slices.Contains(held, "sub/new")) {
			t.Errorf("%q holds %v", said, held)
		}
	}
	dst := plantFiles(t, "extra", "sub/extra", "z")
	if said, held, err := mirrored(t, plantFiles(t, "new", "sub/new"), dst); err != nil || !slices.Equal(held, []string{"new", "sub", "sub/new"}) {
		t.Errorf("%v, %q holds %v", err, said, held)
	}
}

// What a killed copy has left is removed from a target, and stays in a source, and
// while it is being written.
func TestUnfinishedFiles(t *testing.T) {
	left, busy := unfinished+strings.Repeat("A", 26), unfinished+strings.Repeat("B", 26)
	src, dst := plantFiles(t, "f"), plantFiles(t, left, busy, ".pfs-mine")
	f, err := dst.root.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(f); err != nil {
		t.Fatal(err)
	}
	dst.ours = true
	if err := dst.mkdir(t.Context(), ".", 0o755); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(dst.name(".pfs-*"))
	if err != nil || len(names) != 2 || slices.Contains(names, dst.name(left)) {
		t.Errorf("%v, %v", names, err)
	}
	if said, held, err := mirrored(t, src, dst); err != nil || !slices.Equal(held, []string{"f"}) {
		t.Errorf("%v, %q holds %v", err, said, held)
	}
	if _, err := os.Stat(dst.name(busy)); err != nil {
		t.Errorf("it was being written: %v", err)
	}
	src = plantFiles(t, left)
	if _, held, err := mirrored(t, src, plantFiles(t)); err != nil || len(held) != 1 {
		t.Errorf("%v, holds %v", err, held)
	}
}

// A file that changes under the copy is never reported as copied.
func TestTornFiles(t *testing.T) {
	src, dst := plantFiles(t, "f"), plantFiles(t)
	n := 0
	_, held, err := mirrored(t, src, growing{dst, func() {
		n++
		if err := os.WriteFile(src.name("f"), []byte(strings.Repeat("x", n)), 0o644); err != nil {
			t.Error(err)
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "1 of 1") || n != tries {
		t.Errorf("%v after %d tries, holds %v", err, n, held)
	}
}

// What is in the way of something of another type is there again if that cannot be
// copied.
func TestWhatGaveWayIsPutBack(t *testing.T) {
	src, dst := plantFiles(t, "f"), plantFiles(t, "f/old")
	n := 0
	said, held, err := mirrored(t, src, growing{dst, func() {
		n++
		if err := os.WriteFile(src.name("f"), []byte(strings.Repeat("x", n)), 0o644); err != nil {
			t.Error(err)
		}
	}})
	if err == nil || !slices.Equal(held, []string{"f", "f/old"}) {
		t.Errorf("%v, %q holds %v", err, said, held)
	}
}

// growing does something at each write.
type growing struct {
	*localTree
	do func()
}

func (g growing) write(ctx context.Context, rel string, r io.Reader, e entry) (string, error) {
	g.do()
	return g.localTree.write(ctx, rel, r, e)
}
