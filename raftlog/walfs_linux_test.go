package raftlog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
)

// TestLogIsWrittenBeforehand: after the first appends the file of the log is as long
// as it will be, all of it on the disk, and an append changes neither.
func TestLogIsWrittenBeforehand(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenPebble(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	add := func(from, to uint64) {
		for i := from; i <= to; i++ {
			if err := s.StoreLogs([]*raft.Log{{Index: i, Term: 1, Data: []byte("entry")}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	length := func() (size, blocks int64) {
		names, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		st, err := os.Stat(names[len(names)-1])
		if err != nil {
			t.Fatal(err)
		}
		return st.Size(), st.Sys().(*syscall.Stat_t).Blocks
	}
	add(1, 10)
	size, blocks := length()
	if size < pebbleMemTable || blocks*512 < pebbleMemTable {
		t.Errorf("a log of %d bytes, %d blocks on the disk", size, blocks)
	}
	add(11, 200)
	if n, b := length(); n != size || b != blocks {
		t.Errorf("appends have made a log of %d bytes and %d blocks one of %d and %d", size, blocks, n, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenPebble(dir, nil); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if last, err := s.LastIndex(); err != nil || last != 200 {
		t.Errorf("%d, %v after the zeroes", last, err)
	}
}
