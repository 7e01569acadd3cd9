package wasmhost

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// sleeper is a plugin whose instances sleep as they begin.
func sleeper(d time.Duration) []byte {
	g := newGuest()
	poll := g.imp("wasi_snapshot_preview1", "poll_oneoff", "iiii:i")
	g.fill()
	g.malloc().reads()
	sub := make([]byte, 48) // of a clock, with its time at 24
	binary.LittleEndian.PutUint64(sub[24:], uint64(d))
	g.data[5000] = string(sub)
	g.fn("plugin_new", ":", i32(5000), i32(5100), i32(1), i32(5200), run(poll), op(0x1a),
		op(0x03, 0x40), i32(5300), i32(5300), op(0x28, 2, 0), i32(1), op(0x6a), store(), // and are busy, so that they can be stopped
		i32(5300), op(0x28, 2, 0), i32(100_000), op(0x49, 0x0d, 0, 0x0b))
	return g.bytes()
}

// sleeping mounts a sleeper, unstarted; starts counts its instances.
func sleeping(t *testing.T, d time.Duration, l vfs.Limits) (h *Host, f *FS, starts *atomic.Int64) {
	h, starts = newHost(t), &atomic.Int64{}
	h.turns = make(chan struct{}, 4)
	lib, err := h.Inspect(t.Context(), sleeper(0), l)
	if err != nil {
		t.Fatal(err)
	}
	p := h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return sleeper(d), nil })
	fs, err := p.New(vfs.Env{Log: h.log, Mount: "/at", Started: func() { starts.Add(1) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f = fs.(*FS)
	t.Cleanup(func() { _ = f.Close() })
	return h, f, starts
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// An instance that waits as it begins holds no turn.
func TestStartsWithoutTurn(t *testing.T) {
	h, f, starts := sleeping(t, time.Hour, vfs.Limits{Call: 6 * time.Second})
	done := make(chan error, 1)
	go func() { done <- f.Start(t.Context()) }()
	waitFor(t, "it does not begin", func() bool { return starts.Load() == 1 })
	waitFor(t, "it keeps its turn", func() bool { return len(h.turns) == 0 })
	select {
	case err := <-done:
		t.Fatalf("it had its turn until its end: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	<-done // with its time; what it says is its own
	if len(h.turns) != 0 {
		t.Errorf("%d turns are kept", len(h.turns))
	}
}

// A client that goes away while an instance begins for it leaves that to the next;
// and who waits for another's beginning holds no turn.
func TestClientLeavesStart(t *testing.T) {
	h, f, starts := sleeping(t, 2*time.Second, vfs.Limits{Instances: 3, Call: 8 * time.Second})
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	held, letGo := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 3)
	use := func(ctx context.Context, do func()) {
		ended <- f.pool.use(ctx, func(context.Context, *instance) error { do(); return nil })
	}
	for range 2 { // places without an instance are before that of the first
		p := <-f.pool.places
		f.pool.places <- p
	}
	go use(t.Context(), func() { close(held); <-letGo })
	<-held
	ctx, leave := context.WithCancel(t.Context())
	before := starts.Load()
	go use(ctx, func() {})
	waitFor(t, "no instance begins", func() bool { return starts.Load() == before+1 })
	go use(t.Context(), func() {})
	waitFor(t, "who waits holds a turn", func() bool { return len(f.pool.places) == 0 && len(h.turns) == 1 })
	leave()
	close(letGo)
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if len(h.turns) != 0 {
		t.Errorf("%d turns are kept", len(h.turns))
	}
}

// A mount whose instances end one after the other rests thirty times as long as they
// took, says so meanwhile, and keeps nobody for longer than the client's patience.
func TestRestsAfterDrops(t *testing.T) {
	_, f, starts := sleeping(t, 20*time.Millisecond, vfs.Limits{Call: 6 * time.Second})
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	drop := func(_ context.Context, i *instance) error { return i.wrong("it ends") }
	for over := time.Now().Add(time.Second); time.Now().Before(over); {
		if err := f.pool.use(t.Context(), drop); vfs.KindOf(err) != vfs.Crashed {
			t.Fatal(err)
		}
	}
	if n := starts.Load(); n > 4 {
		t.Errorf("%d instances that take 20 ms each were made in a second", n)
	}
	if m := f.MountState(); m.Process != "backoff" || m.Retry == nil || m.Error == "" {
		t.Errorf("while it rests its state is %+v", m)
	}
	ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
	defer leave()
	if err := f.pool.use(ctx, drop); vfs.KindOf(err) != vfs.Throttled {
		t.Errorf("who cannot wait for it is told %v", err)
	}
	if err := f.pool.use(t.Context(), func(context.Context, *instance) error { return nil }); err != nil {
		t.Error(err)
	}
	if m := f.MountState(); m.Process != "ready" || m.Retry != nil || m.Error != "" {
		t.Errorf("once it has rested its state is %+v", m)
	}
	if err := f.pool.use(t.Context(), func(_ context.Context, i *instance) error { i.broken = true; return nil }); err != nil {
		t.Error(err)
	}
	if m := f.MountState(); m.Process != "backoff" || m.Error == "" {
		t.Errorf("after an end behind an answer its state is %+v", m)
	}
}

// While a mount rests, calls are served by the instances that it still has.
func TestRestsBesideOthers(t *testing.T) {
	_, f, starts := sleeping(t, 20*time.Millisecond, vfs.Limits{Instances: 3, Call: 6 * time.Second})
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each has its instance
		if err := f.pool.use(t.Context(), func(context.Context, *instance) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := starts.Load(); n != 3 {
		t.Fatalf("%d instances in three places", n)
	}
	_ = f.pool.use(t.Context(), func(_ context.Context, i *instance) error { return i.wrong("it ends") })
	f.drops.again = time.Now().Add(time.Hour)
	for range 10 {
		ctx, leave := context.WithTimeout(t.Context(), 10*time.Second)
		err := f.pool.use(ctx, func(_ context.Context, i *instance) error {
			if !i.pace.poor {
				t.Error("an instance beside one that was dropped takes its time")
			}
			return nil
		})
		leave()
		if err != nil {
			t.Fatalf("two instances are left: %v", err)
		}
	}
	if n := starts.Load(); n != 3 {
		t.Errorf("%d instances were made, the last while the mount rested", n)
	}
}
