package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/vfs"
)

// cuts is how many power cuts TestPowerCut makes; other packages make the rest
// of a thousand.
const cuts = 350

const appliedKey = "\x00applied"

// history is the state after every commit since the last cut.
type history struct {
	states []map[string]string // states[i]: after commit base+i
	base   uint64              // the index of states[0]
	synced uint64              // everything up to this is durable
}

func (h *history) last() uint64 { return h.base + uint64(len(h.states)) - 1 }

// commit does one random commit with the next index.
func (h *history) commit(r *rand.Rand, s *Store) error {
	next := maps.Clone(h.states[len(h.states)-1])
	o := vfs.NewOverlay(s.View())
	for range 1 + r.IntN(6) {
		key := fmt.Sprintf("\x02%03d", r.IntN(200))
		switch n := r.IntN(20); {
		case n == 0:
			from, to := key, fmt.Sprintf("\x02%03d", r.IntN(200))
			o.DeleteRange([]byte(from), []byte(to))
			maps.DeleteFunc(next, func(k, _ string) bool { return k >= from && k < to })
		case n < 4:
			o.Delete([]byte(key))
			delete(next, key)
		default:
			size := 200
			if n == 19 {
				size = 60 << 10 // so that pebble begins new files
			}
			value := strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(size))
			o.Put([]byte(key), []byte(value))
			next[key] = value
		}
	}
	index := binary.BigEndian.AppendUint64(nil, h.last()+1)
	if err := s.Commit(o, KV{[]byte(appliedKey), index}); err != nil {
		return err
	}
	h.states = append(h.states, next)
	return nil
}

// recovered checks what a cut left: the state after some commit, not before
// the last sync. It returns the history from there on.
func (h *history) recovered(s *Store) (history, error) {
	state, applied := map[string]string{}, h.base
	for k, v := range s.View().Scan(nil, nil) {
		if string(k) == appliedKey {
			applied = binary.BigEndian.Uint64(v)
		} else {
			state[string(k)] = string(v)
		}
	}
	if applied < h.synced || applied > h.last() {
		return history{}, fmt.Errorf("recovered commit %d, synced %d, last %d", applied, h.synced, h.last())
	}
	if !maps.Equal(state, h.states[applied-h.base]) {
		return history{}, fmt.Errorf("the state at commit %d is not that of commits 1 to %d", applied, applied)
	}
	return history{states: []map[string]string{state}, base: applied, synced: applied}, nil
}

// TestPowerCut cuts the power between and during commits and syncs, again and
// again, each time going on from what the cut left.
func TestPowerCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d cuts", seed, cuts)
	r := rand.New(rand.NewPCG(seed, 1))
	fs := pebblevfs.NewCrashableMem()
	h := history{states: []map[string]string{{}}}
	s := open(t, "node/db", fs)
	lost, kept := 0, 0
	for cut := range cuts {
		cfg := pebblevfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 10, 50, 90, 100}[r.IntN(6)],
			RNG: rand.New(rand.NewPCG(seed, uint64(cut)))}
		done := make(chan *pebblevfs.MemFS, 1)
		steps := 1 + r.IntN(30)
		during, synced := r.IntN(steps), h.synced
		for i := range steps {
			if i == during {
				synced = h.synced // what the clone must at least hold
				go func() { done <- fs.CrashClone(cfg) }()
			}
			if r.IntN(8) == 0 {
				upto := h.last()
				check(t, s.Sync())
				h.synced = upto
			} else {
				check(t, h.commit(r, s))
			}
		}
		crashed := <-done
		if cut%3 == 0 { // nothing under way: the last sync counts
			crashed, synced = fs.CrashClone(cfg), h.synced
		}
		_ = s.Close() // of the machine that lost its power
		fs, h.synced = crashed, synced
		s = open(t, "node/db", fs)
		before := h.last()
		after, err := h.recovered(s)
		if err != nil {
			t.Fatalf("seed %d, cut %d, %d%% of the unsynced kept: %v", seed, cut, cfg.UnsyncedDataPercent, err)
		}
		h = after
		lost += int(before - h.base)
		kept += int(h.base - synced)
	}
	check(t, s.Close())
	if lost == 0 || h.base == 0 {
		t.Fatal("no cut lost anything: the test proves nothing")
	}
	t.Logf("%d commits survived, %d unsynced were lost, %d unsynced kept", h.base, lost, kept)
}

// TestCheckpointSurvivesPowerCut: a checkpoint that returned is whole.
func TestCheckpointSurvivesPowerCut(t *testing.T) {
	fs := pebblevfs.NewCrashableMem()
	s := open(t, "node/db", fs)
	r := rand.New(rand.NewPCG(5, 5))
	h := history{states: []map[string]string{{}}}
	for i := range 10 {
		for range 40 {
			check(t, h.commit(r, s))
		}
		dir := fmt.Sprint("checkpoint", i)
		check(t, s.Checkpoint(dir))
		c := open(t, dir, fs.CrashClone(pebblevfs.CrashCloneCfg{}))
		h.synced = h.last() // a checkpoint holds all that is committed
		if _, err := h.recovered(c); err != nil {
			t.Fatal(err)
		}
		check(t, c.Close())
		check(t, h.commit(r, s)) // the checkpoint does not see this
		c = open(t, dir, fs)
		if got := dump(c.View(), appliedKey, ""); !strings.HasSuffix(got, string(binary.BigEndian.AppendUint64(nil, h.synced))) {
			t.Fatalf("checkpoint moved to %q", got)
		}
		check(t, c.Close())
	}
	if err := s.Checkpoint("checkpoint3"); err == nil {
		t.Fatal("a checkpoint replaced another")
	}
	if names, err := fs.List("/"); err != nil || !slices.Contains(names, "node") {
		t.Fatal(names, err)
	}
	check(t, s.Close())
}

// TestCheckpointAfterACutStart makes checkpoints of a store whose power went,
// as it started, between the flush of what it had replayed and the first file of
// a new write-ahead log: pebble finds nothing to replay then, and begins no
// manifest before something is flushed.
func TestCheckpointAfterACutStart(t *testing.T) {
	fs := pebblevfs.NewMem()
	s := open(t, "db", fs)
	check(t, s.Commit(nil, KV{[]byte("a"), []byte("1")}))
	check(t, s.db.Flush())
	check(t, s.Close())
	names, err := fs.List("db")
	check(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			check(t, fs.Remove("db/"+name))
		}
	}
	s = open(t, "db", fs)
	defer func() { check(t, s.Close()) }()
	for i, holds := range []string{"a=1", "a=1 c=3"} {
		dir := fmt.Sprint("checkpoint", i)
		check(t, s.Checkpoint(dir))
		c := open(t, dir, fs)
		want(t, dump(c.View(), "", ""), holds)
		check(t, c.Close())
		check(t, s.Commit(nil, KV{[]byte("c"), []byte("3")}))
	}
}
