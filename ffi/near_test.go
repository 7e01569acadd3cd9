package ffi

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// slow is an instance that does nothing but end.
type slow struct {
	Guest
	ended *atomic.Int32
}

func (s slow) Close() error {
	s.ended.Add(1)
	return nil
}

// A library that does not load into this process keeps few threads, however often
// it is tried, and an instance that comes too late is ended.
func TestNearLate(t *testing.T) {
	h, err := New("none", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.start = 20 * time.Millisecond
	var ended atomic.Int32
	loads := make(chan struct{})
	h.InProcess(func(Settings, []byte) (Description, Guest, error) {
		<-loads
		return Description{}, slow{ended: &ended}, nil
	})
	p := h.Plugin(vfs.Library{Name: "slow", Sum: "s"}, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return nil, nil })
	start := func() (*FS, error) {
		fs, err := p.New(vfs.Env{Mount: "/m", Log: slog.New(slog.DiscardHandler)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fs.(*FS)
		return f, f.Start(t.Context())
	}
	for range mostLoads {
		f, err := start()
		if vfs.KindOf(err) != vfs.Timeout {
			t.Errorf("in a load: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := start(); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("after %d: %v", mostLoads, err)
	}
	close(loads)
	for limit := time.Now().Add(20 * time.Second); ended.Load() < mostLoads && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	if n := ended.Load(); n != mostLoads {
		t.Errorf("%d of %d instances that came too late have ended", n, mostLoads)
	}
	h.start = startTime
	f, err := start()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil || ended.Load() != mostLoads+1 {
		t.Errorf("%d, %v", ended.Load(), err)
	}
}
