package raftlog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/test/harness"
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
	// A node that is killed leaves the zeroes behind its last entry.
	killed := filepath.Join(t.TempDir(), "killed")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	check(t, s.Close())
	after, err := OpenPebble(killed, nil)
	check(t, err)
	defer after.Close()
	if last, err := after.LastIndex(); err != nil || last != 200 {
		t.Errorf("%d, %v of 200 entries before the zeroes", last, err)
	}
}

// TestLittleSpace opens a log where there is room for appends, and none to set it
// aside: they are not made to wait.
func TestLittleSpace(t *testing.T) {
	disk := harness.NewDisk(t, 64)
	s, v := onVolume(t, "pebble", disk.Dir())
	hold := filepath.Join(disk.Dir(), "hold")
	check(t, os.WriteFile(hold, make([]byte, 2<<20), 0o600))
	disk.Fill()
	check(t, os.Remove(hold))
	for i := uint64(1); i < 50; i++ {
		check(t, s.StoreLogs(entries(i, i)))
	}
	if v.Starving() {
		t.Error("a write waits for space")
	}
	check(t, s.Close())
	v.Close()
}
