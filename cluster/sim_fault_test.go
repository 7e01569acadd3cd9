package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// simFault makes a fault; what it returns ends it.
type simFault struct {
	name   string
	weight int
	long   time.Duration // it lasts up to this
	begin  func(s *sim) (end func())
}

func simFaults() []simFault {
	return []simFault{
		{"power cut of one node", 12, 2 * time.Minute, func(s *sim) func() { return s.down(1, false) }},
		{"long power cut of one node", 3, 15 * time.Minute, func(s *sim) func() { return s.down(1, false) }},
		{"power cut of a majority", 4, time.Minute, func(s *sim) func() { return s.down(len(s.hosts)/2+1, false) }},
		{"power cut of all nodes", 4, 30 * time.Second, func(s *sim) func() { return s.down(len(s.hosts), false) }},
		{"kill of one node", 8, 10 * time.Second, func(s *sim) func() { return s.down(1, true) }},
		{"kill of all nodes", 2, 5 * time.Second, func(s *sim) func() { return s.down(len(s.hosts), true) }},
		{"restart of one node", 4, 5 * time.Second, (*sim).restart},
		{"one node cut off", 8, 3 * time.Minute, func(s *sim) func() { return s.isolate(s.any(), true, true) }},
		{"the leader cut off", 8, 2 * time.Minute, func(s *sim) func() { return s.isolate(s.leader(), true, true) }},
		{"the leader hears nobody", 4, time.Minute, func(s *sim) func() { return s.isolate(s.leader(), true, false) }},
		{"nobody hears the leader", 4, time.Minute, func(s *sim) func() { return s.isolate(s.leader(), false, true) }},
		{"random routes blocked", 6, 2 * time.Minute, (*sim).scatter},
		{"one node between two halves", 3, 2 * time.Minute, (*sim).bridge},
		{"routes blocked and freed one by one", 4, time.Minute, (*sim).swizzle},
		{"flapping routes", 5, time.Minute, (*sim).flap},
		{"slow routes", 8, 3 * time.Minute, (*sim).drag},
		{"clock step", 5, 5 * time.Minute, (*sim).step},
		{"slow disk", 6, time.Minute, func(s *sim) func() { return s.lag(time.Second) }},
		{"stuck disk", 2, time.Minute, func(s *sim) func() { return s.lag(2 * logDeadline) }},
		{"failing disk", 3, 30 * time.Second, (*sim).breakDisk},
		{"leadership handed over", 5, time.Second, (*sim).transfer},
		{"snapshot", 4, time.Second, (*sim).snapshot},
	}
}

// torment brings faults until ctx is done: one at a time, at times a second
// one before the first is over.
func (s *sim) torment(ctx context.Context, calm time.Duration) {
	faults, total := simFaults(), 0
	for _, f := range faults {
		total += f.weight
	}
	for pause(ctx, time.Duration(s.r.ExpFloat64()*float64(calm))) {
		var ends []func()
		var long time.Duration
		for range 1 + s.r.IntN(3)/2 {
			n := s.r.IntN(total)
			i := 0
			for ; n >= faults[i].weight; i++ {
				n -= faults[i].weight
			}
			s.count(faults[i].name)
			ends = append(ends, faults[i].begin(s))
			long = max(long, faults[i].long)
			pause(ctx, time.Duration(s.r.Int64N(int64(5*time.Second))))
		}
		pause(ctx, time.Duration(s.r.Int64N(int64(long))))
		for _, end := range ends {
			end()
		}
	}
}

func (s *sim) any() int { return s.r.IntN(len(s.hosts)) }

// leader returns the number of the node that leads, or of any.
func (s *sim) leader() int {
	for i, h := range s.hosts {
		if l := h.life.Load(); l != nil && l.reign.Load() != nil {
			return i
		}
	}
	return s.any()
}

// down ends some nodes at one moment; they start one after the other.
func (s *sim) down(n int, kill bool) (end func()) {
	which := s.r.Perm(len(s.hosts))[:n]
	if s.r.IntN(3) == 0 {
		which[0] = s.leader() // perhaps twice: then one less
	}
	keep := []int{0, 0, 10, 50, 90, 100}[s.r.IntN(6)]
	for _, i := range which {
		s.crash(s.hosts[i], keep, kill)
	}
	gap := time.Duration(s.r.Int64N(int64(5 * time.Second)))
	return func() {
		for _, i := range which {
			s.start(s.hosts[i])
			simPause(gap)
		}
	}
}

func (s *sim) restart() (end func()) {
	h := s.hosts[s.any()]
	s.stop(h)
	return func() { s.start(h) }
}

// isolate blocks what comes to a node, what it sends, or both.
func (s *sim) isolate(i int, in, out bool) (end func()) {
	set := func(on bool) {
		for j := range s.hosts {
			if in && j != i {
				s.net.block(route{j, i}, on)
			}
			if out && j != i {
				s.net.block(route{i, j}, on)
			}
		}
	}
	set(true)
	return func() { set(false) }
}

// routes returns all routes, in random order.
func (s *sim) routes() (out []route) {
	for i := range s.hosts {
		for j := range s.hosts {
			if i != j {
				out = append(out, route{i, j})
			}
		}
	}
	s.r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (s *sim) scatter() (end func()) {
	some := s.routes()
	some = some[:1+s.r.IntN(len(some))]
	for _, r := range some {
		s.net.block(r, true)
	}
	return func() {
		for _, r := range some {
			s.net.block(r, false)
		}
	}
}

// bridge leaves one node that all others reach; they are in two halves.
func (s *sim) bridge() (end func()) {
	order := s.r.Perm(len(s.hosts))
	half := len(order) / 2
	set := func(on bool) {
		for _, a := range order[:half] {
			for _, b := range order[half+1:] {
				s.net.block(route{a, b}, on)
				s.net.block(route{b, a}, on)
			}
		}
	}
	set(true)
	return func() { set(false) }
}

func (s *sim) swizzle() (end func()) {
	some := s.routes()
	for _, r := range some {
		s.net.block(r, true)
		simPause(time.Duration(s.r.Int64N(int64(time.Second))))
	}
	back := s.routes()
	gap := time.Duration(s.r.Int64N(int64(time.Second)))
	return func() {
		for _, r := range back {
			s.net.block(r, false)
			simPause(gap)
		}
	}
}

// background runs f until the function it returns is called.
func background(f func(ctx context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (s *sim) flap() (end func()) {
	some := s.routes()
	some = some[:1+s.r.IntN(len(some))]
	r := rand.New(rand.NewPCG(s.r.Uint64(), 2))
	return background(func(ctx context.Context) {
		for on := true; pause(ctx, time.Duration(r.Int64N(int64(3*time.Second)))); on = !on {
			for _, way := range some {
				s.net.block(way, on)
			}
		}
		for _, way := range some {
			s.net.block(way, false)
		}
	})
}

func (s *sim) drag() (end func()) {
	some := s.routes()
	some = some[:1+s.r.IntN(len(some))]
	for _, r := range some {
		s.net.slow(r, time.Millisecond<<s.r.IntN(12))
	}
	return func() {
		for _, r := range some {
			s.net.slow(r, 0)
		}
	}
}

// step moves a clock by up to an hour. It stays so for the next fault, too.
func (s *sim) step() (end func()) {
	s.hosts[s.any()].skew.Store(s.r.Int64N(int64(2*time.Hour)) - int64(time.Hour))
	return func() {}
}

func (s *sim) lag(most time.Duration) (end func()) {
	h := s.hosts[s.any()]
	if s.r.IntN(2) == 0 {
		h = s.hosts[s.leader()]
	}
	h.lag.Store(int64(most)/2 + s.r.Int64N(int64(most)/2))
	return func() {
		h.well()
		s.start(h) // it may have given up
	}
}

func (s *sim) breakDisk() (end func()) {
	h := s.hosts[s.any()]
	h.broken.Store(true)
	return func() {
		h.well()
		s.start(h)
	}
}

func (s *sim) transfer() (end func()) {
	if l := s.hosts[s.leader()].life.Load(); l != nil {
		_ = l.raft.LeadershipTransfer().Error() // there may be nobody to take it
	}
	return func() {}
}

func (s *sim) snapshot() (end func()) {
	if l := s.hosts[s.any()].life.Load(); l != nil && !l.over.Load() {
		if err := l.raft.Snapshot().Error(); err != nil && err != raft.ErrNothingNewToSnapshot && err != raft.ErrRaftShutdown {
			s.count("  snapshots refused: " + err.Error())
		}
	}
	return func() {}
}

// opensPebble reports whether the caller is under pebble.Open, which holds a
// mutex all along: while somebody waits for one, false time stands still.
func opensPebble() bool {
	var pc [64]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc[:])])
	for {
		f, more := frames.Next()
		if f.Function == "github.com/cockroachdb/pebble/v2.Open" {
			return true
		}
		if !more {
			return false
		}
	}
}

// inBubble has f run in a bubble of false time. A bubble must end with all its
// goroutines, but pebble v2.1.7 leaves some behind when it fails to open (its
// open.go stops neither its log writer nor its cleaner), and a log store whose disk
// failed leaves its database as it is: they are let pass, and no others.
func inBubble(t *testing.T, f func(t *testing.T)) {
	bubble := ""
	defer func() {
		p := recover()
		if p != nil && !(strings.Contains(fmt.Sprint(p), "blocked goroutines remain") && onlyPebble(bubble)) {
			panic(p)
		}
		if p != nil && t.Failed() {
			t.FailNow()
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		head, _, _ := strings.Cut(stacks(false), "\n")
		bubble = head[strings.LastIndex(head, "synctest bubble "):]
		f(t)
	})
}

// onlyPebble reports whether pebble has made all goroutines of a bubble, or the log
// store for a commit that did not come back.
func onlyPebble(bubble string) bool {
	for g := range strings.SplitSeq(stacks(true), "\n\n") {
		head, _, _ := strings.Cut(g, "\n")
		_, maker, _ := strings.Cut(g, "\ncreated by ")
		if strings.HasSuffix(head, bubble) && !strings.HasPrefix(maker, "github.com/cockroachdb/pebble/") &&
			!strings.HasPrefix(maker, "github.com/pfs-project/pfs/raftlog.(*pebbleStore).commit ") {
			return false
		}
	}
	return true
}

// stacks returns the stack of this goroutine, or those of all.
func stacks(all bool) string {
	b := make([]byte, 16<<20)
	return string(b[:runtime.Stack(b, all)])
}
