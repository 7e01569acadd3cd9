package raftlog

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"
)

var errDisk = errors.New("input/output error")

// nth fails the n-th operation of some kinds, and only that one.
func nth(n int64, kinds ...errorfs.OpKind) (errorfs.Injector, *atomic.Int64) {
	var seen atomic.Int64
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		for _, k := range kinds {
			if op.Kind == k && seen.Add(1) == n {
				return errDisk
			}
		}
		return nil
	}), &seen
}

// TestEveryFailedWriteIsFinal fails the first disk write, then the second, and
// so on until none fails: after the failure nothing is said yes to, and all
// that was said yes to before survives a power cut.
func TestEveryFailedWriteIsFinal(t *testing.T) {
	for name, kinds := range map[string][]errorfs.OpKind{
		"sync":  {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
		"write": {errorfs.OpFileWrite, errorfs.OpFileWriteAt},
	} {
		t.Run(name, func(t *testing.T) {
			failures := 0
			for n := int64(1); ; n++ {
				injector, seen := nth(n, kinds...)
				if failed := oneFault(t, n, injector); failed {
					failures++
				}
				if seen.Load() < n {
					break
				}
			}
			if failures < 20 {
				t.Fatalf("only %d failures: the test proves nothing", failures)
			}
			t.Logf("%d failed operations", failures)
		})
	}
}

func oneFault(t *testing.T, n int64, injector errorfs.Injector) (failed bool) {
	mem := vfs.NewCrashableMem()
	s, err := OpenPebble("node/raft", errorfs.Wrap(mem, injector))
	if err != nil {
		return true
	}
	m := model{logs: map[uint64][]byte{}, stable: map[string]uint64{}}
	acked, r := m.clone(), rand.New(rand.NewPCG(uint64(n), 0))
	for range 60 {
		switch err := m.step(r, s); {
		case err != nil:
			failed = true
		case failed:
			t.Fatalf("operation %d failed, and a later write was said yes to", n)
		default:
			acked = m.clone()
		}
	}
	if failed {
		// What was under way may be there; what was before must be.
		crashed := openMem(t, mem.CrashClone(vfs.CrashCloneCfg{}))
		if acked.last != 0 {
			var log raft.Log
			for i, want := range acked.logs {
				if err := crashed.GetLog(i, &log); err != nil || string(log.Data) != string(want) {
					t.Fatalf("operation %d failed, and entry %d from before is lost: %v", n, i, err)
				}
			}
		}
		check(t, crashed.Close())
	}
	_ = s.Close()
	return failed
}

// A sync that finds no space is final: what the system dropped then it would not
// report twice. The node hears of it, though it waits for space where that helps.
func TestSyncWithoutSpaceIsFinal(t *testing.T) {
	for name, kind := range map[string]errorfs.OpKind{"log": errorfs.OpFileSyncData, "all files": errorfs.OpFileSync} {
		t.Run(name, func(t *testing.T) {
			var full atomic.Bool
			noSpace := errorfs.InjectorFunc(func(op errorfs.Op) error {
				if full.Load() && (op.Kind == kind || op.Kind == errorfs.OpFileSyncData) {
					return syscall.ENOSPC
				}
				return nil
			})
			s, err := OpenPebble("node/raft", errorfs.Wrap(vfs.NewCrashableMem(), noSpace))
			check(t, err)
			fault := make(chan error, 1)
			isFull := func(err error) bool { return errors.Is(err, syscall.ENOSPC) }
			w := Watch(s, WatchOptions{OnFault: func(err error) { fault <- err }, NoSpace: isFull, Retry: isFull,
				Starving: full.Load})
			check(t, w.StoreLogs(entries(1, 3)))
			full.Store(true)
			if err := w.StoreLogs(entries(4, 5)); err == nil || errors.Is(err, ErrNoSpace) {
				t.Errorf("append: %v", err)
			}
			select {
			case err := <-fault:
				t.Log(err)
			case <-time.After(time.Minute):
				t.Fatal("nobody hears of it")
			}
			full.Store(false)
			if err := w.SetUint64([]byte("term"), 2); err == nil {
				t.Error("a write after it")
			}
			check(t, w.Close())
		})
	}
}
