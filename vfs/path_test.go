package vfs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func TestParsePath(t *testing.T) {
	long := strings.Repeat("n", vfs.MaxName)
	for _, c := range []struct{ in, want string }{
		{"/", "/"}, {"a", "/a"}, {"/a/", "/a"}, {"//a///b/", "/a/b"}, {"./a/./b", "/a/b"},
		{"/a/../b", "/b"}, {"/../../a", "/a"}, {"..", "/"}, {".", "/"}, {"/a/b/../..", "/"},
		{"/a b", "/a b"}, {"/ü/日本", "/ü/日本"}, {"/...", "/..."}, {"/a..b", "/a..b"},
		{"/" + long, "/" + long}, {"/%2e%2e/a", "/%2e%2e/a"},
		{strings.Repeat("/d", vfs.MaxDepth), strings.Repeat("/d", vfs.MaxDepth)},
	} {
		if got, err := vfs.ParsePath(c.in); string(got) != c.want || err != nil {
			t.Errorf("ParsePath(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "/a\x00b", "/a\nb", "/a\x7f", "/a\\b", "/\xff", "/" + long + "n",
		strings.Repeat("/d", vfs.MaxDepth+1), strings.Repeat("/"+long, 17)} {
		if got, err := vfs.ParsePath(in); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("ParsePath(%.40q) = %q, %v; want invalid", in, got, err)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/", "a/../b", "//x/./", "\xff", "/a\\", strings.Repeat("../", 9)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := vfs.ParsePath(s)
		if err != nil {
			return
		}
		if again, err := vfs.ParsePath(string(p)); again != p || err != nil {
			t.Errorf("%q is not clean: %q, %v", p, again, err)
		}
		q := vfs.Root
		for _, e := range p.Elems() {
			if e == "" || e == "." || e == ".." {
				t.Errorf("element %q in %q", e, p)
			}
			q = q.Child(e)
		}
		if q != p || !p.IsRoot() && p.Dir().Child(p.Base()) != p || !p.Under(p.Dir()) {
			t.Errorf("%q does not come apart", p)
		}
	})
}

func TestPathParts(t *testing.T) {
	for _, c := range []struct {
		p, dir vfs.Path
		base   string
		elems  []string
	}{
		{"/", "/", "/", nil}, {"", "/", "/", nil}, {"/a", "/", "a", []string{"a"}}, {"/a/b", "/a", "b", []string{"a", "b"}},
	} {
		if c.p.Dir() != c.dir || c.p.Base() != c.base || !slices.Equal(c.p.Elems(), c.elems) {
			t.Errorf("%q: %q %q %q", c.p, c.p.Dir(), c.p.Base(), c.p.Elems())
		}
	}
	for _, c := range []struct {
		p, dir vfs.Path
		under  bool
		rel    vfs.Path
	}{
		{"/a/b", "/a", true, "/b"}, {"/a", "/a", true, "/"}, {"/ab", "/a", false, ""}, {"/a", "/a/b", false, ""},
		{"/a", "/", true, "/a"}, {"/", "/", true, "/"}, {"/mnt-foo", "/mnt", false, ""},
	} {
		if got := c.p.Under(c.dir); got != c.under {
			t.Errorf("%q under %q: %v", c.p, c.dir, got)
		} else if got && (c.p.Rel(c.dir) != c.rel || c.dir.Join(c.rel) != c.p) {
			t.Errorf("%q relative to %q: %q", c.p, c.dir, c.p.Rel(c.dir))
		}
	}
}
