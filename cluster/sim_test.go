package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/test/memdisk"
)

// sim is a cluster of real nodes in a bubble of false time: their network and
// their disks are in memory, and waiting costs nothing. The seed fixes when
// which fault comes; in which order goroutines run it does not fix.
type sim struct {
	t     *testing.T
	r     *rand.Rand // of the faults
	net   *simNet
	hosts []*host
	load  *simLoad
	book  *logBook
	dying sync.WaitGroup // nodes that have lost their machine and still end

	mu     sync.Mutex
	faults map[string]int
	errs   int
}

// host is a machine: it has a disk and an address, and now and then a node.
type host struct {
	i      int
	conf   Config
	life   atomic.Pointer[life]
	turn   turn // held to start or end the node
	disk   *memdisk.Disk
	skew   atomic.Int64 // of its clock
	lag    atomic.Int64 // of every sync of its log
	broken atomic.Bool  // its disk fails
	hurt   atomic.Int64 // until when its disk may be the reason of its end
	away   atomic.Bool  // its node is no member
	trip   atomic.Int64 // calls that change its disk until the power goes; 0: it stays
	trips  atomic.Pointer[func(l *life)]
}

// life is a node from its start to the end of its machine.
type life struct {
	*Node
	disk *memdisk.Disk
	over atomic.Bool // nothing that it says from now on is heard

	gone  chan struct{} // closed when the disk was cut in the middle of a call
	after *memdisk.Disk // what is left then
}

// simSize says how large a simulated cluster is and how it behaves.
type simSize struct {
	nodes    int
	more     int // nodes that join them
	clients  int
	think    time.Duration // of a client between two calls, on average
	election time.Duration
}

func newSim(t *testing.T, seed uint64, size simSize) *sim {
	s := &sim{t: t, r: rand.New(rand.NewPCG(seed, 0)), net: newSimNet(), faults: map[string]int{}}
	var join []string
	for i := range size.nodes + size.more {
		join = append(join, fmt.Sprintf("10.0.0.%d:7000", i+1))
		s.net.name(join[i], i)
	}
	for i := range join {
		h := &host{i: i, disk: memdisk.New(), turn: make(turn, 1)}
		h.conf = Config{
			NodeID: fmt.Sprintf("n%d", i+1), Dir: "/node", Address: join[i], HTTP: "http://" + join[i], Join: join[:size.nodes], Expect: size.nodes,
			LogStore: "pebble", Plaintext: true, Plugins: plugins.Builtin(nil), CacheBytes: 8 << 20, Election: size.election,
			Mounts:   []fsm.FileMount{{Path: "/m", Type: "memfs"}, {Path: "/q", Type: "queuefs"}},
			clock:    func() time.Time { return time.Now().Add(time.Duration(h.skew.Load())) },
			trailing: 64, snapshots: 100,
		}
		if i >= size.nodes {
			h.conf.Expect = 1
		}
		h.conf.Log = slog.New(simNews{s})
		if os.Getenv("PFS_TEST_LOG") != "" {
			h.conf.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("n", i+1)
		}
		s.hosts = append(s.hosts, h)
	}
	s.book = newLogBook(s)
	s.load = newSimLoad(s, seed, size)
	return s
}

// simNews is a log that counts what a run has to have seen.
type simNews struct{ s *sim }

// Enabled takes what operators are told.
func (simNews) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle counts some messages.
func (n simNews) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "state restored":
		n.s.count("  snapshots installed")
	case "this node leads":
		n.s.count("  terms led")
	}
	return nil
}

// WithAttrs has no use for attributes.
func (n simNews) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup has no use for groups.
func (n simNews) WithGroup(string) slog.Handler { return n }

// bad notes that a promise was broken.
func (s *sim) bad(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errs++; s.errs <= 20 {
		s.hosts[0].conf.Log.Error("ANOMALY", "n", 0, "what", fmt.Sprintf(format, args...))
		s.t.Errorf(time.Now().Format("15:04:05.000 ")+format, args...)
	}
}

func (s *sim) count(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[fault]++
}

// start starts the node of a host that has none.
func (s *sim) start(h *host) {
	h.turn <- struct{}{}
	defer h.turn.leave()
	if h.life.Load() != nil || h.broken.Load() {
		return
	}
	s.net.power(h.i, true, false)
	l := &life{disk: h.disk, gone: make(chan struct{})}
	c := h.conf
	c.disk = disk{l.disk, l.disk.Chunks(), func(dir string) (io.Closer, error) { return l.disk.Lock(dir + "/" + lockFile) }}
	l.disk.Fault = func(k memdisk.Kind, name string) error { return h.fault(l, k, name) }
	c.listen = func(addr string) (net.Listener, error) {
		p, err := s.net.listen(h.i)(addr)
		if l.over.Load() { // the next node has its address
			p.Close()
		}
		return p, err
	}
	c.dial = func(ctx context.Context, addr string) (net.Conn, error) {
		e, err := s.net.dial(ctx, h.i, addr)
		if err == nil && l.over.Load() {
			err = errors.Join(net.ErrClosed, e.Close())
		}
		return e, err
	}
	c.Fatal = func(err error) {
		if l.over.Load() {
			return
		}
		if !h.excused() {
			s.bad("%s: %v", h.conf.NodeID, err)
		}
		s.count("  nodes that ended themselves")
		s.end(h, l, s.random().IntN(101), false)
	}
	n, err := Start(context.Background(), c)
	l.Node = n
	if l.over.Load() { // its power went on the way
		<-l.gone
		h.disk = l.after
		if err == nil {
			s.dying.Go(func() { _ = n.Stop(context.Background()) })
		}
		return
	}
	if err != nil {
		if !h.excused() {
			s.bad("%s does not start: %v", h.conf.NodeID, err)
		}
		return
	}
	h.life.Store(l)
}

// excused reports whether the disk has been such that the node may end.
func (h *host) excused() bool {
	return h.broken.Load() || h.lag.Load() != 0 || time.Now().UnixNano() < h.hurt.Load()
}

// well ends what is wrong with the disk.
func (h *host) well() {
	if h.excused() {
		h.hurt.Store(time.Now().Add(3 * logDeadline).UnixNano())
	}
	h.lag.Store(0)
	h.broken.Store(false)
}

// fault is what the host's disk answers.
func (h *host) fault(l *life, k memdisk.Kind, name string) error {
	if l.over.Load() {
		return nil // nobody sees this disk again
	}
	if h.trip.Load() > 0 && h.trip.Add(-1) == 0 {
		(*h.trips.Load())(l)
		return nil
	}
	if h.broken.Load() && (k == memdisk.Sync || k == memdisk.Write) {
		return errors.New("input/output error")
	}
	if lag := time.Duration(h.lag.Load()); lag > 0 && k == memdisk.Sync && h.life.Load() == l && !opensPebble() {
		simPause(lag)
	}
	return nil
}

func simPause(d time.Duration) { pause(context.Background(), d) }

// crash takes the machine of a node away. Of what its disk had not synced, keep
// percent are there when it starts again; a process that is killed loses
// nothing that it has written.
func (s *sim) crash(h *host, keep int, kill bool) {
	if l := h.life.Load(); l != nil {
		s.end(h, l, keep, kill)
	}
}

func (s *sim) end(h *host, l *life, keep int, kill bool) {
	h.turn <- struct{}{}
	defer h.turn.leave()
	if !h.life.CompareAndSwap(l, nil) {
		return
	}
	switch {
	case l.over.Swap(true):
		<-l.gone
		h.disk = l.after
	case kill:
		s.net.power(h.i, false, true)
		h.disk = l.disk.Copy()
	default:
		s.net.power(h.i, false, false)
		h.disk = l.disk.Cut(keep, s.random())
	}
	s.dying.Go(func() { _ = l.Stop(context.Background()) }) // of no interest: it is gone
}

// lose takes the power of machines at one moment, in the middle of a call of a
// node to its disk; what is left of each disk is seen later.
func (s *sim) lose(lives map[*host]*life, keep int) {
	for h, l := range lives { // any order
		if l.over.Swap(true) {
			delete(lives, h)
			continue
		}
		s.net.power(h.i, false, false)
	}
	for h, l := range lives { // any order
		l.after = l.disk.Cut(keep, s.random())
		close(l.gone)
		s.dying.Go(func() {
			h.turn <- struct{}{}
			mine := h.life.CompareAndSwap(l, nil)
			if mine {
				h.disk = l.after
			}
			h.turn.leave()
			if mine {
				_ = l.Stop(context.Background()) // of no interest: it is gone
			}
		})
	}
}

// random returns randomness for a moment that the schedule does not name.
func (s *sim) random() *rand.Rand { return rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) }

// stop ends a node as an operator would, and starts it again after a while.
func (s *sim) stop(h *host) {
	l := h.life.Swap(nil)
	if l == nil {
		return
	}
	if err := l.Stop(context.Background()); err != nil && !h.excused() {
		s.bad("stop %s: %v", h.conf.NodeID, err)
	}
	if l.over.Swap(true) {
		<-l.gone
		h.disk = l.after
		return
	}
	h.disk = l.disk.Copy()
}

// heal ends all faults and starts what is down.
func (s *sim) heal() {
	for _, a := range s.hosts {
		a.skew.Store(0)
		a.well()
		for _, b := range s.hosts {
			s.net.block(route{a.i, b.i}, false)
			s.net.slow(route{a.i, b.i}, 0)
		}
	}
	for _, h := range s.hosts {
		s.start(h)
	}
}

// within waits until f is true, at most d.
func (s *sim) within(d time.Duration, f func() bool) bool {
	for end := time.Now().Add(d); !f(); simPause(50 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// ready reports whether every node runs and is ready.
func (s *sim) ready() bool {
	for _, h := range s.hosts {
		if l := h.life.Load(); !h.away.Load() && (l == nil || l.Ready() != nil) {
			return false
		}
	}
	return true
}

// lifeless tells how the nodes are.
func (s *sim) lifeless() (out string) {
	for _, h := range s.hosts {
		if l := h.life.Load(); l == nil {
			out += h.conf.NodeID + " is down; "
		} else {
			out += fmt.Sprintf("%s is ready: %v, at %d of %v; ", h.conf.NodeID, l.Ready(), l.machine.Applied(), l.configuration().Servers)
		}
	}
	return out
}

// settled waits until all nodes have applied the same, and compares them with
// each other and with the copy that was made of the log alone.
func (s *sim) settled() {
	members := slices.DeleteFunc(slices.Clone(s.hosts), func(h *host) bool { return h.away.Load() })
	one := s.within(time.Minute, func() bool {
		first := members[0].life.Load()
		for _, h := range members {
			if l := h.life.Load(); l == nil || l.machine.Applied() != first.machine.Applied() || l.raft.LastIndex() > l.machine.Applied() {
				return false
			}
		}
		return true
	})
	if !one {
		s.bad("the nodes do not come to one index")
		return
	}
	s.book.collect()
	want := s.book.sums(members[0].life.Load().machine.Applied())
	for _, h := range members {
		if got, err := h.life.Load().Sums(context.Background(), 0); err != nil || got != want {
			s.bad("%s has the digest %.8x at %d, the log gives %.8x at %d: %v", h.conf.NodeID, got.State, got.Index, want.State, want.Index, err)
		}
	}
}

// simRun lives through some hours of faults and reports.
func simRun(t *testing.T, seed uint64, size simSize, hours int) {
	s := newSim(t, seed, size)
	begin := time.Now()
	for _, h := range s.hosts {
		s.start(h)
	}
	if !s.within(time.Minute, s.ready) {
		s.bad("no cluster within a minute")
		hours = 0
	} else {
		s.load.first()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.load.run(ctx) })
	wg.Go(func() { s.book.run(ctx) })
	var slowest time.Duration
	for range hours {
		hour, done := context.WithTimeout(ctx, time.Hour-2*time.Minute)
		s.torment(hour, 20*time.Second)
		done()
		s.heal()
		healed := time.Now()
		up := func() bool {
			for _, h := range s.hosts {
				s.start(h) // it may just have given up because of its disk
			}
			return s.alive()
		}
		if !s.within(2*time.Minute, up) {
			s.bad("no life two minutes after all faults have ended: %s", s.lifeless())
		}
		slowest = max(slowest, time.Since(healed))
		s.load.pause()
		s.alive() // the last entry is a change: a snapshot does not move a node beyond it
		s.settled()
		s.load.resume()
	}
	cancel()
	wg.Wait()
	for _, h := range s.hosts {
		s.stop(h)
	}
	s.dying.Wait()
	s.book.check(s.load)
	s.book.fresh(s.load)
	s.report(time.Since(begin), slowest, 5)
	if err := s.book.copy.Close(); err != nil {
		t.Error(err)
	}
}

// alive reports whether every node is ready and has a write done.
func (s *sim) alive() bool {
	if !s.ready() {
		return false
	}
	for _, h := range s.hosts {
		if l := h.life.Load(); !h.away.Load() && (l == nil || !s.load.touch(l)) {
			return false
		}
	}
	return true
}

// report tells what happened; of less than so many kinds of faults and news it
// fails.
func (s *sim) report(d, slowest time.Duration, kinds int) {
	var acked, unknown, refused int
	for _, o := range s.load.ops {
		switch o.end {
		case simAcked:
			acked++
		case simUnknown:
			unknown++
		default:
			refused++
		}
	}
	s.t.Logf("%v simulated, %d nodes: %d writes acknowledged, %d unknown, %d refused; %d reads, %d failed; %d entries; alive %v after healing at the latest; %d anomalies",
		d.Round(time.Minute), len(s.hosts), acked, unknown, refused, len(s.load.reads), s.load.failed, len(s.book.entries), slowest.Round(time.Second), s.errs)
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		s.t.Logf("%6d %s", s.faults[name], name)
	}
	if acked < 100 || len(s.load.reads) < 100 || len(s.faults) < kinds {
		s.t.Error("too little happened: the run proves nothing")
	}
}

// simSeed returns a new seed, or that of PFS_SIM_SEED.
func simSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("PFS_SIM_SEED"), 10, 64); err == nil {
		return n
	}
	return uint64(time.Now().UnixNano())
}

// TestSimulation lives through hours of false time under faults of every kind,
// and checks every answer that clients got. PFS_SIM_SEED repeats the faults of
// a run.
func TestSimulation(t *testing.T) {
	seeds, hours := 1, 2
	if os.Getenv("PFS_SOAK") != "" {
		seeds, hours = 4, 24
	}
	for i := range seeds {
		seed, nodes := simSeed(), 3
		if i == 0 && seeds > 1 { // the longest first
			nodes = 5
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", seed)
			start := time.Now()
			inBubble(t, func(t *testing.T) {
				simRun(t, seed, simSize{nodes: nodes, clients: 8, think: 4 * time.Second, election: 2 * time.Second}, hours)
			})
			t.Logf("took %v", time.Since(start))
		})
	}
}
