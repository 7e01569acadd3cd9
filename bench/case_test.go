package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/bench/load"
	"github.com/pfs-project/pfs/bench/target"
)

// shop is a target in memory that may break its word.
type shop struct {
	mu    sync.Mutex
	files map[string][]byte
	queue [][]byte
	puts  int
	// Every so many writes: is acknowledged and not done, done twice, damaged.
	drop, twice, damage int
	gets, lie           int // reads, and every how many of them are answered with other bytes
	shy, asked          int // every so many dequeues finds nothing
	taken               int64
	fail                bool // refuses everything
}

// work is what every request takes.
const work = time.Millisecond

func newShop() *shop { return &shop{files: map[string][]byte{}} }

func (s *shop) target() target.Target {
	return target.Target{Name: "shop", Nodes: 1, KV: s, Queue: s, Blob: s}
}

// turn counts a write, and says whether it is one to do something with.
func (s *shop) turn(every int) bool { return every > 0 && s.puts%every == 0 }

func (s *shop) Put(_ context.Context, _ int, key string, value []byte) error {
	time.Sleep(work)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return errors.New("closed")
	}
	s.puts++
	value = bytes.Clone(value)
	if s.turn(s.damage) {
		value[len(value)-1] ^= 1
	}
	if !s.turn(s.drop) {
		s.files[key] = value
	}
	return nil
}

func (s *shop) Get(_ context.Context, _ int, key string, dst []byte) ([]byte, error) {
	time.Sleep(work)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.files[key]
	if !ok || s.fail {
		return nil, fmt.Errorf("no %s", key)
	}
	dst = append(dst[:0], v...)
	if s.gets++; s.lie > 0 && s.gets%s.lie == 0 {
		dst[len(dst)-1] ^= 1
	}
	return dst, nil
}

func (s *shop) Enqueue(_ context.Context, _ int, body []byte) error {
	time.Sleep(work)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return errors.New("closed")
	}
	s.puts++
	body = bytes.Clone(body)
	if s.turn(s.damage) {
		body[len(body)-1] ^= 1
	}
	if !s.turn(s.drop) {
		s.queue = append(s.queue, body)
	}
	if s.turn(s.twice) {
		s.queue = append(s.queue, body)
	}
	return nil
}

func (s *shop) Dequeue(context.Context, int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if len(s.queue) == 0 || s.shy > 0 && s.asked%s.shy == 0 {
		return nil, nil
	}
	s.taken++
	b := s.queue[0]
	s.queue = s.queue[1:]
	return b, nil
}

func (s *shop) Upload(ctx context.Context, name string, r io.Reader, _ int64) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return s.Put(ctx, 0, name, b)
}

func (s *shop) Download(ctx context.Context, name string, w io.Writer) (int64, error) {
	b, err := s.Get(ctx, 0, name, nil)
	if err != nil {
		return 0, err
	}
	n, err := w.Write(b)
	return int64(n), err
}

// measure runs a workload against s for 30 ms of a clock of its own.
func measure(t *testing.T, name string, s *shop) (f load.Figures, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f, err = measureNow(t, name, s) })
	return f, err
}

func measureNow(t *testing.T, name string, s *shop) (load.Figures, error) {
	t.Helper()
	w, err := choose([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	c, err := w[0].Case(s.target(), Options{Clients: 4, Warm: time.Millisecond, For: 30 * time.Millisecond, Size: 64, Keys: 200, Large: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return c.Run(t.Context(), 2)
}

func TestHonestTarget(t *testing.T) {
	for _, w := range Workloads() {
		if w.Case == nil {
			continue
		}
		f, err := measure(t, w.Name, newShop())
		if err != nil || f.Requests == 0 || f.Name != w.Name || f.PerSecond == 0 {
			t.Errorf("%s: %+v, %v", w.Name, f, err)
		}
	}
}

// A target that breaks its word has no figures.
func TestBrokenWord(t *testing.T) {
	// Of uploads only the last of each client is held against it, so all are broken.
	for _, c := range []struct {
		workload string
		shop     *shop
	}{
		{"put", &shop{drop: 7}}, {"put", &shop{damage: 7}},
		{"mixed", &shop{drop: 7}}, {"mixed", &shop{damage: 7}},
		{"get-uniform", &shop{damage: 7}},
		{"put-uniform", &shop{drop: 7}}, {"put-uniform", &shop{damage: 7}},
		{"queue", &shop{drop: 7}}, {"queue", &shop{twice: 7}}, {"queue", &shop{damage: 7}},
		{"upload", &shop{drop: 1}}, {"upload", &shop{damage: 1}},
		{"download", &shop{damage: 1}},
	} {
		t.Run(fmt.Sprintf("%s/%d-%d-%d", c.workload, c.shop.drop, c.shop.twice, c.shop.damage), func(t *testing.T) {
			t.Parallel()
			c.shop.files = map[string][]byte{}
			f, err := measure(t, c.workload, c.shop)
			if !errors.Is(err, ErrLost) || f.Requests != 0 || f.PerSecond != 0 {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

// What an older load left does not pass for what a later one lost: a target
// that takes only the first load's writes has figures for that one alone.
func TestOlderLoad(t *testing.T) {
	for _, name := range []string{"put", "mixed"} {
		s := newShop()
		if f, err := measure(t, name, s); err != nil || f.Requests == 0 {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		s.drop = 3
		if f, err := measure(t, name, s); !errors.Is(err, ErrLost) || f.Requests != 0 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// A value that the client has not sent, or sent to another key, is a broken word.
func TestLedger(t *testing.T) {
	for n, good := range map[int]bool{slots + 1: true, 2*slots + 1: true, 1: false, 3*slots + 1: false, slots + 2: false} {
		s := newShop()
		l := newLedger(s, "put", 1, 64)
		l.rows[0].tried, l.rows[0].acked[1] = 2*slots+5, slots+1
		s.files[l.key(0, 1)] = l.write(nil, 0, n)
		if err := l.check(t.Context()); (err == nil) != good || err != nil && !errors.Is(err, ErrLost) {
			t.Errorf("write %d: %v", n, err)
		}
	}
}

// A queue that says to be empty is asked again, and one that goes on to say so has
// failed: an empty answer is no round.
func TestEmptyQueue(t *testing.T) {
	honest, err := measure(t, "queue", newShop())
	if err != nil {
		t.Fatal(err)
	}
	s := newShop()
	s.shy = 2
	if f, err := measure(t, "queue", s); err != nil || f.Requests == 0 || f.Requests > s.taken || f.PerSecond > honest.PerSecond {
		t.Errorf("%+v of %d, %v", f, s.taken, err)
	}
	s = newShop()
	s.shy = 1
	if f, err := measure(t, "queue", s); err == nil {
		t.Errorf("%+v", f)
	}
}

// A key that has another write of the same size says which.
func TestOtherWrite(t *testing.T) {
	s := newShop()
	k := newShelf(s, Options{Clients: 1, Keys: 2, Size: 64}, hot)
	s.files[k.key(0)] = k.write(nil, 0, 7)
	err := k.get(t.Context(), 0)
	if err == nil || !strings.Contains(err.Error(), "write 7") || strings.Contains(err.Error(), "%!") || !errors.Is(k.verdict(t.Context()), ErrLost) {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	for _, name := range []string{"put", "get", "queue"} {
		if f, err := measure(t, name, &shop{fail: true}); err == nil || errors.Is(err, ErrLost) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if err := few(load.Figures{Requests: 1000, Errors: 1001}); err == nil {
		t.Error("more failed than were answered")
	}
	if err := few(load.Figures{Requests: 1000, Errors: 10}); err != nil {
		t.Error(err)
	}
	if _, err := putCase(target.Target{}, Options{Clients: 1}); err == nil {
		t.Error("a target without values is measured")
	}
}

// One side that breaks its word takes the figures of all.
func TestCompare(t *testing.T) {
	synctest.Test(t, compare)
}

func compare(t *testing.T) {
	o := Options{Clients: 2, For: 200 * time.Millisecond, Size: 64, Keys: 100}
	good, _ := putCase(newShop().target(), o)
	bad, _ := putCase((&shop{files: map[string][]byte{}, drop: 5}).target(), o)
	if c, err := Compare(t.Context(), 1, good, good); err != nil || len(c.Ratios) != 1 || len(c.Sides) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	seen := 0
	good.Between = func(context.Context) error { seen++; return nil }
	if c, err := Compare(t.Context(), 2, good, good); err != nil || seen != 8 {
		t.Errorf("two sides put away %d times before 4 turns: %+v, %v", seen, c, err)
	}
	if c, err := Compare(t.Context(), 1, good, bad); !errors.Is(err, ErrLost) || len(c.Sides) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// One wrong answer to a read takes the figures of all.
func TestReadCase(t *testing.T) {
	for _, c := range []struct {
		lie  int
		want error
	}{{0, nil}, {50, ErrLost}} {
		synctest.Test(t, func(t *testing.T) {
			o := Options{Clients: 2, For: 500 * time.Millisecond, Size: 64}
			good, odd := newShop(), newShop()
			odd.lie = c.lie
			all, err := Compare(t.Context(), 1, ReadCase("good", good, good, o), ReadCase("odd", odd, odd, o))
			if !errors.Is(err, c.want) || (err == nil) != (len(all.Sides) == 2) {
				t.Errorf("every %d: %+v, %v", c.lie, all, err)
			}
		})
	}
}

func TestReadLog(t *testing.T) {
	v := newValues(40)
	line := func(n int) string { return string(v.write(nil, 3, n)) + "\n" }
	acked := []bool{true, false, true}
	for _, c := range []struct {
		body string
		good bool
	}{
		{line(0) + line(2), true}, {line(0) + line(1) + line(2), true},
		{line(0), false}, {line(2), false}, {line(0) + line(0) + line(2), false}, {line(2) + line(0), false},
		{line(0) + line(2) + line(3), false}, {line(0) + line(2)[:20], false}, {"", false},
	} {
		if err := readLog(v, 3, acked, []byte(c.body)); (err == nil) != c.good || err != nil && !errors.Is(err, ErrLost) {
			t.Errorf("%q: %v", c.body, err)
		}
	}
}

// A log that is made ready beforehand never grows, and goes round in its room.
func TestSynced(t *testing.T) {
	for grows, want := range map[bool]int64{false: syncedPages * syncedPage, true: 3 * syncedPage} {
		name := filepath.Join(t.TempDir(), "f")
		s, err := NewSynced(name, grows)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if !grows && i == 2 {
				s.n += syncedPages - 2 // almost once around
			}
			if err := s.Write(); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(name)
		if err = errors.Join(err, s.Close()); err != nil || int64(len(b)) != want || grows && b[0] != 1 || !grows && b[0] != 3 {
			t.Errorf("grows %t: %d bytes, %v", grows, len(b), err)
		}
	}
}

func TestFlow(t *testing.T) {
	f := newFlow(5, 3<<20)
	b, err := io.ReadAll(newFlow(5, 3<<20))
	if err != nil || len(b) != 3<<20 || !bytes.Equal(f.bytes(2<<20-100, 500), b[2<<20-100:][:500]) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if other, _ := io.ReadAll(newFlow(6, 100)); bytes.Equal(other, b[:100]) {
		t.Error("two seeds have one content")
	}
}

func TestChoose(t *testing.T) {
	if _, err := choose([]string{"put", "x"}); err == nil || !strings.Contains(err.Error(), "--list") {
		t.Error(err)
	}
	if w, err := choose(nil); err != nil || len(w) < 3 {
		t.Error(w, err)
	}
	seen := map[string]bool{}
	for _, w := range Workloads() {
		if seen[w.Name] || w.Doc == "" || (w.Case == nil) == (w.run == nil) {
			t.Errorf("%+v", w)
		}
		seen[w.Name] = true
	}
}

func TestNumber3(t *testing.T) {
	for v, want := range map[float64]string{0: "-", 0.01234: "0.0123", 1.5: "1.50", 12.34: "12.3", 12345.6: "12346", 0.00001: "0.0000"} {
		if got := number3(v); got != want {
			t.Errorf("%v: %s, not %s", v, got, want)
		}
	}
}

// Of keys that all clients write, the last write may stay, and no write that ended
// before another one of the same key was sent.
func TestSharedKeys(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	m := &shared{values: newValues(64), rows: make([]sharer, 2)}
	m.rows[0].tried, m.rows[0].acked = 3, map[int]written{0: {2, at(1), at(3)}}
	m.rows[1].tried, m.rows[1].acked = 2, map[int]written{0: {1, at(4), at(5)}, 1: {2, at(6), at(7)}}
	for _, c := range []struct {
		key, client, n int
		good           bool
	}{{0, 1, 1, true}, {0, 0, 3, true}, {1, 1, 2, true}, {0, 0, 2, false}, {0, 0, 1, false}, {0, 0, 4, false}, {1, 1, 1, false}, {0, 7, 1, false}} {
		if err := m.fits(c.key, m.write(nil, c.client, c.n)); (err == nil) != c.good {
			t.Errorf("%+v: %v", c, err)
		}
	}
	m.rows[1].acked[0] = written{1, at(2), at(5)}
	if err := m.fits(0, m.write(nil, 0, 2)); err != nil {
		t.Errorf("two writes at once: %v", err)
	}
}
