package streamfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// line is the way from a relay to a Memory. It can be cut, and go silent.
type line struct {
	*Memory
	tunes  atomic.Int64
	mute   atomic.Bool // Stat does not answer
	narrow chan struct{}

	mu   sync.Mutex
	open []context.CancelFunc
}

func (l *line) Stream(context.Context, vfs.Path, uint64, int64) (io.ReadCloser, error) {
	return nil, vfs.Unsupported
}

func (l *line) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	if l.mute.Load() {
		return vfs.Info{}, vfs.Unavailable.With("node n1 does not answer")
	}
	return l.Memory.Stat(ctx, v, p)
}

func (l *line) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	if l.mute.Load() {
		return nil, -1, vfs.Unavailable.With("node n1 does not answer")
	}
	l.tunes.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	l.open = append(l.open, cancel)
	l.mu.Unlock()
	r, off, err := l.Memory.Tune(ctx, p, from)
	if err == nil && l.narrow != nil {
		r = &narrow{r, l.narrow}
	}
	return r, off, err
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cancel := range l.open {
		cancel()
	}
}

// narrow lets a few bytes through for each thing that is sent to it.
type narrow struct {
	io.ReadCloser
	may chan struct{}
}

func (n *narrow) Read(b []byte) (int, error) {
	<-n.may
	return n.ReadCloser.Read(b[:min(len(b), 10)])
}

func relayOf(t *testing.T, m *Memory) (*Relay, *line) {
	l := &line{Memory: m}
	r := start(t, vfs.Config{"ring_buffer_size": m.keep}).Relay(l).(*Relay)
	t.Cleanup(func() { _ = r.Close() })
	return r, l
}

// TestRelayLaws holds what stands for a mount to the laws of all filesystems.
func TestRelayLaws(t *testing.T) {
	p := Plugin()
	make := p.New
	p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		fs, err := make(e, c)
		if err != nil {
			return nil, err
		}
		return fs.(*Memory).Relay(&line{Memory: fs.(*Memory)}), nil
	}
	vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{"durability": "memory"}, Scripts: "testdata"})
}

// Many readers of a node are one of the owner, from wherever they begin.
func TestRelayOnce(t *testing.T) {
	m := start(t, vfs.Config{"ring_buffer_size": "1MB"})
	r, l := relayOf(t, m)
	early, first := tune(t, r, "/tv", "oldest") // there is no stream yet
	say(t, m, "/tv", []byte("0123456789"))
	hears(t, early, "0123456789")
	now, at := tune(t, r, "/tv", "now")
	some, _ := tune(t, r, "/tv", strconv.FormatInt(first+7, 10))
	hears(t, some, "789")
	say(t, r, "/tv", []byte("abc")) // through the relay
	for _, one := range []io.Reader{early, now, some} {
		hears(t, one, "abc")
	}
	if _, oldest, err := r.Tune(t.Context(), "/tv", strconv.FormatInt(first+14, 10)); vfs.KindOf(err) != vfs.Range || oldest != first {
		t.Errorf("behind the end: %d, %v", oldest, err)
	}
	i, err := r.Stat(t.Context(), nil, "/tv")
	if err != nil || i.Meta.Content["active_readers"] != "3" || at != first+10 {
		t.Errorf("%+v, %v; now is %d of %d", i, err, at, first)
	}
	list, err := r.List(t.Context(), nil, "/", "", 0)
	if err != nil || len(list) != 2 || list[1].Meta.Content["active_readers"] != "3" {
		t.Errorf("%+v, %v", list, err)
	}
	if i, err := m.Stat(t.Context(), nil, "/tv"); err != nil || i.Meta.Content["active_readers"] != "1" || l.tunes.Load() != 1 {
		t.Errorf("the owner: %+v, %v; it came %d times", i, err, l.tunes.Load())
	}
	if _, _, err := r.Tune(vfs.WithHop(t.Context()), "/tv", "oldest"); err != nil || l.tunes.Load() != 2 {
		t.Errorf("one that comes from a node is for the far side: %v", err)
	}
	if _, _, err := r.Tune(t.Context(), "/README", "oldest"); vfs.KindOf(err) != vfs.Unsupported {
		t.Errorf("README: %v", err)
	}
	if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: "/tv"}); err != nil {
		t.Fatal(err)
	}
	if _, err := early.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end of the stream: %v", err)
	}
	if again, off := tune(t, r, "/tv", "oldest"); off <= first+13 {
		t.Errorf("the next one begins at %d, %v", off, again)
	}
}

// Who asks for what the owner has, and the relay not yet, waits for it.
func TestRelayBehind(t *testing.T) {
	m := start(t, nil)
	r, l := relayOf(t, m)
	l.narrow = make(chan struct{}, 1000)
	say(t, m, "/tv", []byte("0123456789abcdefghij"))
	now, end := tune(t, r, "/tv", "now")
	some, _ := tune(t, r, "/tv", strconv.FormatInt(end-3, 10))
	if _, _, err := r.Tune(t.Context(), "/tv", strconv.FormatInt(end+1, 10)); vfs.KindOf(err) != vfs.Range {
		t.Errorf("behind the end: %v", err)
	}
	say(t, m, "/tv", []byte("new"))
	for range 100 {
		l.narrow <- struct{}{}
	}
	hears(t, some, "hijnew")
	hears(t, now, "new")
	if l.tunes.Load() != 1 {
		t.Errorf("it came %d times", l.tunes.Load())
	}
}

// A stream that begins anew under its relay is not taken for the one that was.
func TestRelayAnew(t *testing.T) {
	m := start(t, nil)
	r, l := relayOf(t, m)
	l.narrow = make(chan struct{}, 1000)
	say(t, m, "/tv", []byte("old"))
	old, _ := tune(t, r, "/tv", "oldest")
	l.narrow <- struct{}{}
	hears(t, old, "old")
	if _, err := m.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: "/tv"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the relay has not heard of it
		if _, _, err := r.Tune(t.Context(), "/tv", "now"); vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("from now: %v", err)
		}
		say(t, m, "/tv", []byte("new"))
	}
	for range 100 {
		l.narrow <- struct{}{}
	}
	if _, err := old.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end of the old one: %v", err)
	}
	heard, _ := tune(t, r, "/tv", "oldest")
	hears(t, heard, "newnew")
}

// When the way to the owner breaks, readers are cut off, and may come again; when
// it goes silent, too.
func TestRelayBreaks(t *testing.T) {
	m := start(t, nil)
	r, l := relayOf(t, m)
	say(t, m, "/tv", []byte("one"))
	for what, fail := range []func(){l.cut, func() { l.mute.Store(true) }} {
		r.quiet = 50 * time.Millisecond
		one, _ := tune(t, r, "/tv", "oldest")
		waits, _ := tune(t, r, "/not-yet", "oldest")
		hears(t, one, "one")
		fail()
		for _, reader := range []io.Reader{one, waits} {
			if _, err := reader.Read(make([]byte, 1)); vfs.KindOf(err) != vfs.Unavailable {
				t.Errorf("break %d: %v", what, err)
			}
		}
	}
	if _, _, err := r.Tune(t.Context(), "/tv", "now"); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("there is no owner: %v", err)
	}
	l.mute.Store(false)
	back, _ := tune(t, r, "/tv", "oldest")
	hears(t, back, "one")
	ctx, leave := context.WithCancel(t.Context())
	left, _, err := r.Tune(ctx, "/tv", "now")
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := left.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("who has left: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := back.Read(make([]byte, 1)); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("after Close: %v", err)
	}
	if _, _, err := r.Tune(t.Context(), "/tv", "oldest"); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("after Close: %v", err)
	}
	if used := r.held.used.Load(); used != 0 {
		t.Errorf("%d bytes are held of nothing", used)
	}
}

// Streams that nobody follows any more do not stay, and their memory does not.
func TestRelayBounds(t *testing.T) {
	m := start(t, vfs.Config{"buffer_size": "64KB", "memory_budget": "8MB"})
	r, l := relayOf(t, m)
	r.held.most = 8 << 20
	var refused int
	var open []io.Closer
	for i := range 200 {
		p := vfs.Root.Child(fmt.Sprint(i))
		one, _, err := r.Tune(t.Context(), p, "oldest")
		switch {
		case vfs.KindOf(err) == vfs.NoSpace:
			refused++
		case err != nil:
			t.Fatal(err)
		default:
			open = append(open, one)
		}
	}
	if len(open) != 8<<20/relayCost || refused == 0 {
		t.Errorf("%d streams at once, %d refused", len(open), refused)
	}
	for _, c := range open {
		_ = c.Close()
	}
	for i := range 500 {
		one, _, err := r.Tune(t.Context(), vfs.Root.Child(fmt.Sprint("x", i)), "oldest")
		if err != nil {
			t.Fatal(err) // those that nobody follows any more make room
		}
		_ = one.Close()
	}
	r.mu.Lock()
	if len(r.feeds) > lingerers || r.lingering != len(r.feeds) {
		t.Errorf("%d streams are relayed to nobody, %d of them for a while", len(r.feeds), r.lingering)
	}
	r.mu.Unlock()
	if n := l.tunes.Load(); n != 500+int64(len(open)) {
		t.Errorf("%d came", n)
	}
}

// TestRelayHammer has readers come and go while streams are written, removed and
// cut. Every byte is the one that was written at its offset.
func TestRelayHammer(t *testing.T) {
	m := start(t, vfs.Config{"buffer_size": "64KB"})
	r, l := relayOf(t, m)
	r.quiet = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	byteAt := func(off int64) byte { return byte(off * 7 >> 3) }
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			w, off, err := m.Tune(ctx, "/tv", "now")
			if err != nil {
				t.Error(err)
				return
			}
			b := make([]byte, 1+i%9000)
			for k := range b {
				b[k] = byteAt(off + int64(k))
			}
			_, err = m.Do(ctx, vfs.Op{Verb: vfs.Write, Path: "/tv", Flag: vfs.FlagCreate, Data: b})
			switch {
			case err != nil && ctx.Err() == nil:
				t.Error(err)
			case i%500 == 100:
				l.cut()
			case i%700 == 100:
				_, err = m.Do(ctx, vfs.Op{Verb: vfs.Remove, Path: "/tv"})
			}
			_ = errors.Join(err, w.Close())
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	var heard atomic.Int64
	for range 8 {
		wg.Go(func() {
			got := make([]byte, 20_000)
			for ctx.Err() == nil {
				one, off, err := r.Tune(ctx, "/tv", "oldest")
				for k := 0; err == nil && k < 50; k++ {
					var n int
					n, err = one.Read(got)
					want := make([]byte, n)
					for i := range want {
						want[i] = byteAt(off + int64(i))
					}
					if !bytes.Equal(got[:n], want) {
						t.Errorf("other bytes at %d", off)
						return
					}
					off += int64(n)
					heard.Add(int64(n))
				}
				if one != nil {
					_ = one.Close()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d KiB were heard", heard.Load()>>10)
	if heard.Load() == 0 {
		t.Error("nothing was heard")
	}
}
