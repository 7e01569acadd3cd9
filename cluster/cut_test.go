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
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/test/memdisk"
	"github.com/pfs-project/pfs/vfs"
)

// span is where a counter may stand: at least at what was acknowledged, at most
// at what was asked for.
type span struct{ low, high int }

// ledger is what a node of one was asked for and what it said yes to. Every
// counter goes up only; each is the content of a file, but one counts changes
// of the membership.
type ledger struct {
	mu    sync.Mutex
	spans map[string]span
}

const memberCount = "members"

// step raises a counter by a change: do is nil once it is acknowledged.
func (l *ledger) step(name string, do func(n int) error) error {
	l.mu.Lock()
	s := l.spans[name]
	s.high++
	l.spans[name] = s
	l.mu.Unlock()
	if err := do(s.high); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s = l.spans[name]
	s.low = s.high
	l.spans[name] = s
	return nil
}

// now is what a cut at this moment may leave.
func (l *ledger) now() map[string]span {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.spans)
}

// cutRig runs a node of one on disks that lose their power.
type cutRig struct {
	t    *testing.T
	r    *rand.Rand
	net  *simNet
	cuts []cut
	mu   sync.Mutex
}

// cut is a disk after a cut, and what must be on it.
type cut struct {
	disk  *memdisk.Disk
	where string
	keep  int
	spans map[string]span
}

// start starts node i of n on a disk.
func (g *cutRig) start(i, n int, d *memdisk.Disk, fatal func(error)) (*Node, error) {
	c := Config{NodeID: fmt.Sprint("n", i+1), Dir: "/node", Expect: n, LogStore: "pebble", Plaintext: true,
		Plugins: plugins.Builtin(nil), Mounts: []fsm.FileMount{{Path: "/m", Type: "memfs"}}, CacheBytes: 1 << 20,
		Election: 100 * time.Millisecond, trailing: 8, Fatal: fatal,
		dial:   func(ctx context.Context, to string) (net.Conn, error) { return g.net.dial(ctx, i, to) },
		listen: g.net.listen(i), disk: memoryDisk(d)}
	for k := range n {
		c.Join = append(c.Join, fmt.Sprintf("10.0.0.%d:7000", k+1))
		g.net.name(c.Join[k], k)
	}
	c.Address = c.Join[i]
	if n == 1 {
		c.Join = nil
	}
	if os.Getenv("PFS_TEST_LOG") != "" {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("n", i+1)
	}
	return Start(context.Background(), c)
}

// memoryDisk is a disk in memory as a node uses it.
func memoryDisk(d *memdisk.Disk) disk {
	return disk{d, d.Chunks(), func(dir string) (io.Closer, error) { return d.Lock(dir + "/" + lockFile) }}
}

func (g *cutRig) ready(n *Node) error {
	for range 1000 {
		if n.Ready() == nil {
			return nil
		}
		simPause(20 * time.Millisecond)
	}
	return fmt.Errorf("not ready: %w", n.Ready())
}

// sample has the disk cut before some of the calls that change it.
func (g *cutRig) sample(d *memdisk.Disk, l *ledger, share int) {
	d.Fault = func(k memdisk.Kind, name string) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.r.IntN(100) >= share {
			return nil
		}
		keep := []int{0, 0, 10, 50, 90, 100}[g.r.IntN(6)]
		spans := l.now() // first: what is acknowledged meanwhile may be there or not
		g.cuts = append(g.cuts, cut{d.Cut(keep, g.r), fmt.Sprint(k, " ", name), keep, spans})
		return nil
	}
}

// roll draws a number below n, beside those that the disk's calls draw.
func (g *cutRig) roll(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.r.IntN(n)
}

// work has a node do a bit of everything.
func (g *cutRig) work(n *Node, l *ledger) error {
	errs := make(chan error, 16)
	var wg sync.WaitGroup
	for c := range 3 {
		times, long := 1+g.roll(4), g.roll(3) == 0
		wg.Go(func() {
			for range times {
				errs <- g.write(n, l, fmt.Sprint("c", c), long)
			}
		})
	}
	if g.roll(2) == 0 {
		wg.Go(func() { _ = n.raft.Snapshot().Error() }) // raft may find that this is not the time
	}
	if g.roll(3) == 0 {
		wg.Go(func() { errs <- l.step(memberCount, n.flip) })
	}
	wg.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}

// flip takes a read replica in, or out.
func (n *Node) flip(k int) error {
	if k%2 == 1 {
		return n.raft.AddNonvoter("x", "10.0.0.2:7000", 0, joinTime).Error()
	}
	return n.raft.RemoveServer("x", 0, joinTime).Error()
}

func (g *cutRig) write(n *Node, l *ledger, name string, long bool) error {
	return l.step(name, func(k int) error {
		text := strconv.Itoa(k) + " "
		if long {
			text += strings.Repeat("x", vfs.MaxInline)
		}
		body, err := n.Keep(context.Background(), strings.NewReader(text), 0)
		if err != nil {
			return err
		}
		out, err := n.Propose(context.Background(), writeOp(vfs.Path("/m/"+name), body))
		return errors.Join(err, out.Err)
	})
}

// look reads where the counters stand.
func (g *cutRig) look(n *Node) (map[string]int, error) {
	im, err := n.Image(context.Background(), vfs.Level{Linearizable: true})
	if err != nil {
		return nil, err
	}
	defer im.Release()
	out := map[string]int{}
	for c := range 3 {
		name := fmt.Sprint("c", c)
		info, err := im.Table.Stat(context.Background(), im.View, vfs.Path("/m/"+name))
		if vfs.KindOf(err) == vfs.NotFound {
			continue
		}
		b := make([]byte, info.Size)
		if _, e := im.Table.ReadAt(context.Background(), im.View, vfs.Path("/m/"+name), b, 0); e != nil && e != io.EOF {
			err = errors.Join(err, e)
		}
		k, _, _ := strings.Cut(string(b), " ")
		n, e := strconv.Atoi(k)
		if err = errors.Join(err, e); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = n
	}
	if len(n.configuration().Servers) > 1 {
		out[memberCount] = 1
	}
	return out, nil
}

// misfits tells which counters stand where they must not.
func misfits(got map[string]int, spans map[string]span) (why string) {
	for name, s := range spans {
		switch k := got[name]; {
		case name != memberCount && (k < s.low || k > s.high):
			why += fmt.Sprintf("; %s is at %d, acknowledged %d, asked for %d", name, k, s.low, s.high)
		case name == memberCount && s.low == s.high && k != s.low%2: // only whether it is odd shows
			why += fmt.Sprintf("; %d members too many after %d changes", k, s.low)
		}
	}
	return why
}

// end stops a node and fails the test if anything went wrong.
func (g *cutRig) end(n *Node, where string, err error) {
	g.t.Helper()
	if n != nil {
		err = errors.Join(err, n.Stop(context.Background()))
	}
	if err != nil {
		g.t.Fatalf("%s: %v", where, err)
	}
}

// verify opens what a cut left. It returns where the counters stand there.
func (g *cutRig) verify(c cut) map[string]int {
	where := fmt.Sprintf("cut before %s, %d%% kept", c.where, c.keep)
	n, err := g.start(0, 1, c.disk, func(err error) { g.t.Errorf("%s: %v", where, err) })
	if err == nil {
		err = g.ready(n)
	}
	var got map[string]int
	if err == nil {
		got, err = g.look(n)
	}
	g.end(n, where, err)
	if why := misfits(got, c.spans); why != "" {
		g.t.Errorf("%s%s", where, why)
	}
	return got
}

// round starts a node on a disk and has it work while its power is cut again
// and again. It returns one of the disks to go on from.
func (g *cutRig) round(from cut, spans map[string]span) (cut, map[string]span, int) {
	l := &ledger{spans: spans}
	g.cuts = nil
	g.sample(from.disk, l, 15)
	n, err := g.start(0, 1, from.disk, func(err error) { g.t.Error(err) })
	if err == nil {
		err = g.ready(n)
	}
	for range 2 {
		if err == nil {
			err = g.work(n, l)
		}
	}
	g.end(n, "without a cut", err)
	next, after := cut{}, map[string]span{}
	pick := g.r.IntN(len(g.cuts))
	for i, c := range g.cuts {
		if i == pick {
			next = c
			next.disk = c.disk.Copy()
		}
		got := g.verify(c)
		if i == pick {
			for name, k := range got {
				after[name] = span{k, k}
			}
		}
	}
	return next, after, len(g.cuts)
}

// cuts of the power of whole nodes, in all.
func cuts() int {
	if os.Getenv("PFS_SOAK") != "" {
		return 10_000
	}
	return 800
}

// TestPowerCutsOfANode cuts the power of a whole node before any of the calls
// that change its disk, while it starts, writes, takes snapshots, changes its
// membership and stops. What it had acknowledged is there when it starts again.
func TestPowerCutsOfANode(t *testing.T) {
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			total, rounds := 0, 0
			synctest.Test(t, func(t *testing.T) {
				g := &cutRig{t: t, r: rand.New(rand.NewPCG(seed, 1)), net: newSimNet()}
				c, spans := cut{disk: memdisk.New()}, map[string]span{}
				for n := 0; total < cuts()*39/80 && !t.Failed(); total, rounds = total+n, rounds+1 {
					c, spans, n = g.round(c, spans)
				}
			})
			t.Logf("seed %d: %d power cuts in %d rounds, nothing acknowledged lost", seed, total, rounds)
		})
	}
}
