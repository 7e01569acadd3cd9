package vfs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func TestTableRoutes(t *testing.T) {
	w := newWorld(t, "/a", "/a/b", "/mnt")
	w.script(`
		mkdir /a/bc -> ok                # a mount /a/b does not hide /a/bc
		write /a/bc/f one -> ok
		write /a/b/f two -> ok
		cat /a/bc/f -> one
		cat /a/b/f -> two
		ls /a -> [b* bc/]
		ls / -> [a* mnt*]
		write /mnt-foo/x no -> write: /mnt-foo/x: not found
		stat /a/b -> b/ 755 0
		stat /mnt -> mnt/ 755 0
		stat / -> /* 755 0
		meta / -> rootfs root
		cat / -> read: /: is a directory
		cat /a -> read: /a: is a directory
		ls /nope -> readdir: /nope: not found
		stat /nope -> stat: /nope: not found
		cat /nope -> read: /nope: not found
		ls /a/bc/f -> readdir: /a/bc/f: not a directory
	`)
	w = newWorld(t, "/", "/mnt")
	w.script(`
		write /mnt-foo top -> ok
		write /mnt/foo inside -> ok
		cat /mnt-foo -> top
		cat /mnt/foo -> inside
		ls / -> [mnt* mnt-foo]
		ls / mnt -> [mnt-foo]
		ls / - 1 -> [mnt*]
		stat / -> // 755 0
	`)
	if m, rel, ok := w.table.Route("/mnt/x/y"); !ok || m.Path != "/mnt" || rel != "/x/y" {
		t.Errorf("Route = %v %v %v", m.Path, rel, ok)
	}
	if _, _, ok := newWorld(t, "/x").table.Route("/"); ok {
		t.Error("the root of nothing is routed")
	}
	if got := w.table.Mounts(); len(got) != 2 || got[0].Path != "/" || got[1].Path != "/mnt" {
		t.Errorf("Mounts = %v", got)
	}
}

func TestTableVirtual(t *testing.T) {
	w := newWorld(t, "/x/y/z", "/x/y/w", "/=own")
	w.script(`
		stat /x -> x* 755 0
		meta /x/y -> rootfs mount-point
		ls /x -> [y*]
		ls /x/y -> [w* z*]
		ls /x/y w -> [z*]
		ls /x/y - 1 -> [w*]
		mkdir /x -> directory already exists: /x
		create /x -> file already exists: /x
		write /x no -> write: /x: is a directory
		rm /x -> remove: /x: permission denied (mount point)
		rmall /x/y -> remove: /x/y: permission denied (mount point)
		rmall / -> remove: /: permission denied (mount point)
		mv /x /k -> rename: /x: permission denied (mount point)
		ln /x /k -> symlink: /x: permission denied (mount point)
		write /f v -> ok
		mv /f /x/y -> rename: /f: permission denied (mount point)
		rm /x/y/z -> remove: /x/y/z: permission denied (mount point)
		mkdir /x/y/z -> directory already exists: /x/y/z
		ls / -> [f x*]
	`)
	w = newWorld(t, "/m/n")
	w.script(`
		mkdir /new -> mkdir: /new: permission denied (not allowed to create in rootfs, use mount instead)
		create /m/new -> create: /m/new: permission denied (not allowed to create in rootfs, use mount instead)
		ln /new /m -> symlink: /new: permission denied (not allowed to create in rootfs, use mount instead)
		write /new x -> write: /new: not found
		rm /new -> remove: /new: not found
		mv /new /m/n/x -> rename: /new: not found
		chmod /m -> chmod: /m: permission denied (mount point)
		touch /new -> touch: /new: not found
		truncate /m -> truncate: /m: is a directory
		take /m -> read: /m: is a directory
		write /m/n/f x -> ok
		mv /m/n/f /new -> rename: /m/n/f: permission denied (not allowed to create in rootfs, use mount instead)
	`)
}

func TestTableHidesWhatMountsCover(t *testing.T) {
	w := newWorld(t, "/a=own")
	w.script(`
		mkdir /a/d -> ok
		write /a/f file -> ok
		ln /a/l /a/d -> ok
		write /a/d/g g -> ok
	`)
	mounts := w.table.Mounts()
	for i, p := range []vfs.Path{"/a/d/m", "/a/f/m", "/a/l/m"} {
		mounts = append(mounts, vfs.Mounted{ID: uint64(10 + i), Path: p, Type: "mini", Place: vfs.Replicated, FS: mini{}, Verbs: noLinks()})
	}
	w.table = vfs.NewTable(mounts)
	w.script(`
		ls /a -> [d* f* l*]
		ls /a/d -> [g m*]
		ls /a/f -> [m*]
		ls /a/l -> [m*]
		stat /a/d -> d/ 755 0
		stat /a/f -> f* 755 0
		stat /a/l -> l* 755 0
		cat /a/f -> read: /a/f: is a directory
		cat /a/l/g -> read: /a/l/g: not found
		write /a/l/m/x in -> ok
		cat /a/l/m/x -> in
		rmall /a/d -> remove: /a/d: permission denied (mount point)
		mv /a/d /a/e -> rename: /a/d: permission denied (mount point)
		rm /a/d/g -> ok
	`)
}

func TestTableErrors(t *testing.T) {
	w := newWorld(t, "/a", "/b=own", "/down=down")
	w.script(`
		write /a/no/f x -> write: /a/no/f: not found (parent directory)
		write /b/no/f x -> write: /b/no/f: not found (parent directory)
		mkdir /a/no/d -> mkdir: /a/no/d: not found
		mkdir /a/d -> ok
		mkdir /a/d -> directory already exists: /a/d
		create /a/f -> ok
		create /a/f -> file already exists: /a/f
		write /a/d x -> write: /a/d: is a directory
		write /a/d/f x -> ok
		rm /a/d -> directory not empty: /a/d
		rm /a/x -> remove: /a/x: not found
		mv /a/f /b/f -> cannot rename across different mounts
		mv /a/d /a/d/e/f -> rename: /a/d: invalid argument (into itself)
		mv /a/f /a/f -> ok
		mv /a/x /a/x -> rename: /a/x: not found
		mv /a/x /a/y -> rename: /a/x: not found
		mv /a/d /a -> rename: /a/d: permission denied (mount point)
		readlink /a/f -> readlink: /a/f: not found
		readlink /a/x -> readlink: /a/x: not found
		ls /down -> readdir: /down: unavailable (disk is gone)
		stat /down/x -> stat: /down/x: unavailable (disk is gone)
		cat /down/x -> read: /down/x: unavailable (disk is gone)
		write /down/x y -> write: /down/x: unavailable (disk is gone)
		ls / -> [a* b* down*]
		take /a/f -> read: /a/f: operation not supported
		write /a/take job -> ok
		take /a/take -> job
		real /a/x -> open: /a/x: not found
	`)
	_, err := w.table.Stat(context.Background(), w.state, "/a/gone")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestTableSizes(t *testing.T) {
	w := newWorld(t, "/a")
	for _, c := range []struct {
		op   vfs.Op
		want string
	}{
		{vfs.Op{Verb: vfs.Truncate, Path: "/a/f", Off: -1}, "truncate: /a/f: invalid argument (negative size)"},
		{vfs.Op{Verb: vfs.Truncate, Path: "/a/f", Off: vfs.MaxSize + 1}, "truncate: /a/f: too large"},
		{vfs.Op{Verb: vfs.Write, Path: "/a/f", Off: -1}, "write: /a/f: invalid argument (negative offset)"},
		{vfs.Op{Verb: vfs.Write, Path: "/a/f", Off: vfs.MaxSize, Data: []byte("x")}, "write: /a/f: too large"},
		{vfs.Op{Verb: vfs.Rename, Path: "/a/f"}, "rename: /a/f: invalid argument (no new name)"},
		{vfs.Op{Verb: vfs.Symlink, Path: "/a/f"}, "symlink: /a/f: invalid argument (target is not a path)"},
		{vfs.Op{Verb: vfs.Mount, Path: "/a/f"}, "mount: /a/f: operation not supported"},
		{vfs.Op{Verb: 200, Path: "/a/f"}, "unknown: /a/f: operation not supported"},
	} {
		if _, err := w.propose(c.op); err == nil || err.Error() != c.want {
			t.Errorf("%v: got %v, want %s", c.op, err, c.want)
		}
	}
	if _, err := w.table.ReadAt(context.Background(), w.state, "/a", nil, -1); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("read at -1: %v", err)
	}
}

func TestTableVerbs(t *testing.T) {
	w := newWorld(t, "/a")
	m := w.table.Mounts()
	m[0].Verbs = vfs.Verbs(vfs.Mkdir)
	w.table = vfs.NewTable(m)
	w.script(`
		mkdir /a/d -> ok
		write /a/f x -> write: /a/f: operation not supported
		rm /a/d -> remove: /a/d: operation not supported
		mv /a/d /a/e -> rename: /a/d: operation not supported
		ln /a/l d -> ok          # the Table keeps it
		mv /a/l /a/k -> ok
		rm /a/k -> ok
		ls /a -> [d/]
	`)
}

func TestTableMoved(t *testing.T) {
	w := newWorld(t, "/a", "/b", "/dev=out")
	for _, op := range []vfs.Op{
		{Verb: vfs.Create, Path: "/a/f", Mount: 2},
		{Verb: vfs.Rename, Path: "/a/f", To: "/a/g", Mount: 2},
		{Verb: vfs.Create, Path: "/dev/f"},
		{Verb: vfs.Remove, Path: "/dev/f"},
		{Verb: vfs.RemoveAll, Path: "/dev/f"},
		{Verb: vfs.Rename, Path: "/dev/f", To: "/dev/g"},
	} {
		if _, err := w.apply(op); vfs.KindOf(err) != vfs.Moved {
			t.Errorf("%v %s: %v, want moved", op.Verb, op.Path, err)
		}
	}
}

func TestTableConditions(t *testing.T) {
	for _, mount := range []string{"/a", "/a=own", "/a=tree"} {
		w := newWorld(t, mount)
		w.script("write /a/f one -> ok\n ln /a/l f -> ok\n ln /a/new missing -> ok")
		current := w.seq - 2
		for _, c := range []struct {
			verb    vfs.Verb
			path    vfs.Path
			cond    vfs.Cond
			current uint64
			ok      bool
		}{
			{vfs.Write, "/a/f", vfs.Cond{Kind: vfs.IfVersion, Version: 1}, current, false},
			{vfs.Write, "/a/f", vfs.Cond{Kind: vfs.IfAbsent}, current, false},
			{vfs.Write, "/a/l", vfs.Cond{Kind: vfs.IfAbsent}, current, false},
			{vfs.Write, "/a/x", vfs.Cond{Kind: vfs.IfExists}, 0, false},
			{vfs.Write, "/a/x/y", vfs.Cond{Kind: vfs.IfVersion, Version: 0}, 0, false},
			{vfs.Write, "/a/l/y", vfs.Cond{Kind: vfs.IfVersion, Version: 0}, 0, false},
			{vfs.Remove, "/a/f", vfs.Cond{Kind: vfs.IfVersion, Version: 1}, current, false},
			{vfs.Remove, "/a/l", vfs.Cond{Kind: vfs.IfVersion, Version: current}, current + 1, false},
			{vfs.Rename, "/a/f", vfs.Cond{Kind: vfs.IfVersion, Version: 1}, current, false},
			{vfs.Write, "/a/l", vfs.Cond{Kind: vfs.IfVersion, Version: current}, 0, true},
			{vfs.Write, "/a/new", vfs.Cond{Kind: vfs.IfAbsent}, 0, true},
			{vfs.Write, "/a/missing", vfs.Cond{Kind: vfs.IfExists}, 0, true},
		} {
			op := vfs.Op{Verb: c.verb, Path: c.path, To: "/a/to", If: c.cond, Flag: vfs.FlagCreate}
			_, err := w.propose(op)
			var e *vfs.Error
			switch {
			case c.ok && err != nil:
				t.Errorf("%s %v %s %v: %v", mount, c.verb, c.path, c.cond, err)
			case !c.ok && (!errors.As(err, &e) || e.Kind != vfs.Stale || e.Version != c.current):
				t.Errorf("%s %v %s %v: %v, want stale at %d", mount, c.verb, c.path, c.cond, err, c.current)
			}
		}
	}
}

func TestTableByID(t *testing.T) {
	w := newWorld(t, "/a", "/dev=out")
	w.script("write /a/byid one -> ok")
	version := w.seq
	for _, c := range []struct {
		op   vfs.Op
		want string
	}{
		{vfs.Op{Verb: vfs.Write, Mount: 1, File: 7, Data: []byte("two")}, "ok"},
		{vfs.Op{Verb: vfs.Write, Mount: 1, File: 7, If: vfs.Cond{Kind: vfs.IfVersion, Version: version}}, "write: /a/byid: version does not match"},
		{vfs.Op{Verb: vfs.Write, Mount: 1, File: 8, If: vfs.Cond{Kind: vfs.IfExists}}, "write: /a: version does not match"},
		{vfs.Op{Verb: vfs.Write, Mount: 9, File: 7, Path: "/a/old"}, "write: /a/old: not found"},
		{vfs.Op{Verb: vfs.Remove, Mount: 1, File: 7}, "remove: /a/byid: invalid argument (needs a path)"},
		{vfs.Op{Verb: vfs.Write, Mount: 2, File: 7}, "write: /dev/byid: mount has moved"},
		{vfs.Op{Verb: vfs.Reap, Mount: 1, Path: "/some/work"}, "ok"},
		{vfs.Op{Verb: vfs.Reap, Mount: 9, Path: "/some/work"}, "reap: /some/work: not found"},
	} {
		if _, err := w.apply(c.op); answer("ok", err) != c.want {
			t.Errorf("%v: %v, want %s", c.op, err, c.want)
		}
	}
	w.script("cat /a/byid -> two\n cat /a/reaped -> /some/work")
	if m, rel, err := w.table.Target(context.Background(), w.state, vfs.Op{Verb: vfs.Write, Mount: 2, File: 7, Path: "/dev/x"}); err != nil || m.ID != 2 || rel.Path != "/x" {
		t.Errorf("Target = %v %v %v", m.ID, rel.Path, err)
	}
}

func TestTableWalk(t *testing.T) {
	w := newWorld(t, "/", "/a/b", "/bad=down")
	w.script(`
		mkdir /d -> ok
		write /d/f x -> ok
		write /d/take x -> ok
		ln /d/l / -> ok
		mkdir /skip -> ok
		write /skip/f x -> ok
		write /a/b/f x -> ok
	`)
	var seen []string
	err := vfs.Walk(context.Background(), w.table, w.state, "/", func(p vfs.Path, info vfs.Info, err error) error {
		s := string(p)
		if err != nil {
			s += "!"
		}
		seen = append(seen, s)
		if p == "/skip" {
			return fs.SkipDir
		}
		return nil
	})
	want := "/ /a /a/b /a/b/f /bad /bad! /d /d/f /d/l /skip"
	if got := strings.Join(seen, " "); got != want || err != nil {
		t.Errorf("walked %s, %v\nwant   %s", got, err, want)
	}
	stop := errors.New("stop")
	if err := vfs.Walk(context.Background(), w.table, w.state, "/nope", func(_ vfs.Path, _ vfs.Info, err error) error {
		if err == nil {
			t.Error("no error for a missing path")
		}
		return stop
	}); err != stop {
		t.Errorf("err = %v", err)
	}
	if err := vfs.Walk(context.Background(), w.table, w.state, "/", func(vfs.Path, vfs.Info, error) error { return fs.SkipAll }); err != nil {
		t.Error(err)
	}
}

// Of two mounts at one path the later wins, and ids find mounts.
func TestTableTwice(t *testing.T) {
	table := vfs.NewTable([]vfs.Mounted{
		{ID: 1, Path: "/a", Type: "old", Place: vfs.Replicated, FS: mini{}},
		{ID: 2, Path: "/a", Type: "new", Place: vfs.Replicated},
	})
	if got := table.Mounts(); len(got) != 1 || got[0].Type != "new" {
		t.Errorf("Mounts = %v", got)
	}
	if _, ok := table.Mount(1); ok {
		t.Error("the mount that lost is found by its id")
	}
	if m, ok := table.Mount(2); !ok || m.Type != "new" {
		t.Errorf("Mount(2) = %v, %v", m.Type, ok)
	}
	_, err := table.Stat(context.Background(), mapView{}, "/a")
	if answer("", err) != "stat: /a: unavailable (mount is not up)" {
		t.Error(err)
	}
	for _, file := range []uint64{7, 8} {
		if p, ok := table.PathOf(mapView{}, 2, file); ok {
			t.Errorf("PathOf = %s in a mount without ids", p)
		}
	}
}

// A directory of more entries than Walk holds at once, and one that fails.
func TestTableWalkPages(t *testing.T) {
	w := newWorld(t, "/a", "/down=down")
	const n = 1100
	for i := range n {
		w.state.Put(append(vfs.MountPrefix(1), fmt.Sprintf("/f%04d", i)...), row('f', 1, ""))
	}
	seen, failed := 0, 0
	walk := func(stop error) error {
		seen, failed = 0, 0
		return vfs.Walk(context.Background(), w.table, w.state, "/", func(p vfs.Path, info vfs.Info, err error) error {
			if err != nil {
				failed++
				return stop
			}
			if !info.IsDir() {
				seen++
			}
			return nil
		})
	}
	if err := walk(nil); err != nil || seen != n || failed != 1 {
		t.Errorf("%v: saw %d files and %d errors", err, seen, failed)
	}
	if err := walk(fs.SkipDir); err != nil || failed != 1 {
		t.Errorf("%v after leaving out what fails", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := vfs.Walk(ctx, w.table, w.state, "/a", func(vfs.Path, vfs.Info, error) error { return nil })
	if err != context.Canceled {
		t.Errorf("a cancelled walk ends with %v", err)
	}
}
