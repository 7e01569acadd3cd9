package vfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{vfs.At(vfs.NotFound, "read", "/f"), "read: /f: not found"},
		{vfs.At(vfs.NotFound.With("parent directory"), "write", "/f"), "write: /f: not found (parent directory)"},
		{vfs.At(vfs.IsDirectory, "read", "/d"), "read: /d: is a directory"},
		{vfs.At(vfs.NotDirectory, "readdir", "/f"), "readdir: /f: not a directory"},
		{vfs.At(vfs.Exists, "create", "/f"), "file already exists: /f"},
		{vfs.At(vfs.Exists.With("directory"), "mkdir", "/d"), "directory already exists: /d"},
		{vfs.At(vfs.NotEmpty, "remove", "/d"), "directory not empty: /d"},
		{vfs.At(vfs.Permission.Withf("%s is write-only", "/q"), "read", "/q"), "read: /q: permission denied (/q is write-only)"},
		{vfs.At(errors.New("disk on fire"), "read", "/f"), "read: /f: internal error (disk on fire)"},
		{vfs.At(fs.ErrNotExist, "read", "/f"), "read: /f: not found (file does not exist)"},
		{vfs.At(fmt.Errorf("key %w", vfs.NotFound), "read", "/f"), "read: /f: not found (key not found)"},
		{vfs.At(vfs.At(vfs.NotFound, "stat", "/inner"), "read", "/outer"), "stat: /inner: not found"},
		{vfs.Invalid.With("reason alone"), "reason alone"},
		{&vfs.Error{Kind: vfs.Locked}, "locked"},
		{vfs.Kind(250), "internal error"},
	} {
		if c.err.Error() != c.want {
			t.Errorf("got %q, want %q", c.err, c.want)
		}
	}
	if vfs.At(nil, "read", "/f") != nil {
		t.Error("At(nil) is an error")
	}
}

func TestKinds(t *testing.T) {
	for k := vfs.Internal; k <= vfs.Empty; k++ {
		if !k.Valid() || k.Code() == "" || k.Error() == "" {
			t.Errorf("kind %d has no words", k)
		}
		if got := vfs.KindOf(fmt.Errorf("x: %w", vfs.At(k, "read", "/f"))); got != k {
			t.Errorf("KindOf(%v) = %v", k, got)
		}
	}
	if vfs.Kind(0).Valid() || (vfs.Crashed + 1).Valid() || vfs.Kind(99).Code() != "internal" {
		t.Error("an unknown kind is taken for a known one")
	}
	for _, c := range []struct {
		err, is error
	}{
		{vfs.NotFound, fs.ErrNotExist}, {vfs.Exists, fs.ErrExist}, {vfs.Permission, fs.ErrPermission}, {vfs.Invalid, fs.ErrInvalid},
	} {
		if !errors.Is(vfs.At(c.err, "read", "/f"), c.is) || vfs.KindOf(c.is) != c.err {
			t.Errorf("%v is not %v", c.err, c.is)
		}
	}
	if vfs.KindOf(nil) != 0 || vfs.KindOf(errors.New("x")) != vfs.Internal {
		t.Error("KindOf")
	}
}

func TestVerbs(t *testing.T) {
	for v := vfs.Create; v <= vfs.Begin; v++ {
		if !v.Valid() || v.String() == "" || v.String() == "unknown" {
			t.Errorf("verb %d has no name", v)
		}
	}
	if vfs.Verb(0).Valid() || vfs.Verb(200).String() != "unknown" {
		t.Error("an unknown verb is taken for a known one")
	}
	if s := vfs.Verbs(vfs.Write, vfs.Mkdir); !s.Has(vfs.Write) || s.Has(vfs.Create) {
		t.Errorf("set %b", s)
	}
	for p, want := range map[vfs.Placement]string{vfs.Replicated: "replicated", vfs.Shared: "shared", vfs.Pinned: "pinned", vfs.PerNode: "per-node", 9: "unknown"} {
		if p.String() != want {
			t.Errorf("placement %d = %s", p, p)
		}
	}
	op := vfs.Op{Data: []byte("abc"), Refs: []vfs.ChunkRef{{Len: 10}, {Len: 5}}}
	if op.Size() != 18 {
		t.Errorf("Size = %d", op.Size())
	}
}
