package vfs_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// Links behave the same whoever keeps them, in the log or outside of it.
func TestLinks(t *testing.T) {
	for _, kind := range []string{"", "=own", "=tree", "=out", "=outown"} {
		t.Run("a"+kind, func(t *testing.T) {
			w := newWorld(t, "/a"+kind, "/b=own", "/c")
			w.script(`
				mkdir /a/d -> ok
				write /a/d/f hello -> ok
				ln /a/rel d/f -> ok
				ln /a/abs /a/d -> ok
				ln /a/up ../b -> ok
				ln /a/d/dot ./f -> ok
				cat /a/rel -> hello
				cat /a/abs/f -> hello
				cat /a/abs/dot -> hello
				stat /a/rel -> rel@ 777 3
				meta /a/rel -> mini symlink
				readlink /a/rel -> d/f
				ls /a -> [abs@ d/ rel@ up@]
				ls /a abs 2 -> [d/ rel@]
				ls /a/abs -> [dot@ f]
				ls /a/up -> []
				write /a/up/x far -> ok
				cat /b/x -> far
				real /a/up/x -> /b/x
				real /a/abs -> /a/d/
				write /a/rel again -> ok
				cat /a/d/f -> again
				create /a/rel -> file already exists: /a/rel
				mkdir /a/abs -> directory already exists: /a/abs
				mkdir /a/abs/sub -> ok
				chmod /a/rel -> ok
				ln /a/rel x -> symlink already exists: /a/rel
				ln /a/d x -> file already exists: /a/d
				ln /a/no/l x -> symlink: /a/no/l: not found (parent directory)
				rm /a/abs/sub -> ok
				ln /a/new d/made -> ok
				cat /a/new -> read: /a/new: not found
				write /a/new born -> ok
				cat /a/d/made -> born
				ln /a/later d/fresh -> ok
				create /a/later -> ok
				stat /a/d/fresh -> fresh 644 0
				rm /a/d/fresh -> ok
				rm /a/later -> ok
				excl /a/new no -> file already exists: /a/new
				rm /a/new -> ok
				cat /a/d/made -> born
				mv /a/up/x /a/up/y -> ok
				cat /b/y -> far
				mv /a/rel /a/moved -> ok
				cat /a/moved -> again
				rmall /a/abs -> ok
				cat /a/d/f -> again
				rm /a/d -> directory not empty: /a/d
				mv /a/d /a/e -> ok
				readlink /a/e/dot -> ./f
				cat /a/e/dot -> again
				stat /a/d -> stat: /a/d: not found
				rmall /a/e -> ok
				mkdir /a/e -> ok
				ls /a/e -> []
				stat /a/moved -> moved@ 777 3
				rmall /a/moved -> ok
				rm /a/up -> ok
				rm /a/e -> ok
				ls /a -> []
			`)
			for k := range w.state {
				if k[0] == vfs.SystemSpace {
					t.Errorf("left behind: %q", k)
				}
			}
		})
	}
}

func TestLinkLoops(t *testing.T) {
	for _, kind := range []string{"", "=own", "=tree", "=outown"} {
		w := newWorld(t, "/a"+kind, "/b")
		w.script(`
			ln /a/x y -> ok
			ln /a/y /b/z -> ok
			ln /b/z ../a/x -> ok
			cat /a/x -> read: /a/x: invalid argument (too many levels of symbolic links)
			ls /a/x -> readdir: /a/x: invalid argument (too many levels of symbolic links)
			write /a/x v -> write: /a/x: invalid argument (too many levels of symbolic links)
			create /b/z/f -> create: /b/z/f: invalid argument (too many levels of symbolic links)
			mv /a/x/q /a/r -> rename: /a/x/q: invalid argument (too many levels of symbolic links)
			stat /a/x -> x@ 777 1
			rm /a/x -> ok
		`)
		w = newWorld(t, "/a"+kind)
		w.script("write /a/l0 end -> ok")
		for i := range vfs.MaxLinks + 1 {
			w.script(fmt.Sprintf("ln /a/l%d l%d -> ok", i+1, i))
		}
		w.script(fmt.Sprintf(`
			cat /a/l%d -> end
			cat /a/l%d -> read: /a/l%[2]d: invalid argument (too many levels of symbolic links)`,
			vfs.MaxLinks, vfs.MaxLinks+1))
	}
}

func TestKeptLinkListing(t *testing.T) {
	w := newWorld(t, "/a")
	w.script(`
		mkdir /a/x -> ok
		mkdir /a/x/y -> ok
		write /a/x-1 f -> ok
		ln /a/x/one t -> ok
		ln /a/x/y/two t -> ok
		ln /a/x/y/three t -> ok
		ln /a/x.a t -> ok
		ln /a/x.b t -> ok
		ln /a/x0 t -> ok
		ls /a -> [x/ x-1 x.a@ x.b@ x0@]
		ls /a x.a -> [x.b@ x0@]
		ls /a x -> [x-1 x.a@ x.b@ x0@]
		ls /a x 2 -> [x-1 x.a@]
		ls /a/x -> [one@ y/]
		ls /a/x/y -> [three@ two@]
		rm /a/x/y -> directory not empty: /a/x/y
		rmall /a/x -> ok
		ls /a -> [x-1 x.a@ x.b@ x0@]
		mkdir /a/x -> ok
		ls /a/x -> []
	`)
}

func TestKeptLinkRename(t *testing.T) {
	w := newWorld(t, "/a", "/dev=out")
	w.script(`
		write /a/f file -> ok
		mkdir /a/d -> ok
		ln /a/l one -> ok
		ln /a/m two -> ok
		mv /a/l /a/m -> ok
		readlink /a/m -> one
		stat /a/l -> stat: /a/l: not found
		mv /a/m /a/d -> directory already exists: /a/d
		mv /a/m /a/no/x -> rename: /a/m: not found (parent directory)
		mv /a/m /a/f -> ok
		readlink /a/f -> one
		ls /a -> [d/ f@]
		write /a/g file -> ok
		mv /a/d /a/f -> symlink already exists: /a/f
		mv /a/g /a/f -> ok
		cat /a/f -> file
		ln /a/d/deep t -> ok
		mkdir /a/e -> ok
		mv /a/e /a/d -> directory not empty: /a/d
		ln /dev/l t -> ok
		write /dev/f x -> ok
	`)
	w.script(`
		ln /dev/m u -> ok
		mv /dev/m /dev/m -> ok
		mv /dev/m /dev/k -> ok
		mv /dev/k /dev/l -> ok
		readlink /dev/l -> u
		ls /dev -> [f l@]
	`)
	ctx := context.Background()
	for _, op := range []vfs.Op{
		{Verb: vfs.Rename, Path: "/dev/l", To: "/dev/f"},
		{Verb: vfs.Rename, Path: "/dev/f", To: "/dev/l"},
	} {
		if err := w.table.Check(ctx, w.state, op); vfs.KindOf(err) != vfs.Exists {
			t.Errorf("%s to %s: %v", op.Path, op.To, err)
		}
	}
	if _, err := w.propose(vfs.Op{Verb: vfs.Remove, Path: "/dev/l", If: vfs.Cond{Kind: vfs.IfVersion, Version: 1}}); vfs.KindOf(err) != vfs.Stale {
		t.Errorf("stale removal: %v", err)
	}
}

func TestResolve(t *testing.T) {
	w := newWorld(t, "/a", "/b=own")
	w.script("mkdir /b/d -> ok\n ln /a/l ../b/k -> ok\n ln /b/k d -> ok")
	for _, c := range []struct {
		in    vfs.Path
		final bool
		want  vfs.Path
	}{
		{"/a/l", true, "/b/d"}, {"/a/l", false, "/a/l"}, {"/a/l/x", false, "/b/d/x"},
		{"/a/none/x", true, "/a/none/x"}, {"/nowhere", true, "/nowhere"},
	} {
		got, err := w.table.Resolve(context.Background(), w.state, c.in, c.final)
		if got != c.want || err != nil {
			t.Errorf("Resolve(%s, %v) = %s, %v; want %s", c.in, c.final, got, err, c.want)
		}
	}
}

// A broken row is a fault of the store, not a missing link.
func TestBrokenLinkRow(t *testing.T) {
	w := newWorld(t, "/a")
	w.script("ln /a/l t -> ok")
	for k := range w.state {
		w.state[k] = "x"
	}
	defer func() {
		if _, ok := recover().(vfs.StoreFault); !ok {
			t.Error("no StoreFault")
		}
	}()
	w.table.Stat(context.Background(), w.state, "/a/l")
}
