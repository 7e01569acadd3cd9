package devices

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// table is a mount table that a test changes.
type table struct {
	mu     sync.Mutex
	mounts map[uint64]vfs.Mounted
	made   func(m vfs.Mounted) (vfs.FileSystem, error)
}

func (t *table) Mounts() (out []vfs.Mounted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.mounts {
		out = append(out, m)
	}
	return out
}

func (t *table) NewFS(m vfs.Mounted) (vfs.FileSystem, error) { return t.made(m) }

func (t *table) SetFS(m vfs.Mounted, fs vfs.FileSystem, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, ok := t.mounts[m.ID]
	if ok = ok && old.Seq == m.Seq; ok {
		old.FS, old.Err = fs, err
		t.mounts[m.ID] = old
	}
	return ok
}

func (t *table) set(m vfs.Mounted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mounts[m.ID] = m
}

func (t *table) get(id uint64) vfs.Mounted {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mounts[id]
}

func (t *table) remove(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mounts, id)
}

// gadget is a Device that counts.
type gadget struct {
	starts, closes, calls atomic.Int32
	start                 func(ctx context.Context) error
	block                 chan struct{} // ReadAt waits for it
	name                  string
}

func (g *gadget) Start(ctx context.Context) error {
	g.starts.Add(1)
	if g.start != nil {
		return g.start(ctx)
	}
	return nil
}

func (g *gadget) Close() error {
	if g.calls.Load() != 0 {
		return errors.New("closed under a call")
	}
	g.closes.Add(1)
	return nil
}

func (g *gadget) Stat(context.Context, vfs.View, vfs.Path) (vfs.Info, error) {
	return vfs.Info{Name: g.name}, nil
}

func (g *gadget) List(context.Context, vfs.View, vfs.Path, string, int) ([]vfs.Info, error) {
	panic("list is broken")
}

func (g *gadget) ReadAt(ctx context.Context, _ vfs.View, _ vfs.Path, _ []byte, _ int64) (int, error) {
	g.calls.Add(1)
	defer g.calls.Add(-1)
	select {
	case <-g.block:
		return 0, io.EOF
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (g *gadget) Do(context.Context, vfs.Op) (vfs.Result, error) { return vfs.Result{N: 7}, nil }

func (g *gadget) Stream(context.Context, vfs.Path, uint64, int64) (io.ReadCloser, error) {
	g.calls.Add(1)
	return &gadgetStream{strings.NewReader("streamed"), g}, nil
}

type gadgetStream struct {
	io.Reader
	g *gadget
}

func (s *gadgetStream) Close() error {
	s.g.calls.Add(-1)
	return nil
}

func mount(id, seq uint64, place vfs.Placement, node string) vfs.Mounted {
	return vfs.Mounted{ID: id, Seq: seq, Path: "/g", Type: "gadget", Place: place, Node: node}
}

// keep runs a Keeper over a table in fake time.
func keep(t *testing.T, made func(m vfs.Mounted) (vfs.FileSystem, error), test func(t *testing.T, tab *table, k *Keeper)) {
	synctest.Test(t, func(t *testing.T) {
		tab := &table{mounts: map[uint64]vfs.Mounted{}, made: made}
		k := New(Config{Machine: tab, Node: "n1", Log: slog.New(slog.DiscardHandler),
			Remote: func(m vfs.Mounted) vfs.FileSystem { return &gadget{name: "at " + m.Node} }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.Run(ctx) }()
		test(t, tab, k)
		cancel()
		<-done
	})
}

func settle(k *Keeper) {
	k.Changed()
	synctest.Wait()
}

func TestLife(t *testing.T) {
	var gadgets []*gadget
	keep(t, func(vfs.Mounted) (vfs.FileSystem, error) {
		gadgets = append(gadgets, &gadget{name: "here"})
		return gadgets[len(gadgets)-1], nil
	}, func(t *testing.T, tab *table, k *Keeper) {
		tab.set(mount(1, 1, vfs.Shared, ""))
		tab.set(mount(2, 1, vfs.Pinned, "n2"))
		tab.set(vfs.Mounted{ID: 3, Place: vfs.Replicated})
		settle(k)
		if m := tab.get(1); m.FS == nil || m.Err != nil || gadgets[0].starts.Load() != 1 {
			t.Errorf("%+v", m)
		}
		if i, err := tab.get(2).FS.Stat(t.Context(), nil, "/"); err != nil || i.Name != "at n2" {
			t.Errorf("a mount of another node: %+v, %v", i, err)
		}
		if len(gadgets) != 1 {
			t.Errorf("%d were made", len(gadgets))
		}
		tab.set(mount(1, 5, vfs.Shared, "")) // unmounted, and mounted anew
		settle(k)
		if gadgets[0].closes.Load() != 1 || len(gadgets) != 2 || tab.get(1).FS == nil {
			t.Errorf("mounted anew: %d closed, %d made", gadgets[0].closes.Load(), len(gadgets))
		}
		tab.remove(1)
		settle(k)
		if gadgets[1].closes.Load() != 1 {
			t.Error("an unmounted one is not closed")
		}
		tab.set(mount(1, 9, vfs.PerNode, ""))
		settle(k)
	})
	if g := gadgets[2]; g.closes.Load() != 1 {
		t.Error("not closed at the end")
	}
}

// A Device that cannot start is tried again, ever more rarely, and says why.
func TestRetry(t *testing.T) {
	g := &gadget{}
	var mu sync.Mutex
	var tries []time.Duration
	var broken atomic.Bool
	broken.Store(true)
	begun := time.Time{}
	g.start = func(ctx context.Context) error {
		mu.Lock()
		tries = append(tries, time.Since(begun))
		n := len(tries)
		mu.Unlock()
		if n == 2 {
			<-ctx.Done() // it hangs
			return ctx.Err()
		}
		if n == 3 {
			panic("cannot even fail")
		}
		if broken.Load() {
			return errors.New("no such bucket")
		}
		return nil
	}
	keep(t, func(vfs.Mounted) (vfs.FileSystem, error) { return g, nil }, func(t *testing.T, tab *table, k *Keeper) {
		begun = time.Now()
		tab.set(mount(1, 1, vfs.Shared, ""))
		settle(k)
		if m := tab.get(1); m.FS != nil || m.Err == nil || m.Err.Error() != "no such bucket" {
			t.Errorf("%+v", m)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		mu.Lock()
		n := len(tries)
		mu.Unlock()
		if n < 20 || n > 60 {
			t.Errorf("%d tries in 20 minutes: %v", n, tries)
		}
		if s := tab.get(1).State(); s.Status != vfs.MountFailed || s.Error != "no such bucket" || s.Tries != n || s.Retry == nil || time.Until(*s.Retry) > lastRetry {
			t.Errorf("after %d tries: %+v", n, s)
		}
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if m := tab.get(1); m.FS == nil || m.Err != nil {
			t.Errorf("it is not up: %+v", m)
		}
	})
}

// A Device is closed under no call, but does not keep an unmount waiting for
// ever; what comes later finds it down. A panic is an error.
func TestCalls(t *testing.T) {
	g := &gadget{}
	keep(t, func(vfs.Mounted) (vfs.FileSystem, error) { return g, nil }, func(t *testing.T, tab *table, k *Keeper) {
		g.block = make(chan struct{})
		tab.set(mount(1, 1, vfs.Shared, ""))
		settle(k)
		fs := tab.get(1).FS
		if _, err := fs.List(t.Context(), nil, "/", "", 0); vfs.KindOf(err) != vfs.Internal {
			t.Errorf("a panic: %v", err)
		}
		if r, err := fs.(vfs.Device).Do(t.Context(), vfs.Op{}); err != nil || r.N != 7 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := fs.(vfs.Putter).Put(t.Context(), vfs.Op{}, nil); vfs.KindOf(err) != vfs.Unsupported {
			t.Errorf("put: %v", err)
		}
		r, err := fs.(vfs.Streamer).Stream(t.Context(), "/", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := fs.ReadAt(t.Context(), nil, "/", nil, 0)
			ended <- err
		}()
		synctest.Wait()
		tab.remove(1)
		settle(k)
		if g.closes.Load() != 0 {
			t.Error("closed under calls")
		}
		if _, err := fs.Stat(t.Context(), nil, "/"); vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("after the unmount: %v", err)
		}
		time.Sleep(closeTime)
		synctest.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the call that hangs: %v", err)
		}
		if b, err := io.ReadAll(r); string(b) != "streamed" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if g.closes.Load() != 1 {
			t.Error("not closed after the last call")
		}
	})
}

// What roams is ended where it may have moved from, takes no call meanwhile, and
// starts again where it still lives; all others stay.
func TestHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roaming, fixed := &gadget{name: "roaming"}, &gadget{name: "fixed"}
		var holds atomic.Bool
		tb := &table{mounts: map[uint64]vfs.Mounted{
			1: {ID: 1, Path: "/r", Place: vfs.Pinned, Node: "n1", Roams: true, Err: &vfs.Down{Cause: vfs.ErrStarting}},
			2: {ID: 2, Path: "/f", Place: vfs.Pinned, Node: "n1"}},
			made: func(m vfs.Mounted) (vfs.FileSystem, error) {
				if m.Roams {
					return roaming, nil
				}
				return fixed, nil
			}}
		k := New(Config{Machine: tb, Node: "n1", Holds: holds.Load, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.Run(ctx) }()
		defer func() { cancel(); <-done }()
		time.Sleep(holdTime / 2)
		if roaming.starts.Load() != 0 || fixed.starts.Load() != 1 || !tb.get(1).Starts() {
			t.Errorf("just begun: %d starts, %v", roaming.starts.Load(), tb.get(1).Err)
		}
		time.Sleep(holdTime)
		if tb.set(vfs.Mounted{ID: 3, Path: "/new", Place: vfs.Pinned, Node: "n1", Roams: true, Err: &vfs.Down{Cause: vfs.ErrStarting}}); tb.get(1).Starts() {
			t.Error("before it holds: it is said to start")
		}
		time.Sleep(time.Second)
		if tb.get(3).Starts() || roaming.starts.Load() != 0 {
			t.Errorf("one more, where it may not run: %v, %d starts", tb.get(3).Err, roaming.starts.Load())
		}
		tb.remove(3)
		holds.Store(true)
		time.Sleep(5 * time.Second)
		up := tb.get(1).FS
		if _, err := up.Stat(ctx, nil, vfs.Root); err != nil {
			t.Error(err)
		}
		holds.Store(false) // and nobody has looked yet
		if _, err := up.Stat(ctx, nil, vfs.Root); vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("a call after it is cut off: %v", err)
		}
		time.Sleep(5 * time.Second)
		if m := tb.get(1); m.FS != nil || m.Starts() || roaming.closes.Load() != 1 || fixed.closes.Load() != 0 {
			t.Errorf("cut off: %+v, %d closed", m, roaming.closes.Load())
		}
		holds.Store(true)
		time.Sleep(5 * time.Second)
		if _, err := tb.get(1).FS.Stat(ctx, nil, vfs.Root); err != nil || roaming.starts.Load() != 2 || fixed.starts.Load() != 1 {
			t.Errorf("holds again: %v, %d starts", err, roaming.starts.Load())
		}
	})
}

// cutOff runs a test over a Keeper of one mount that roams.
func cutOff(t *testing.T, g *gadget, test func(t *testing.T, tb *table, k *Keeper, holds *atomic.Bool)) {
	synctest.Test(t, func(t *testing.T) {
		var holds atomic.Bool
		holds.Store(true)
		tb := &table{mounts: map[uint64]vfs.Mounted{1: {ID: 1, Seq: 1, Path: "/r", Place: vfs.Pinned, Node: "n1", Roams: true}},
			made: func(vfs.Mounted) (vfs.FileSystem, error) { return g, nil }}
		k := New(Config{Machine: tb, Node: "n1", Holds: holds.Load, Log: slog.New(slog.DiscardHandler),
			Remote: func(vfs.Mounted) vfs.FileSystem { return &gadget{name: "far"} }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.Run(ctx) }()
		defer func() { cancel(); <-done }()
		settle(k)
		test(t, tb, k, &holds)
	})
}

// A call under way ends with the right to run its mount, and so does the mount,
// whether the node has found out itself or hears that it was moved.
func TestCutOffCalls(t *testing.T) {
	for name, cut := range map[string]func(tb *table, holds *atomic.Bool){
		"cut off": func(_ *table, holds *atomic.Bool) { holds.Store(false) },
		"moved":   func(tb *table, _ *atomic.Bool) { m := tb.get(1); m.Seq, m.Node = 2, "n2"; tb.set(m) },
	} {
		t.Run(name, func(t *testing.T) {
			g := &gadget{} // nothing ends its calls but their contexts
			cutOff(t, g, func(t *testing.T, tb *table, k *Keeper, holds *atomic.Bool) {
				ended := make(chan error, 1)
				go func() {
					_, err := tb.get(1).FS.ReadAt(context.Background(), nil, vfs.Root, nil, 0)
					ended <- err
				}()
				synctest.Wait()
				cut(tb, holds)
				began := time.Now()
				settle(k)
				if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
					t.Errorf("a call that hangs ends after %v: %v", time.Since(began), err)
				}
				if synctest.Wait(); g.closes.Load() != 1 {
					t.Error("it runs on")
				}
			})
		})
	}
}

// A start under way ends with the right to run its mount, and one that ends well
// nevertheless leaves nothing that runs.
func TestCutOffStarts(t *testing.T) {
	for name, heeds := range map[string]bool{"ends": true, "goes on": false} {
		t.Run(name, func(t *testing.T) {
			g, slow := &gadget{}, true
			g.start = func(ctx context.Context) error {
				late := time.After(10 * time.Second)
				switch {
				case !slow:
					return nil
				case heeds:
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-late:
					}
				default:
					<-late
				}
				return nil
			}
			cutOff(t, g, func(t *testing.T, tb *table, k *Keeper, holds *atomic.Bool) {
				holds.Store(false)
				settle(k)
				if m := tb.get(1); m.Starts() || heeds && k.starting(1) {
					t.Errorf("cut off while it starts: %v, under way %t", m.Err, k.starting(1))
				}
				time.Sleep(15 * time.Second)
				if m := tb.get(1); m.FS != nil || !errors.Is(m.Err, errCutOff) || !heeds && g.closes.Load() != 1 {
					t.Errorf("after its start: %+v, %d closed", m, g.closes.Load())
				}
				slow = false
				holds.Store(true)
				time.Sleep(time.Second)
				if tb.get(1).FS == nil {
					t.Errorf("where it may run again: %v", tb.get(1).Err)
				}
			})
		})
	}
}

func (k *Keeper) starting(id uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.runs[id].busy
}
