package supervise

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// book is a log that can be read while it is written.
type book struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (k *book) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.Write(b)
}

func (k *book) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.String()
}

func (k *book) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(k, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// part is an Instance that does what it is told.
type part struct {
	done   chan struct{}
	err    error
	once   sync.Once
	silent atomic.Bool
	probes atomic.Int32
}

func (p *part) Done() <-chan struct{} { return p.done }
func (p *part) Err() error            { return p.err }
func (p *part) Close()                { p.end(nil) }
func (p *part) end(err error)         { p.once.Do(func() { p.err = err; close(p.done) }) }
func (p *part) Probe(context.Context) error {
	p.probes.Add(1)
	if p.silent.Load() {
		return errors.New("silence")
	}
	return nil
}

var errCrash = errors.New("crash")

// shop makes parts, and fails as long as it is told to.
type shop struct {
	made []*part
	err  error
}

func (s *shop) start(context.Context) (*part, error) {
	if s.err != nil {
		return nil, s.err
	}
	p := &part{done: make(chan struct{})}
	s.made = append(s.made, p)
	return p, nil
}

func nothing(context.Context, *part) error { return nil }

// in runs a test with a Supervisor under a clock of its own.
func in(t *testing.T, plan Plan, test func(*testing.T, *shop, *Supervisor[*part])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var k book
		sh := &shop{}
		s := New(sh.start, plan, k.logger())
		defer s.Close()
		test(t, sh, s)
	})
}

// An end is followed by a start, after a pause that grows; after too many it is
// left alone.
func TestSupervisorRestarts(t *testing.T) {
	in(t, Plan{}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		var pauses []time.Duration
		for n := 1; n <= 5; n++ {
			if err := s.Use(t.Context(), nothing); err != nil {
				t.Fatal(err)
			}
			if len(sh.made) != n {
				t.Fatalf("%d were started, expected %d", len(sh.made), n)
			}
			sh.made[n-1].end(errCrash)
			synctest.Wait()
			pauses = append(pauses, time.Until(s.again))
			if err := s.Use(t.Context(), nothing); n == 5 && (vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "left alone") || !strings.Contains(err.Error(), "crash")) {
				t.Error(err)
			} else if n < 4 && err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
		}
		for n, d := range pauses[:4] {
			if most := 200 * time.Millisecond << n; d > most || d < most/2 {
				t.Errorf("pause %d is %v", n, d)
			}
		}
		if st, err := s.State(); st != Failed || err != errCrash {
			t.Error(st, err)
		}
		if m := s.MountState(); m.Status != vfs.MountFailed || m.Process != "failed" || m.Ends != 5 || m.Retry != nil || !strings.Contains(m.Error, "crash") {
			t.Errorf("%+v", m)
		}
		time.Sleep(time.Hour)
		if err := s.Use(t.Context(), nothing); vfs.KindOf(err) != vfs.Unavailable {
			t.Error(err)
		}
	})
}

// Ends that are far from each other are not too many, and what has run for a while
// is started again soon. Ends that come slowly, but steadily, are too many.
func TestSupervisorForgives(t *testing.T) {
	in(t, Plan{}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		for n := range 20 {
			if err := s.Use(t.Context(), nothing); err != nil {
				t.Fatal(n, err)
			}
			time.Sleep(3 * time.Minute)
			sh.made[n].end(errCrash)
			synctest.Wait()
			if wait := time.Until(s.again); wait > 200*time.Millisecond {
				t.Errorf("it waits %v", wait)
			}
			if m := s.MountState(); m.Status != vfs.MountUp || m.Process != "backoff" || m.Retry == nil || m.Error != "crash" {
				t.Errorf("%+v", m)
			}
		}
	})
	in(t, Plan{}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		for n := range 5 {
			if err := s.Use(t.Context(), nothing); err != nil {
				t.Fatal(n, err)
			}
			time.Sleep(100 * time.Second)
			sh.made[n].end(errCrash)
			synctest.Wait()
		}
		if st, _ := s.State(); st != Failed {
			t.Errorf("it is %s after five ends in nine minutes", st)
		}
	})
}

// One that is left alone is tried again if the plan says so: once.
func TestSupervisorComesBack(t *testing.T) {
	in(t, Plan{Crashes: 2, Again: time.Hour}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		crash := func() {
			t.Helper()
			if err := s.Use(t.Context(), nothing); err != nil {
				t.Fatal(err)
			}
			sh.made[len(sh.made)-1].end(errCrash)
			synctest.Wait()
		}
		crash()
		crash()
		if err := s.Use(t.Context(), nothing); vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "tried again in 1h0m0s") {
			t.Error(err)
		}
		if m := s.MountState(); m.Status != vfs.MountFailed || m.Retry == nil || time.Until(*m.Retry) > time.Hour {
			t.Errorf("%+v", m)
		}
		time.Sleep(time.Hour + time.Second)
		crash()
		time.Sleep(time.Minute)
		if err := s.Use(t.Context(), nothing); err != nil { // its window is ten minutes: this is its first end
			t.Error(err)
		}
		sh.made[len(sh.made)-1].end(errCrash)
		synctest.Wait()
		if st, _ := s.State(); st != Failed {
			t.Error(st)
		}
	})
}

// A start that fails is told once, and a long pause is not waited for.
func TestSupervisorStart(t *testing.T) {
	in(t, Plan{}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		sh.err = vfs.Invalid.With("these settings")
		if err := s.Start(t.Context()); err != sh.err {
			t.Error(err)
		}
		for range 3 {
			_ = s.Use(t.Context(), nothing)
		}
		if err := s.Use(t.Context(), nothing); vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "these settings") {
			t.Error(err)
		}
	})
	in(t, Plan{}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		if err := s.Start(t.Context()); err != nil {
			t.Error(err)
		}
		if st, err := s.State(); st != Ready || err != nil {
			t.Error(st, err)
		}
		s.Close()
		if err := s.Use(t.Context(), nothing); vfs.KindOf(err) != vfs.Unavailable {
			t.Error(err)
		}
	})
}

// One that does not answer probes is ended; one that is called is not probed.
func TestSupervisorProbes(t *testing.T) {
	in(t, Plan{}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		for range 40 {
			if err := s.Use(t.Context(), nothing); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := sh.made[0].probes.Load(); n != 0 {
			t.Errorf("%d probes of one that is busy", n)
		}
		time.Sleep(time.Minute)
		if n := sh.made[0].probes.Load(); n == 0 || len(sh.made) != 1 {
			t.Errorf("%d probes", n)
		}
		sh.made[0].silent.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if st, err := s.State(); st != Backoff || err != errSilent {
			t.Error(st, err)
		}
		if err := s.Use(t.Context(), nothing); err != nil || len(sh.made) != 2 {
			t.Error(err)
		}
	})
}

// One that nobody calls is stopped, and started for the next call.
func TestSupervisorIdle(t *testing.T) {
	in(t, Plan{Idle: 5 * time.Minute}, func(t *testing.T, sh *shop, s *Supervisor[*part]) {
		for n := 1; n < 20; n++ { // more often than it may crash
			if err := s.Use(t.Context(), nothing); err != nil || len(sh.made) != n {
				t.Fatal(n, len(sh.made), err)
			}
			time.Sleep(7 * time.Minute)
			synctest.Wait()
			if st, err := s.State(); st != Stopped || err != nil {
				t.Fatal(st, err)
			}
			select {
			case <-sh.made[n-1].done:
			default:
				t.Fatal("it runs")
			}
		}
		stop := make(chan struct{}) // one that is called for longer is not idle
		go func() { time.Sleep(time.Hour); close(stop) }()
		if err := s.Use(t.Context(), func(_ context.Context, p *part) error { <-stop; return p.err }); err != nil {
			t.Error(err)
		}
	})
}

// More calls than may wait are refused at once; those that wait go on.
func TestSupervisorBounds(t *testing.T) {
	in(t, Plan{Calls: 2, Queue: 3}, func(t *testing.T, _ *shop, s *Supervisor[*part]) {
		stop, ended := make(chan struct{}), make(chan error, 9)
		for range 9 {
			go func() {
				ended <- s.Use(t.Context(), func(context.Context, *part) error { <-stop; return nil })
			}()
		}
		synctest.Wait()
		for range 4 {
			if err := <-ended; vfs.KindOf(err) != vfs.Throttled {
				t.Error(err)
			}
		}
		close(stop)
		for range 5 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// Callers, ends, idle stops and the close do not race.
func TestSupervisorHammer(t *testing.T) {
	var k book
	var mu sync.Mutex
	sh := &shop{}
	s := New(func(ctx context.Context) (*part, error) {
		mu.Lock()
		defer mu.Unlock()
		return sh.start(ctx)
	}, Plan{Pause: time.Millisecond, Crashes: 1 << 30, Idle: 2 * time.Millisecond, Probe: time.Millisecond}, k.logger())
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 300 {
				_ = s.Use(t.Context(), func(_ context.Context, p *part) error {
					if (i+n)%7 == 0 {
						p.end(errCrash)
					}
					return nil
				})
				if i%50 == n {
					time.Sleep(4 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	s.Close()
	for n, p := range sh.made {
		select {
		case <-p.done:
		default:
			t.Errorf("%d of %d still runs", n, len(sh.made))
		}
	}
}
