package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// wound is a way to damage a file: it returns what it becomes.
type wound struct {
	name string
	do   func(b []byte) []byte
}

// hurt damages what was written of a file: that of a log is filled with zeroes
// beforehand, which stay unless something is cut off.
func (w wound) hurt(b []byte) []byte {
	written := bytes.TrimRight(b, "\x00")
	out := w.do(bytes.Clone(written))
	if len(out) < len(written) {
		return out
	}
	return append(out, b[len(written):]...)
}

func cutOff(n int) wound {
	return wound{fmt.Sprintf("%d bytes cut off", n), func(b []byte) []byte { return b[:max(0, len(b)-n)] }}
}

// flipAt flips a bit at a part of the file in thousandths.
func flipAt(part int) wound {
	return wound{fmt.Sprintf("a bit flipped at %d/1000", part), func(b []byte) []byte {
		if len(b) > 0 {
			b[len(b)*part/1000] ^= 1 << rand.IntN(8)
		}
		return b
	}}
}

// flipByte flips a bit of one byte.
func flipByte(off int) wound {
	return wound{fmt.Sprintf("a bit of byte %d flipped", off), func(b []byte) []byte {
		b[off] ^= 1
		return b
	}}
}

// zeroAt clears a page there.
func zeroAt(part int) wound {
	return wound{fmt.Sprintf("a page of zeros at %d/1000", part), func(b []byte) []byte {
		at := len(b) * part / 1000 &^ 4095
		clear(b[at:min(at+4096, len(b))])
		return b
	}}
}

func half() wound { return wound{"half of it", func(b []byte) []byte { return b[:len(b)/2] }} }

func empty() wound { return wound{"empty", func([]byte) []byte { return nil }} }

func garbage() wound {
	return wound{"garbage behind it", func(b []byte) []byte { return append(b, bytes.Repeat([]byte{0xa5, 1, 0}, 700)...) }}
}

// doubled repeats the end.
func doubled() wound {
	return wound{"its end twice", func(b []byte) []byte { return append(b, b[max(0, len(b)-4096):]...) }}
}

// gone removes the file.
func gone() wound { return wound{"gone", nil} }

// harm is a file of a node and what is done to it. told says that the node has
// to refuse to run: what is damaged there it cannot do without.
type harm struct {
	file  string // pattern, below the data directory; the last match
	wound wound
	told  bool
}

func harms(logStore string) (all []harm) {
	add := func(file string, told bool, wounds ...wound) {
		for _, w := range wounds {
			all = append(all, harm{file, w, told})
		}
	}
	if logStore == "bolt" {
		add("raft/raft.db", true, cutOff(1<<20), half(), empty(), gone(), flipByte(60), flipByte(4096+30), zeroAt(0))
		add("raft/raft.db", false, cutOff(1), cutOff(4096), flipAt(10), flipAt(25), flipAt(50), flipAt(100), flipAt(200), zeroAt(20), zeroAt(40), zeroAt(80), garbage(), doubled())
	} else {
		add("raft/*.log", true, half(), empty(), gone())
		add("raft/*.log", false, cutOff(1), cutOff(100), cutOff(4096), flipAt(100), flipAt(500), flipAt(900), flipAt(999), zeroAt(0), zeroAt(500), zeroAt(950), garbage(), doubled())
		add("raft/MANIFEST-*", true, empty(), gone())
		add("raft/MANIFEST-*", false, half(), flipAt(100), flipAt(900), garbage())
	}
	add("state/CURRENT", true, empty(), gone(), cutOff(3), wound{"garbage", func([]byte) []byte { return []byte("0000x001\n") }})
	add("state/0*/FORMAT", true, empty(), gone(), wound{"newer", func([]byte) []byte { return []byte("pfs-store 99\n") }})
	add("state/0*/MANIFEST-*", true, empty(), gone())
	add("state/0*/MANIFEST-*", false, half(), flipAt(100), flipAt(700), garbage())
	add("state/0*/*.log", false, cutOff(1), half(), empty(), gone(), flipAt(10), flipAt(500), flipAt(990), zeroAt(500), garbage())
	add("state/0*/*.sst", false, cutOff(1), half(), empty(), gone(), flipAt(5), flipAt(500), flipAt(990), zeroAt(500), garbage())
	add("state/0*/OPTIONS-*", false, half(), flipAt(500), gone())
	add("blobs/??/*", false, cutOff(1), half(), empty(), gone(), flipAt(1), flipAt(500), zeroAt(0), garbage())
	add("node.json", true, empty(), half(), flipAt(10))
	return all
}

// hurt copies the directory of a node that does not run, and damages a file of
// the copy.
func (h harm) hurt(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(to, h.file))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s: %v", h.file, err)
	}
	slices.Sort(found)
	file := found[len(found)-1]
	if h.wound.do == nil {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return to
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, h.wound.hurt(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestDamage damages the files of one node of three, each in many ways. The
// node must say so and not run, or be as good as before: never does it answer
// what was not written, and never does a file go missing unnoticed.
func TestDamage(t *testing.T) {
	for _, store := range []string{"bolt", "pebble"} {
		t.Run(store, func(t *testing.T) {
			told, healed := 0, 0
			g, want := damageable(t, store)
			for _, h := range harms(store) {
				fared := g.damaged(h, want)
				t.Logf("%-24s %-28s %s", h.file, h.wound.name, [...]string{"refused", "ended", "as good"}[fared])
				switch fared {
				case asGood:
					healed++
				case toldLater:
					told++
					g.renew(2)
				default:
					told++
				}
			}
			t.Logf("%d kinds of damage: %d times the node did not run, %d times it was as good as before", told+healed, told, healed)
			// The procedure for those that did not: start with nothing.
			g.renew(2)
			g.start(2)
			g.ready()
			if !g.holds(2, want) {
				t.Error("the new node does not have all")
			}
			g.sameDigest()
		})
	}
}

// damageable starts three nodes, fills them, and stops the last. It returns
// what the files hold.
func damageable(t *testing.T, store string) (*gang, map[vfs.Path][]byte) {
	g := newGang(t, 3, func(_ int, c *Config) { c.LogStore, c.trailing = store, 40 })
	want := map[vfs.Path][]byte{}
	put := func(k, size int) {
		path, data := vfs.Path(fmt.Sprintf("/m/f%d", k)), bytes.Repeat(fmt.Appendf(nil, "file %d ", k), size/7)
		g.propose(0, writeOp(path, g.keep(0, data)))
		want[path] = data
	}
	for k := range 60 {
		put(k, 20<<10)
	}
	put(60, 300<<10)
	for _, n := range g.nodes {
		if err := n.Snapshot(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	g.renew(2)
	g.start(2)
	g.ready()
	for k := range 30 {
		put(100+k, 2000)
	}
	g.sameDigest()
	for g.leader() == 2 { // it would take the others a while without
		g.stop(2)
		g.start(2)
		g.ready()
	}
	poll(t, "the chunk", func() bool { c, _ := g.nodes[2].blobs.Stats(); return c > 0 })
	g.stop(2)
	return g, want
}

// renew gives a node a new directory, in which the state has a table and the
// log some entries, and stops it.
func (g *gang) renew(i int) {
	g.t.Helper()
	g.stop(i)
	g.conf[i].Dir = filepath.Join(g.t.TempDir(), "data")
	for range 2 {
		g.start(i)
		g.ready()
		g.sameDigest()
		g.stop(i)
	}
}

// How a damaged node fared.
const (
	toldAtOnce = iota // it did not start
	toldLater         // it ended
	asGood            // it runs
)

// damaged runs node 2 in a damaged copy of its directory, and has it go on
// there if it is as good as before.
func (g *gang) damaged(h harm, want map[vfs.Path][]byte) (fared int) {
	g.t.Helper()
	c := g.conf[2]
	c.Dir = h.hurt(g.t, g.conf[2].Dir)
	told := make(chan error, 1)
	c.Fatal = func(err error) {
		select {
		case told <- err:
		default:
		}
	}
	name := h.file + ": " + h.wound.name
	n, err := Start(context.Background(), c)
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrDirectory) && h.wound.name != "newer" || strings.Contains(err.Error(), "goroutine") {
			g.t.Errorf("%s: %v", name, err)
		}
		return toldAtOnce
	}
	g.nodes[2] = n
	defer func() {
		g.nodes[2] = nil
		if err := n.Stop(context.Background()); err != nil && n.Failed() == nil {
			g.t.Errorf("%s: stop: %v", name, err)
		}
	}()
	if h.told {
		g.t.Errorf("%s: it starts", name)
	}
	deadline := time.After(awhile)
	for n.Ready() != nil {
		select {
		case <-told:
			return toldLater
		case <-deadline:
			g.t.Errorf("%s: neither ready nor damaged: %v", name, n.Ready())
			return toldLater
		case <-time.After(5 * time.Millisecond):
		}
	}
	if ok := g.holds(2, want); !ok && n.Failed() == nil {
		g.t.Errorf("%s: other content", name)
	}
	if n.Failed() != nil {
		return toldLater
	}
	g.sameDigest()
	g.conf[2].Dir = c.Dir
	return asGood
}

// holds reports whether a node has the content of all files: it may fail to
// read one for a while, but never answers another.
func (g *gang) holds(i int, want map[vfs.Path][]byte) bool {
	g.t.Helper()
	for path, data := range want {
		got, err := g.readOrFault(i, path)
		if err == nil && !bytes.Equal(got, data) {
			g.t.Errorf("%s: %d bytes, other than were written", path, len(got))
		}
		if err != nil {
			return false
		}
	}
	return true
}

// readOrFault reads as the API does, for which a fault of the store is an error.
func (g *gang) readOrFault(i int, path vfs.Path) (b []byte, err error) {
	defer func() {
		if f, ok := recover().(vfs.StoreFault); ok {
			err = f
		}
	}()
	return g.read(i, path, vfs.Level{Linearizable: true})
}

// TestBadEntries has entries in the log that no node can fold: each node stops
// before them, and names the first.
func TestBadEntries(t *testing.T) {
	good := wire.AppendBatch(nil, []vfs.Event{{Time: time.Now(), Request: vfs.Request{Ops: []vfs.Op{{Verb: vfs.Mkdir, Path: "/m/d"}}}}})
	flipped, newer := bytes.Clone(good), bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	newer[0]++
	for name, entry := range map[string][]byte{
		"empty": {}, "short": good[:3], "bad checksum": flipped, "cut": good[:len(good)-1], "newer version": newer,
		"oversized": bytes.Repeat([]byte{1}, 2*vfs.MaxEntry+1), "no events": wire.AppendBatch(nil, nil)[:2],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan error, 8)
			g := newGang(t, 1, func(_ int, c *Config) { c.Fatal = func(err error) { told <- err } })
			n := g.nodes[0]
			g.write(0, "/m/a", "before")
			f := n.raft.Apply(entry, awhile)
			if err := f.Error(); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("log entry %d of term", f.Index())
			if err := <-told; !strings.Contains(err.Error(), want) {
				t.Errorf("told %v, want %q", err, want)
			}
			if n.machine.Applied() >= f.Index() {
				t.Errorf("entry %d is applied", f.Index())
			}
			g.stop(0)
			again, err := Start(context.Background(), g.conf[0]) // it stops there again
			if err != nil {
				t.Fatal(err)
			}
			if err := <-told; !strings.Contains(err.Error(), want) {
				t.Errorf("started again: told %v, want %q", err, want)
			}
			_ = again.Stop(context.Background()) // it has failed
		})
	}
}

// TestUnknownEntryType has an entry in the log of a kind that raft does not
// know: the node does not start.
func TestUnknownEntryType(t *testing.T) {
	g := newGang(t, 1, func(_ int, c *Config) { c.Fatal = func(error) {} }) // Start says it, too
	g.write(0, "/m/a", "before")
	g.stop(0)
	s, err := raftlog.OpenFound(filepath.Join(g.conf[0].Dir, raftDir))
	if err != nil {
		t.Fatal(err)
	}
	logs := raftlog.Watch(s, raftlog.WatchOptions{})
	last, err := logs.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	term, err := logs.Term(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(logs.StoreLog(&raft.Log{Index: last + 1, Term: term, Type: 77}), logs.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Start(context.Background(), g.conf[0])
	if err == nil {
		_ = again.Stop(context.Background())
	}
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("index %d has the unknown type 77", last+1)) {
		t.Errorf("started: %v", err)
	}
}

// TestLogOlderThanState has a node lose its power after it installed the state of
// another, and before it emptied its log.
func TestLogOlderThanState(t *testing.T) {
	g := newGang(t, 1, nil)
	g.write(0, "/m/a", "x")
	g.stop(0)
	m, err := fsm.Open(fsm.Options{Dir: filepath.Join(g.conf[0].Dir, stateDir), Plugins: g.conf[0].Plugins})
	if err != nil {
		t.Fatal(err)
	}
	applied := m.Applied()
	if err := errors.Join(m.Unlogged(), m.Close()); err != nil {
		t.Fatal(err)
	}
	logs, err := raftlog.OpenFound(filepath.Join(g.conf[0].Dir, raftDir))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(logs.DeleteRange(applied, applied), logs.Close()); err != nil {
		t.Fatal(err)
	}
	g.start(0)
	g.ready()
	g.write(0, "/m/a", "y")
}
