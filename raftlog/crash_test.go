package raftlog

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// cuts is how many power cuts TestPowerCut makes; other packages make the rest
// of a thousand.
const cuts = 350

// model is what a store has said yes to.
type model struct {
	first, last uint64
	logs        map[uint64][]byte
	stable      map[string]uint64
}

func (m model) clone() model {
	m.logs, m.stable = maps.Clone(m.logs), maps.Clone(m.stable)
	return m
}

// diff tells how s differs from m, "" if it does not.
func (m model) diff(s Store) string {
	first, _ := s.FirstIndex()
	last, _ := s.LastIndex()
	if first != m.first || last != m.last {
		return fmt.Sprintf("log is %d to %d, want %d to %d", first, last, m.first, m.last)
	}
	for i, want := range m.logs {
		var got raft.Log
		if err := s.GetLog(i, &got); err != nil || !bytes.Equal(got.Data, want) {
			return fmt.Sprintf("entry %d: %v, %d bytes of %d", i, err, len(got.Data), len(want))
		}
	}
	for k, want := range m.stable {
		if got, err := s.GetUint64([]byte(k)); got != want {
			return fmt.Sprintf("%s is %d, want %d: %v", k, got, want, err)
		}
	}
	return ""
}

// step does one random write to s and to the model.
func (m *model) step(r *rand.Rand, s Store) error {
	kind := r.IntN(10)
	switch {
	case kind == 0:
		key, n := fmt.Sprint("key", r.IntN(3)), r.Uint64()
		m.stable[key] = n
		return s.SetUint64([]byte(key), n)
	case kind == 1 && m.last > m.first: // the head goes
		to := m.first + r.Uint64N(m.last-m.first)
		return m.delete(s, m.first, to)
	case kind == 2 && m.last > 0: // the tail goes, at times all
		return m.delete(s, m.last-min(r.Uint64N(5), m.last-m.first), m.last)
	}
	var logs []*raft.Log
	size := 300
	if kind == 9 {
		size = 100 << 10
	}
	for range 1 + r.IntN(8) {
		data := make([]byte, r.IntN(size))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		m.last++
		m.logs[m.last] = data
		if m.first == 0 {
			m.first = m.last
		}
		logs = append(logs, &raft.Log{Index: m.last, Term: 1, Data: data})
	}
	return s.StoreLogs(logs)
}

func (m *model) delete(s Store, from, to uint64) error {
	for i := from; i <= to; i++ {
		delete(m.logs, i)
	}
	low, high := m.first, m.last
	switch {
	case from == low && to == high:
		m.first, m.last = 0, 0
	case from == low:
		m.first = to + 1
	default:
		m.last = from - 1
	}
	return s.DeleteRange(from, to)
}

// TestPowerCut cuts the power after and in the middle of writes, again and
// again, each time going on from what the cut left: every write that returned
// must be there, and one cut short is there whole or not at all.
func TestPowerCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d cuts", seed, cuts)
	r := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewCrashableMem()
	m := model{logs: map[uint64][]byte{}, stable: map[string]uint64{}}
	s := openMem(t, fs)
	entries, values := 0, 0
	for cut := range cuts {
		for range r.IntN(20) {
			check(t, m.step(r, s))
		}
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 10, 50, 100}[r.IntN(5)], RNG: rand.New(rand.NewPCG(seed, uint64(cut)))}
		before, after := m, m
		var crashed *vfs.MemFS
		if cut%2 == 0 {
			crashed = fs.CrashClone(cfg)
		} else { // in the middle of a write
			before = m.clone()
			done := make(chan *vfs.MemFS)
			go func() { done <- fs.CrashClone(cfg) }()
			check(t, m.step(r, s))
			crashed, after = <-done, m
		}
		_ = s.Close() // of the machine that lost its power
		fs = crashed
		s = openMem(t, fs)
		lost := before.diff(s)
		if lost != "" && cut%2 == 1 {
			lost = after.diff(s)
			m = after
		} else {
			m = before
		}
		if lost != "" {
			t.Fatalf("seed %d, cut %d, %d%% of the unsynced kept: %s", seed, cut, cfg.UnsyncedDataPercent, lost)
		}
		entries, values = entries+len(m.logs), values+len(m.stable)
	}
	check(t, s.Close())
	if entries < cuts || values < cuts {
		t.Fatalf("%d entries and %d values were there after all cuts: the test proves nothing", entries, values)
	}
}
