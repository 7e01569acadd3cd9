package raftlog

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/volume"
)

// onVolume opens a store on a disk of its own, watched as a node does.
func onVolume(t *testing.T, kind, dir string) (*Watched, *volume.Volume) {
	t.Helper()
	v, err := volume.Open(volume.Options{Dir: dir, Ballast: -1})
	check(t, err)
	var s Store
	if kind == "bolt" {
		s, err = OpenBolt(filepath.Join(dir, "raft"))
	} else {
		s, err = OpenPebble(filepath.Join(dir, "raft"), v.FS(vfs.Default))
	}
	check(t, err)
	return Watch(s, WatchOptions{MaxCacheBytes: 1 << 10, Retry: v.Retry, NoSpace: volume.NoSpace, Starving: v.Starving,
		OnFault: func(err error) { t.Errorf("a fault: %v", err) }}), v
}

// TestNoSpaceIsNoFault fills the disk under a log to the last block, again and
// again: appends are turned down, what was acknowledged stays, and appends go
// on when there is space, also after the log was opened afresh.
func TestNoSpaceIsNoFault(t *testing.T) {
	for _, kind := range []string{"bolt", "pebble"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			disk := harness.NewDisk(t, 64)
			s, v := onVolume(t, kind, disk.Dir())
			m := model{logs: map[uint64][]byte{}, stable: map[string]uint64{}}
			refused := 0
			for round := range 4 {
				for range 30 {
					check(t, appendRandom(s, &m))
				}
				disk.Fill()
				for tries := 0; ; tries++ {
					before := m.clone()
					err := appendRandom(s, &m)
					if err == nil && tries < 200 {
						continue // into blocks that the log has already
					}
					if !errors.Is(err, ErrNoSpace) && !errors.Is(err, ErrLeft) {
						t.Fatalf("round %d: append %d without space: %v", round, tries, err)
					}
					m = before
					if refused++; refused%3 == 0 {
						break
					}
				}
				if d := m.diff(s); d != "" && kind == "bolt" {
					t.Fatalf("round %d: without space: %s", round, d)
				}
				disk.Free()
				check(t, appendRandom(s, &m)) // takes the place of what was left
				if d := m.diff(s); d != "" {
					t.Fatalf("round %d: with space again: %s", round, d)
				}
				if round%2 == 1 {
					check(t, s.Close())
					s, v = onVolume(t, kind, disk.Dir())
					if d := m.diff(s); d != "" {
						t.Fatalf("round %d: opened afresh: %s", round, d)
					}
				}
			}
			v.Close()
			check(t, s.Close())
			t.Logf("%d appends found no space, %d entries", refused, m.last)
		})
	}
}
