package store

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pfs-project/pfs/vfs"
)

var errDisk = errors.New("input/output error")

// TestEveryFailedSyncIsFinal fails the first sync, then the second, and so on
// until none fails: Fatal hears of it once, nothing is said yes to afterwards,
// and what a Sync covered before survives a power cut.
func TestEveryFailedSyncIsFinal(t *testing.T) {
	faults := 0
	for n := int64(1); ; n++ {
		var seen atomic.Int64
		injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && seen.Add(1) == n {
				return errDisk
			}
			return nil
		})
		if oneFault(t, n, injector) {
			faults++
		}
		if seen.Load() < n {
			break
		}
	}
	if faults < 20 {
		t.Fatalf("only %d faults: the test proves nothing", faults)
	}
}

func oneFault(t *testing.T, n int64, injector errorfs.Injector) (failed bool) {
	mem := pebblevfs.NewCrashableMem()
	var heard []error
	s, err := Open("db", Options{FS: errorfs.Wrap(mem, injector), Fatal: func(err error) { heard = append(heard, err) }})
	if err != nil {
		return true
	}
	h, r := history{states: []map[string]string{{}}}, rand.New(rand.NewPCG(uint64(n), 0))
	for i := range 60 {
		err, upto := s.Sync(), h.last()
		if i%2 == 0 {
			err = smallCommit(&h, r, s)
		}
		switch {
		case err != nil:
			failed = true
		case failed:
			t.Fatalf("sync %d failed, and a later call was said yes to", n)
		case i%2 == 1:
			h.synced = upto
		}
	}
	if failed != (len(heard) == 1) || failed && !errors.Is(heard[0], errDisk) {
		t.Fatalf("sync %d: failed %v, heard %v", n, failed, heard)
	}
	if failed {
		if err := panics(t, func() { s.Snapshot().Get([]byte("k")) }); !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		c := open(t, "db", mem.CrashClone(pebblevfs.CrashCloneCfg{}))
		if _, err := h.recovered(c); err != nil {
			t.Fatalf("sync %d failed: %v", n, err)
		}
		check(t, c.Close())
	}
	_ = s.Close()
	return failed
}

// smallCommit is a commit that pebble begins no new file for: it would answer
// a failure then with the end of the process.
func smallCommit(h *history, r *rand.Rand, s *Store) error {
	o := vfs.NewOverlay(s.View())
	next := map[string]string{"\x02k": strings.Repeat("x", r.IntN(100))}
	o.Put([]byte("\x02k"), []byte(next["\x02k"]))
	index := make([]byte, 8)
	index[7] = byte(h.last() + 1)
	if err := s.Commit(o, KV{[]byte(appliedKey), index}); err != nil {
		return err
	}
	h.states = append(h.states, next)
	return nil
}

// TestDamageIsNeverAbsence flips bits in a table file: a read gives the right
// bytes or a StoreFault, and Fatal hears of it.
func TestDamageIsNeverAbsence(t *testing.T) {
	found := 0
	for at := int64(0); at < 4000; at += 97 {
		dir := filepath.Join(t.TempDir(), "db")
		s := open(t, dir, nil)
		for i := range 100 {
			put(t, s, string([]byte{2, byte(i)}), strings.Repeat(string(rune('a'+i%26)), 100))
		}
		check(t, s.db.Flush())
		check(t, s.Close())
		flip(t, dir, at)
		var heard atomic.Int64
		s, err := Open(dir, Options{Fatal: func(error) { heard.Add(1) }})
		if err != nil {
			found++
			continue
		}
		if readAll(t, s) {
			found++
			for began := time.Now(); heard.Load() == 0; time.Sleep(time.Millisecond) { // who met it first is about to tell
				if time.Since(began) > time.Minute {
					t.Fatalf("byte %d: a fault that Fatal did not hear of", at)
				}
			}
		}
		_ = s.Close()
	}
	if found < 10 {
		t.Fatalf("only %d damages were met: the test proves nothing", found)
	}
}

// readAll reads everything twice and reports whether it met a StoreFault.
func readAll(t *testing.T, s *Store) (fault bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(vfs.StoreFault); !ok {
				panic(r)
			}
			fault = true
		}
	}()
	v := s.View()
	n := 0
	for k, val := range v.Scan(nil, nil) {
		if string(val) != strings.Repeat(string(rune('a'+k[1]%26)), 100) {
			t.Fatalf("key %x has value %.9s", k, val)
		}
		n++
	}
	for i := range 100 {
		if _, ok := v.Get([]byte{2, byte(i)}); !ok || n != 100 {
			t.Fatalf("%d of 100 keys, key %d: %v", n, i, ok)
		}
	}
	return false
}

func flip(t *testing.T, dir string, at int64) {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	check(t, err)
	if len(names) == 0 {
		t.Fatal("no table file")
	}
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	check(t, err)
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b, at)
		check(t, err)
	} else if err != io.EOF {
		t.Fatal(err)
	}
	check(t, f.Close())
}

// What fails in the background before Open has returned is heard of once it has.
func TestFaultBeforeArmed(t *testing.T) {
	var heard []error
	f := newFault(func(err error) { heard = append(heard, err) })
	f.raise(errDisk)
	if len(heard) > 0 {
		t.Errorf("heard while it is opened: %v", heard)
	}
	f.arm()
	f.raise(io.EOF) // a second one is not heard of
	if len(heard) != 1 || !errors.Is(heard[0], errDisk) || !errors.Is(f.get(), errDisk) {
		t.Errorf("heard %v, kept %v", heard, f.get())
	}
}

func TestDefaultFatalPanics(t *testing.T) {
	f := newFault(nil)
	f.arm()
	if err := panics(t, func() { f.Fatalf("disk %d", 7) }); !strings.Contains(err.Error(), "disk 7") {
		t.Fatal(err)
	}
	f.Fatalf("a second time") // is not heard of
	f = newFault(nil)
	f.arm()
	if err := panics(t, func() { f.listener().BackgroundError(errDisk) }); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	f = newFault(nil)
	f.arm()
	if err := panics(t, func() { f.listener().DataCorruption(pebble.DataCorruptionInfo{Path: "p", Details: errDisk}) }); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
}
