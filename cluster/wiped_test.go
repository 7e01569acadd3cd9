package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// wipe removes all that a stopped node has.
func (g *gang) wipe(i int) {
	g.t.Helper()
	g.stop(i)
	if err := os.RemoveAll(g.conf[i].Dir); err != nil {
		g.t.Fatal(err)
	}
}

// holds polls for d and fails if f becomes false.
func holds(t *testing.T, what string, d time.Duration, f func() bool) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		if !f() {
			t.Fatal("does not hold: ", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (g *gang) leads(i int) bool { return g.nodes[i].reign.Load() != nil }

// roles are those that node i knows of, by id.
func (g *gang) roles(i int) string {
	var out []string
	for _, n := range g.nodes[i].Status(testContext(g.t), false).Nodes {
		out = append(out, n.ID+" "+n.Role)
	}
	return strings.Join(out, ", ")
}

// A voter is wiped and comes back under its name while the one other voter that
// has the last write is cut off, and the third lags. It must not help the third
// to lead without that write. The planted amnesia fails here.
func TestWipedVoterForgetsNothing(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.patience = time.Second })
	l := g.leader()
	lags, wiped := (l+1)%3, (l+2)%3
	g.write(l, "/m/a", "old")
	g.wires.isolate(lags, true)
	g.write(l, "/m/a", "new")
	g.wipe(wiped)
	g.wires.isolate(l, true)
	g.wires.isolate(lags, false)
	g.start(wiped)
	holds(t, "nobody leads without the last write", 3*time.Second, func() bool { return !g.leads(lags) && !g.leads(wiped) })
	if err := g.nodes[wiped].Ready(); err == nil {
		t.Error("the wiped node is ready")
	}
	g.wires.isolate(l, false)
	g.ready()
	for i := range g.nodes {
		if b, err := g.read(i, "/m/a", vfs.Level{Linearizable: true}); err != nil || string(b) != "new" {
			t.Errorf("node %d: %q, %v", i+1, b, err)
		}
	}
	poll(t, "the wiped node votes again", func() bool { return g.roles(l) == "n1 voter, n2 voter, n3 voter" })
	if c := g.nodes[wiped].self.card(); !c.Began {
		t.Errorf("%+v", c)
	}
	g.sameDigest()
}

// The leader takes a vote away only where the others are a quorum of their own.
func TestWipedVoterOfTwo(t *testing.T) {
	g := newGang(t, 2, func(_ int, c *Config) { c.patience = time.Second })
	g.write(0, "/m/a", "x")
	l := g.leader()
	g.wipe(1 - l)
	g.start(1 - l)
	holds(t, "the one that has everything votes alone for nothing", time.Second, func() bool {
		conf, _ := g.nodes[l].machine.LastConfig()
		return len(conf.Servers) == 2 && len(g.nodes[l].voters()) == 2 && g.nodes[1-l].self.cluster() == ""
	})
	if b, err := g.read(l, "/m/a", vfs.Level{}); err != nil || string(b) != "x" {
		t.Errorf("local read: %q, %v", b, err)
	}
}

// A wiped node of five joins again while another one is wiped, too.
func TestTwoWipedOfFive(t *testing.T) {
	g := newGang(t, 5, nil)
	for i := range 20 {
		g.write(i%5, vfs.Path(fmt.Sprintf("/m/f%d", i)), fmt.Sprint(i))
	}
	l := g.leader()
	a, b := (l+1)%5, (l+2)%5
	g.wipe(a)
	g.wipe(b)
	g.start(a)
	g.start(b)
	g.ready()
	poll(t, "all vote", func() bool { return strings.Count(g.roles(l), " voter") == 5 })
	g.sameDigest()
}

// copyDir copies a directory as an operator would.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
}

// refused starts a node that must not start in its directory. It may start where
// others take more than a second to tell what they know: then it hears of it, and is
// asked again, in the directory as it was.
func (g *gang) refused(c Config, what string) {
	g.t.Helper()
	was := filepath.Join(g.t.TempDir(), "was")
	copyDir(g.t, c.Dir, was)
	told := make(chan error, 16)
	c.Fatal = func(err error) { told <- err }
	n, err := Start(context.Background(), c)
	for tries := 1; err == nil; tries++ {
		select {
		case err := <-told:
			g.t.Logf("%s: it started, and heard: %v", what, err)
		case <-time.After(awhile):
			g.t.Errorf("%s: it started, and was not told", what)
		}
		err = n.Stop(context.Background())
		if tries == 5 {
			g.t.Errorf("%s: it started (%v)", what, err)
			return
		}
		if err := os.RemoveAll(c.Dir); err != nil {
			g.t.Fatal(err)
		}
		copyDir(g.t, was, c.Dir)
		n, err = Start(context.Background(), c)
	}
	if !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), what) {
		g.t.Errorf("%v; want %q", err, what)
	}
}

// TestOldDirectories starts nodes in directories that others have moved on from.
func TestOldDirectories(t *testing.T) {
	g := newGang(t, 3, nil)
	g.write(0, "/m/a", "x")
	old := filepath.Join(t.TempDir(), "old")
	g.stop(2)
	copyDir(t, g.conf[2].Dir, old)
	g.start(2)
	g.ready()
	known := func(boots uint64) func() bool {
		return func() bool { m := g.nodes[0].record("n3"); return m != nil && m.Boots == boots }
	}
	poll(t, "the start is in the log", known(2))
	twin := g.conf[2]
	twin.Dir, twin.Address = old, ports.Free(t, 1)[0]
	g.refused(twin, "old copy")
	name := filepath.Join(old, identityFile)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// as a copy of the running node would have it
	if err := os.WriteFile(name, []byte(strings.Replace(string(b), `"boots": 1`, `"boots": 2`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.refused(twin, "is running at")
	g.stop(2)

	g.wipe(2)
	g.start(2)
	g.ready()
	poll(t, "the new directory is in the log", known(1))
	g.stop(2)
	g.refused(twin, "newer data directory")
	if err := os.RemoveAll(filepath.Join(g.conf[2].Dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	g.refused(g.conf[2], "has raft/ but no node.json")
	g.conf[2].Dir = filepath.Join(t.TempDir(), "new")
	g.start(2)
	g.ready()
	g.sameDigest()
}

// A copy that nobody could warn of finds out when it meets the others.
func TestOldCopyFindsOut(t *testing.T) {
	told := make(chan error, 9)
	g := newGang(t, 3, func(i int, c *Config) {
		if i == 2 {
			c.Fatal = func(err error) { told <- err }
		}
	})
	old := filepath.Join(t.TempDir(), "old")
	g.stop(2)
	copyDir(t, g.conf[2].Dir, old)
	for range 2 { // the copy will count its own start, too
		g.start(2)
		g.ready()
		boots := g.nodes[2].self.card().Boots
		poll(t, "the start is in the log", func() bool { return g.nodes[0].record("n3").Boots == boots })
		g.stop(2)
	}
	g.conf[2].Dir = old
	g.wires.isolate(2, true)
	g.start(2)
	g.wires.isolate(2, false)
	if err := <-told; !errors.Is(err, ErrDirectory) {
		t.Errorf("told %v", err)
	}
}

// A new node that was given the name of another must not take its place, whoever
// of them leads.
func TestTwinIsTurnedAway(t *testing.T) {
	g := newGang(t, 3, nil)
	for round := range 2 {
		l := g.leader()
		victim := g.conf[(l+round)%3].NodeID
		twin := g.add(func(c *Config) { c.NodeID = victim })
		holds(t, "the twin does not get in", 2*time.Second, func() bool {
			return g.nodes[twin].self.cluster() == "" && g.roles(0) == "n1 voter, n2 voter, n3 voter"
		})
		g.stop(twin)
		g.nodes, g.conf = g.nodes[:3], g.conf[:3]
	}
	for i := range g.nodes {
		poll(t, "all to be reached", func() bool { return g.nodes[0].Status(testContext(t), false).Nodes[i].State != "unreachable" })
	}
	g.write(1, "/m/a", "x")
	g.sameDigest()
}

// TestOtherCluster starts a node of one cluster among those of another.
func TestOtherCluster(t *testing.T) {
	g := newGang(t, 1, nil)
	g.stop(0)
	h := newGang(t, 3, nil)
	c := g.conf[0]
	c.Join, c.dial = h.conf[0].Join, h.wires.dialFrom(9)
	g.refused(c, "are of another")
}

// TestLostLog removes the log and the state, but leaves the card.
func TestLostLog(t *testing.T) {
	g := newGang(t, 3, nil)
	poll(t, "the card to say so", func() bool { return g.nodes[1].self.card().Began })
	g.stop(1)
	for _, sub := range []string{raftDir, stateDir} {
		if err := os.RemoveAll(filepath.Join(g.conf[1].Dir, sub)); err != nil {
			t.Fatal(err)
		}
	}
	g.refused(g.conf[1], "log is empty")
}
