package tree_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

// golden is the state that goldenOps have always given. A change of it breaks
// every cluster that has such Ops in its log.
const golden = "017a18984e34ba2ba309b0efbb1603a7ddbdfc182fee6441b56d09a6c7f298d2"

func goldenOps() []vfs.Op {
	refs := []vfs.ChunkRef{{Hash: [32]byte{1}, Len: vfs.ChunkSize}, {Len: 100}, {Hash: [32]byte{2}, Off: 7, Len: 1000}}
	return []vfs.Op{
		mkdir("/d"), mkdir("/d/sub"), put("/d/f", "hello"),
		{Verb: vfs.Write, Path: "/d/f", Off: vfs.AtEnd, Data: []byte(" world")},
		{Verb: vfs.Write, Path: "/d/f", Off: 100_000, Data: []byte(strings.Repeat("x", 10_000))},
		{Verb: vfs.Write, Path: "/d/f", Off: 104_000, Data: []byte("in the middle")},
		{Verb: vfs.Write, Path: "/big", Flag: vfs.FlagCreate, Refs: refs},
		{Verb: vfs.Write, Path: "/big", Off: 1000, Data: []byte("cut in two")},
		{Verb: vfs.Truncate, Path: "/big", Off: vfs.ChunkSize + 500},
		{Verb: vfs.Truncate, Path: "/big", Off: vfs.ChunkSize + 5000},
		{Verb: vfs.Chmod, Path: "/big", Mode: 0o600},
		{Verb: vfs.Create, Path: "/empty", Mode: 0o640}, verb(vfs.Touch, "/touched"),
		link("/l", "../d/f"), rename("/d", "/e"), put("/gone", "x"), verb(vfs.Remove, "/gone"),
		mkdir("/t"), mkdir("/t/u"), put("/t/u/f", "x"), put("/t/g", "x"), verb(vfs.RemoveAll, "/t"),
		{Verb: vfs.Write, Path: "/long", Flag: vfs.FlagCreate, Refs: slices.Repeat(refs[:1], 1500)},
		put("/long", "short"), verb(vfs.Reap, "/"),
	}
}

func TestGolden(t *testing.T) {
	s := newState(t, tree.Options{Type: "t", Readme: true, Dirs: []vfs.Path{"/a/b"}, Files: []tree.File{{Path: "/a/c/f", Data: []byte("f")}}})
	for _, op := range goldenOps() {
		s.must(op)
		s.check()
	}
	sum := s.digest()
	if got := hex.EncodeToString(sum[:]); got != golden {
		t.Errorf("the Ops give %s", got)
	}
}
