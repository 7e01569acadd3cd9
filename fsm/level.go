package fsm

import (
	"fmt"

	"github.com/pfs-project/pfs/vfs"
)

// Level is the newest feature level that this version knows. A cluster is at
// one level, which is in the log and never falls: what a level brings, be it a
// plugin type, a verb or a meaning, is used only once every member knows it, so
// that nodes of two versions fold the same log into the same state. A change
// that an older version would fold in another way raises the number; a plugin
// names the level that brought it in its Since.
//
// What each brought: 2 heartbeatfs, 3 leases of queues, 4 localfs, 5 keys of
// kvfs that end, 6 streamfs, 7 s3fs, 8 httpfs, 9 streamrotatefs, 10 sqlfs,
// 11 proxyfs, 12 sqlfs2, 13 the SQL backends of queuefs, 14 files of
// streamrotatefs outside the log, 15 third-party plugins, 16 streams in memory,
// 17 grants of modules, 18 the places of third-party plugins, 19 their processes.
const Level = 19

// PlacementLevel is the feature level from which on mounts of third-party plugins
// move to another node when theirs is away, and a library keeps its placement as
// long as it is mounted.
const PlacementLevel = 18

// ProcessesLevel is the feature level from which on third-party plugins can be granted
// to start processes; what was loaded before may.
const ProcessesLevel = 19

// raise takes the cluster to a feature level. A version that does not know the
// level stops: it could not fold what follows.
func (e *event) raise(to uint64) {
	if to <= getNum(e.tx, rowLevel) {
		return
	}
	if to > e.m.o.Level {
		panic(vfs.StoreFault{Err: tooOld(to, e.m.o.Level)})
	}
	e.tx.Put(sysKey(rowLevel), be64(to))
	for _, m := range e.table.Mounts() {
		e.tellLevel(e.tx, m)
	}
}

// tellLevel tells a mount, whose state is in tx, the feature level.
func (e *event) tellLevel(tx vfs.Tx, m vfs.Mounted) {
	if l, ok := m.FS.(vfs.Leveled); ok && m.Place == vfs.Replicated {
		l.Level(vfs.SubTx(tx, vfs.MountPrefix(m.ID)), getNum(e.tx, rowLevel))
	}
}

func tooOld(level, known uint64) error {
	return fmt.Errorf("the cluster is at feature level %d and this version knows up to %d: run a newer version", level, known)
}

// LevelOf returns the feature level of the cluster in the state v; 0 before its
// members have told theirs.
func LevelOf(v vfs.View) uint64 { return getNum(v, rowLevel) }
