package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

// recover recovers node i, which is stopped.
func (g *gang) recover(i int, cluster string, peers ...Peer) (Recovered, error) {
	g.t.Helper()
	return Recover(testContext(g.t), Recovery{Dir: g.conf[i].Dir, Cluster: cluster, Peers: peers,
		Plugins: plugins.Builtin(nil), Log: slog.New(slog.DiscardHandler)})
}

// One of three is left: it goes on alone with all that was acknowledged, and the
// others come back empty.
func TestRecover(t *testing.T) {
	for _, log := range []string{"bolt", "pebble"} {
		t.Run(log, func(t *testing.T) {
			g := newGang(t, 3, func(_ int, c *Config) { c.LogStore = log })
			big := g.bigFile(0, "/m/big", 5)
			for i := range 30 {
				g.write(i%3, vfs.Path(fmt.Sprintf("/m/f%d", i)), fmt.Sprint(i))
			}
			g.sameDigest()
			poll(t, "all chunks", func() bool {
				for _, n := range g.nodes {
					if count, _ := n.blobs.Stats(); count != 3 {
						return false
					}
				}
				return true
			})
			left := (g.leader() + 1) % 3
			was := g.sums(left)
			id := g.nodes[left].self.cluster()
			if _, err := g.recover(left, id); !errors.Is(err, ErrLocked) {
				t.Errorf("a node that runs: %v", err)
			}
			g.stopAll()
			if _, err := g.recover(left, "another"); err == nil || !strings.Contains(err.Error(), "not of cluster") {
				t.Error(err)
			}
			if _, err := g.recover(left, id, Peer{"n9", "a:1"}); err == nil || !strings.Contains(err.Error(), "must name") {
				t.Error(err)
			}
			done, err := g.recover(left, id)
			if err != nil {
				t.Fatal(err)
			}
			if done.Was != id || done.Cluster == id || len(done.Before) != 3 || len(done.Voters) != 1 || done.Missing != 0 || done.Index < was.Index || !done.Done {
				t.Errorf("%+v", done)
			}
			g.start(left)
			g.ready()
			if now := g.sums(left); now.State != was.State {
				t.Errorf("%x, was %x", now.State, was.State)
			}
			g.write(left, "/m/more", "1")
			for i := range g.nodes { // they were lost, so they come back with nothing
				if i != left {
					g.wipe(i)
					g.start(i)
				}
			}
			g.ready()
			poll(t, "all to vote", func() bool { return len(g.nodes[left].voters()) == 3 })
			g.sameDigest()
			for i, n := range g.nodes {
				if b, err := g.read(i, "/m/big", vfs.Level{Linearizable: true}); err != nil || !bytes.Equal(b, big) || n.self.cluster() != done.Cluster {
					t.Errorf("node %d: %d bytes, %v, cluster %s", i, len(b), err, n.self.cluster())
				}
			}
			g.stop(left)
			g.write((left+1)%3, "/m/without", "1")
			g.start(left)
			g.ready()
			g.sameDigest()
		})
	}
}

// Two of five are left, one of them behind: the same recovery on both makes one
// cluster. Another node that comes back with what it had is turned away.
func TestRecoverTwo(t *testing.T) {
	g := newGang(t, 5, nil)
	g.write(0, "/m/a", "1")
	g.sameDigest()
	a := g.leader()
	b, old := (a+1)%5, (a+2)%5
	g.stop(b)
	g.write(a, "/m/b", "2") // b has not heard of it
	id := g.nodes[a].self.cluster()
	g.stopAll()
	peers := []Peer{{g.conf[b].NodeID, g.conf[b].Address}, {g.conf[a].NodeID, g.conf[a].Address}}
	var got []Recovered
	for _, i := range []int{a, b} {
		done, err := g.recover(i, id, peers...)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, done)
	}
	if got[0].Cluster != got[1].Cluster || got[0].Index <= got[1].Index {
		t.Errorf("%+v", got)
	}
	g.start(b)
	g.start(a)
	g.ready()
	for _, i := range []int{a, b} {
		if data, err := g.read(i, "/m/b", vfs.Level{Linearizable: true}); err != nil || string(data) != "2" {
			t.Errorf("node %d: %q, %v", i, data, err)
		}
	}
	g.write(b, "/m/c", "3")
	g.sameDigest()
	g.conf[old].Fatal = func(error) {} // it may refuse to run
	n, err := Start(testContext(t), g.conf[old])
	if err == nil {
		if n.Ready() == nil {
			t.Error("a node of the old cluster is ready")
		}
		poll(t, "the write beside it", func() bool { return g.write(a, "/m/d", "4").Err == nil })
		if _, err := n.Propose(testContext(t), writeOp("/m/x", vfs.Content{Data: []byte("x")})); err == nil {
			t.Error("a node of the old cluster takes writes")
		}
		if err := n.Stop(testContext(t)); err != nil {
			t.Error(err)
		}
	}
	g.sameDigest()
}

// A recovery that was interrupted keeps the node from starting until it is
// repeated, with what it was begun with.
func TestRecoverInterrupted(t *testing.T) {
	g := newGang(t, 3, nil)
	g.write(0, "/m/a", "1")
	g.sameDigest()
	id := g.nodes[0].self.cluster()
	g.stopAll()
	first, err := g.recover(0, id)
	if err != nil {
		t.Fatal(err)
	}
	// As if the last step had not been reached; the card is the one before it.
	name := filepath.Join(g.conf[0].Dir, recoveredFile)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte(`"done": true`), []byte(`"done": false`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range []string{first.Cluster, id} {
		self, err := openIdentity(g.conf[0].filled(t).disk.files, g.conf[0].Dir, "", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := self.change(func(c *card) error { c.Cluster = cluster; return nil }); err != nil {
			t.Fatal(err)
		}
		if n, err := Start(testContext(t), g.conf[0]); !errors.Is(err, ErrDirectory) {
			t.Fatal(n, err)
		}
	}
	if _, err := g.recover(0, id, Peer{"n1", "other:1"}); err == nil || !strings.Contains(err.Error(), "repeat that one") {
		t.Error(err)
	}
	again, err := g.recover(0, id)
	if err != nil || again.Cluster != first.Cluster || again.Index != first.Index || again.From != first.From {
		t.Errorf("%+v, %v; first %+v", again, err, first)
	}
	g.start(0)
	g.ready()
	g.write(0, "/m/b", "2")
	g.stop(0)
	past, err := readRecovered(g.conf[0].filled(t).disk.files, g.conf[0].Dir)
	if err != nil || len(past) != 1 {
		t.Errorf("%+v %v", past, err)
	}
	if _, err := g.recover(0, first.Cluster); err != nil { // once more
		t.Error(err)
	}
	if _, err := Recover(testContext(t), Recovery{Dir: t.TempDir(), Cluster: "x"}); err == nil {
		t.Error("nothing was recovered")
	}
}
