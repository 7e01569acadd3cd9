package cluster

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// takeBackup returns a backup of what node i has.
func (g *gang) takeBackup(i int) (backup.Header, []byte) {
	g.t.Helper()
	var s backup.Source
	err := insist(g.nodes[i], func() (err error) {
		s, err = g.nodes[i].Backup(testContext(g.t))
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	var b bytes.Buffer
	n, err := s.Write(testContext(g.t), &b)
	if err = errors.Join(err, s.Close(), s.Close()); err != nil || n != int64(b.Len()) {
		g.t.Fatalf("%v, %d bytes of %d", err, n, b.Len())
	}
	if _, _, err := backup.Verify(bytes.NewReader(b.Bytes()), fsm.CountedBy); err != nil {
		g.t.Fatal(err)
	}
	return s.Header(), b.Bytes()
}

// bigFile writes a file of several chunks and returns what is in it.
func (g *gang) bigFile(i int, path vfs.Path, seed int64) []byte {
	g.t.Helper()
	data := make([]byte, 9<<20)
	rand.New(rand.NewSource(seed)).Read(data)
	g.propose(i, writeOp(path, g.keep(i, data)))
	return data
}

// restore has node i take a backup, and asks again while it finds no leader.
func (g *gang) restore(i int, data []byte) (done backup.Restored, err error) {
	err = insist(g.nodes[i], func() (err error) {
		done, err = g.nodes[i].Restore(testContext(g.t), bytes.NewReader(data))
		return err
	})
	return done, err
}

// replayed folds the log of node i up to an index into a state of its own and
// returns the digest of that: another way to the same place.
func (g *gang) replayed(i int, index uint64) string {
	g.t.Helper()
	st, err := store.Open("state", store.Options{FS: pebblevfs.NewMem()})
	if err != nil {
		g.t.Fatal(err)
	}
	m, err := fsm.Open(fsm.Options{Store: st, Plugins: g.conf[i].Plugins})
	if err != nil {
		g.t.Fatal(err)
	}
	defer m.Close()
	for at := uint64(1); at <= index; at++ {
		var l raft.Log
		if err := g.nodes[i].logs.GetLog(at, &l); err != nil {
			g.t.Fatal(at, err)
		}
		if l.Type == raft.LogCommand {
			m.Apply(&l)
		}
	}
	s, err := m.Sums(testContext(g.t))
	if err != nil {
		g.t.Fatal(err)
	}
	return hex.EncodeToString(s.State[:])
}

func (g *gang) sums(i int) fsm.Sums {
	g.t.Helper()
	s, err := g.nodes[i].Sums(testContext(g.t), 0)
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

// A backup taken from a follower under load is the state at its index, and is
// that again in a cluster of one and in one of three.
func TestBackupAndRestore(t *testing.T) {
	g := newGang(t, 3, nil)
	big := g.bigFile(0, "/m/big", 1)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for c := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					g.write(c%3, vfs.Path(fmt.Sprintf("/m/f%d", n%7)), fmt.Sprint(c, n))
				}
			}
		})
	}
	follower := (g.leader() + 1) % 3
	poll(t, "some of the load", func() bool { return g.nodes[follower].machine.Applied() > 100 })
	h, data := g.takeBackup(follower)
	close(stop)
	wg.Wait()
	if want := g.replayed(g.leader(), h.Index); h.Digest != want || h.Chunks != 3 {
		t.Fatalf("the backup is of %+v; the log gives %s", h, want)
	}
	for _, size := range []int{1, 3} {
		to := newGang(t, size, nil)
		at := (to.leader() + 1) % size
		cluster := to.nodes[at].self.cluster()
		done, err := to.restore(at, data)
		if err != nil {
			t.Fatal(err)
		}
		if s := to.sums(at); hex.EncodeToString(s.State[:]) != h.Digest || done.Digest != h.Digest || s.Index < done.Index {
			t.Errorf("digest %x at %d, restored %+v, backup %s", s.State, s.Index, done, h.Digest)
		}
		out := to.write(at, "/m/more", "1")
		if out.Seq <= done.Seq || done.Seq <= h.Seq {
			t.Errorf("numbers %d, %d after %d", done.Seq, out.Seq, h.Seq)
		}
		for i, n := range to.nodes {
			b, err := to.read(i, "/m/big", vfs.Level{MinIndex: out.Index})
			if err != nil || !bytes.Equal(b, big) {
				t.Errorf("node %d of %d: %d bytes, %v", i, size, len(b), err)
			}
			poll(t, "all its members, who tell of themselves", func() bool {
				im := n.machine.Image()
				defer im.Release()
				if im.ClusterID() != cluster || len(im.Members()) > size {
					t.Fatalf("cluster %s with %d members", im.ClusterID(), len(im.Members()))
				}
				return len(im.Members()) == size
			})
		}
		to.ready()
		to.sameDigest()
		poll(t, "all chunks on all nodes", func() bool {
			for _, n := range to.nodes {
				if count, _ := n.blobs.Stats(); count != 3 {
					return false
				}
			}
			return true
		})
		to.stopAll()
		for i := range to.nodes {
			to.start(i)
		}
		to.ready()
		if b, err := to.read(0, "/m/more", vfs.Level{Linearizable: true}); err != nil || string(b) != "1" {
			t.Errorf("after a restart: %q, %v", b, err)
		}
		if _, err := to.restore(0, data); vfs.KindOf(err) != vfs.NotEmpty {
			t.Errorf("a second restore: %v", err)
		}
	}
}

// empty waits until the cluster is one that a backup can be restored into, and
// shows that it is by writing to it.
func (g *gang) empty(i int) {
	g.t.Helper()
	g.ready()
	var im *fsm.Image
	err := insist(g.nodes[i], func() (err error) {
		im, err = g.nodes[i].Image(testContext(g.t), vfs.Level{Linearizable: true})
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	defer im.Release()
	infos, err := im.Table.List(testContext(g.t), im.View, "/m", "", 0)
	if err != nil || len(infos) != 1 || infos[0].Name != "README" {
		g.t.Fatalf("%v %v", infos, err)
	}
	if left, _ := os.ReadDir(filepath.Join(g.conf[i].Dir, spoolDir)); len(left) > 0 {
		g.t.Errorf("left over: %v", left)
	}
}

func sampleBackup(t *testing.T) []byte {
	g := newGang(t, 1, nil)
	g.bigFile(0, "/m/big", 2)
	for i := range 50 {
		g.write(0, vfs.Path(fmt.Sprintf("/m/f%d", i)), "x")
	}
	_, data := g.takeBackup(0)
	g.stopAll()
	return data
}

// A backup that is cut or damaged leaves an empty cluster, which takes the
// whole one.
func TestRestoreOfDamage(t *testing.T) {
	data := sampleBackup(t)
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	rnd := rand.New(rand.NewSource(3))
	var bad [][]byte
	for range 6 {
		bad = append(bad, data[:rnd.Intn(len(data))])
		flipped := bytes.Clone(data)
		flipped[rnd.Intn(len(data))] ^= 0x10
		bad = append(bad, flipped)
	}
	bad = append(bad, data[:len(data)-1], append(bytes.Clone(data), '\n'), nil, []byte("something else"))
	for i, b := range bad {
		if _, err := n.Restore(testContext(t), bytes.NewReader(b)); vfs.KindOf(err) != vfs.Invalid {
			t.Fatalf("damage %d: %v", i, err)
		}
	}
	g.empty(0)
	cause := vfs.Invalid.With("connection lost")
	half := io.MultiReader(bytes.NewReader(data[:len(data)/2]), &failing{cause})
	if _, err := n.Restore(testContext(t), half); !errors.Is(err, cause) {
		t.Error(err)
	}
	g.empty(0)
	if _, err := n.Restore(testContext(t), bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// slowly is a backup that stops half-way until it is let go on.
type slowly struct {
	data    []byte
	reached chan struct{}
	once    sync.Once
	let     chan struct{}
}

func newSlowly(data []byte) *slowly {
	return &slowly{data: data, reached: make(chan struct{}), let: make(chan struct{})}
}

func (s *slowly) Read(b []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	if len(s.data) < 4<<20 {
		s.once.Do(func() { close(s.reached) })
		<-s.let
	}
	n := copy(b, s.data[:min(len(s.data), 64<<10)])
	s.data = s.data[n:]
	return n, nil
}

// While a backup is restored nothing else is written or read; the leader may
// be lost meanwhile, but not the node that restores it.
func TestRestoreAcrossFailures(t *testing.T) {
	data := sampleBackup(t)
	g := newGang(t, 3, nil)
	lead := g.leader()
	at, other := (lead+1)%3, (lead+2)%3
	body := newSlowly(data)
	got := make(chan error, 1)
	go func() {
		_, err := g.nodes[at].Restore(testContext(t), body)
		got <- err
	}()
	<-body.reached
	for _, i := range []int{at, other} {
		poll(t, "the node to know", func() bool { _, err := g.nodes[i].Image(testContext(t), vfs.Level{}); return err != nil })
		if _, err := g.restore(i, data); vfs.KindOf(err) != vfs.Locked {
			t.Errorf("a second restore: %v", err)
		}
		if out, err := g.nodes[i].Propose(testContext(t), writeOp("/m/x", vfs.Content{Data: []byte("x")})); vfs.KindOf(errors.Join(err, out.Err)) != vfs.Unavailable {
			t.Errorf("a write: %v %v", out, err)
		}
		if _, err := g.nodes[i].Backup(testContext(t)); vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("a backup: %v", err)
		}
		if g.nodes[i].Ready() == nil {
			t.Error("ready")
		}
	}
	g.stop(lead)
	g.leader()
	close(body.let)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	g.start(lead)
	g.ready()
	g.sameDigest()
	if b, err := g.read(lead, "/m/big", vfs.Level{Linearizable: true}); err != nil || len(b) != 9<<20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A node that is lost while it restores takes the restore with it.
func TestRestorerIsLost(t *testing.T) {
	data := sampleBackup(t)
	g := newGang(t, 3, func(_ int, c *Config) {
		c.loadLife = 8 * time.Second
		c.Election = 2 * time.Second // each new leader waits anew before it gives up a restore
	})
	at := g.leader()
	body := newSlowly(data)
	got := make(chan error, 1)
	go func() {
		_, err := g.nodes[at].Restore(testContext(t), body)
		got <- err
	}()
	<-body.reached
	g.wires.isolate(at, true) // it will never hear of its end
	next := g.leader()
	poll(t, "the others to give it up", func() bool {
		im, err := g.nodes[next].Image(testContext(t), vfs.Level{Linearizable: true})
		if err == nil {
			im.Release()
		}
		return err == nil
	})
	g.wires.isolate(at, false)
	close(body.let)
	if err := <-got; vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
	g.empty(next)
	g.empty(at)
	g.sameDigest()
	if _, err := g.restore(next, data); err != nil {
		t.Error(err)
	}
	g.sameDigest()
}

// A backup of a cluster that knows more than this one is refused, untouched.
func TestRestoreOfALaterLevel(t *testing.T) {
	var b bytes.Buffer
	sum := store.NewHasher().Sum()
	w, err := backup.NewWriter(&b, backup.Header{Level: 1 << 20, Digest: hex.EncodeToString(sum[:])})
	if err == nil {
		err = w.End()
	}
	if err != nil {
		t.Fatal(err)
	}
	g := newGang(t, 1, nil)
	if _, err := g.nodes[0].Restore(testContext(t), &b); vfs.KindOf(err) != vfs.Conflict {
		t.Error(err)
	}
	g.empty(0)
	im := g.nodes[0].machine.Image()
	defer im.Release()
	if _, known := fsm.RestoreOf(im.View); known {
		t.Error("the restore was begun")
	}
}

// Without a quorum a restore fails, and what it has begun is taken back once
// there is one.
func TestRestoreWithoutQuorum(t *testing.T) {
	data := sampleBackup(t)
	g := newGang(t, 3, func(_ int, c *Config) {
		c.loadLife, c.patience = 8*time.Second, time.Second
		c.Election = 2 * time.Second // each new leader waits anew before it gives up a restore
	})
	at := g.leader()
	body := newSlowly(data)
	got := make(chan error, 1)
	go func() {
		_, err := g.nodes[at].Restore(testContext(t), body)
		got <- err
	}()
	<-body.reached
	g.stop((at + 1) % 3)
	g.stop((at + 2) % 3)
	close(body.let)
	if err := <-got; vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
	g.start((at + 1) % 3)
	g.start((at + 2) % 3)
	for i := range g.nodes {
		g.empty(i)
	}
	g.sameDigest()
	if _, err := g.restore(at, data); err != nil {
		t.Error(err)
	}
}

// A node that is started again gives up what its earlier process had begun, and
// removes what lay there.
func TestRestorerRestarts(t *testing.T) {
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	op := func(spec fsm.RestoreSpec) vfs.Request {
		return vfs.Request{Ops: []vfs.Op{{Verb: vfs.Restore, Path: vfs.Root, File: 7, Data: fsm.EncodeRestore(spec)}}}
	}
	if out, err := n.Propose(testContext(t), op(fsm.RestoreSpec{Step: fsm.StepBegin, Node: n.id, Run: n.nonce})); err != nil || out.Err != nil {
		t.Fatal(err, out.Err)
	}
	s, err := newSpool(g.conf[0].filled(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.f.Close(); err != nil {
		t.Fatal(err)
	}
	g.stop(0)
	g.start(0)
	g.empty(0)
	g.write(0, "/m/x", "x")
}

func (c Config) filled(t *testing.T) Config {
	if err := c.fill(); err != nil {
		t.Fatal(err)
	}
	return c
}

// What a backup has still to write is not swept, and what is missing here comes
// from elsewhere; two backups at once are enough.
func TestBackupHoldsChunks(t *testing.T) {
	g := newGang(t, 3, nil)
	l := g.leader()
	away := (l + 1) % 3
	g.stop(away)
	g.bigFile(l, "/m/big", 4)
	g.start(away)
	g.ready()
	poll(t, "the file to be known", func() bool { _, err := g.read(away, "/m/big", vfs.Level{}); return err == nil })
	var open []backup.Source
	for range maxSaves {
		var s backup.Source
		err := insist(g.nodes[away], func() (err error) {
			s, err = g.nodes[away].Backup(testContext(t))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if _, err := g.nodes[away].Backup(testContext(t)); vfs.KindOf(err) != vfs.Throttled {
		t.Error(err)
	}
	for hash, err := range g.nodes[away].blobs.List { // one is lost here
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(g.conf[away].Dir, blobDir, hex.EncodeToString(hash[:1]), hex.EncodeToString(hash[:]))); err != nil {
			t.Fatal(err)
		}
		break
	}
	gone := vfs.Op{Verb: vfs.Remove, Path: "/m/big"}
	sweep := vfs.Op{Verb: vfs.Sweep, Path: vfs.Root, Data: fsm.EncodeSweep(fsm.SweepSpec{Chunks: time.Now().Add(time.Hour)})}
	for _, op := range []vfs.Op{gone, {Verb: vfs.Reap}, sweep} {
		err := insist(g.nodes[away], func() error { // what is done already is refused, which is as good
			_, err := g.nodes[away].Propose(testContext(t), vfs.Request{Ops: []vfs.Op{op}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sweepHere := func() int {
		n := g.nodes[away]
		removed, err := n.blobs.Sweep(testContext(t), n.wanted, time.Nanosecond)
		if err != nil {
			t.Fatal(err)
		}
		return removed
	}
	poll(t, "nobody to count them", func() bool {
		_, err := g.nodes[away].Propose(testContext(t), vfs.Request{Ops: []vfs.Op{sweep}})
		im := g.nodes[away].machine.Image()
		defer im.Release()
		for range fsm.Chunks(im.View) {
			return false
		}
		return err == nil
	})
	if n := sweepHere(); n != 0 {
		t.Errorf("%d chunks of a backup under way were swept", n)
	}
	var b bytes.Buffer
	if _, err := open[0].Write(testContext(t), &b); err != nil {
		t.Fatal(err)
	}
	if _, tr, err := backup.Verify(&b, fsm.CountedBy); err != nil || tr.Chunks != 3 {
		t.Errorf("%+v %v", tr, err)
	}
	ended, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := open[1].Write(ended, io.Discard); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, s := range open {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := sweepHere(); n != 3 {
		t.Errorf("%d chunks were swept afterwards", n)
	}
	if left, _ := filepath.Glob(filepath.Join(g.conf[away].Dir, stateDir, "checkpoint-*")); len(left) > 0 {
		t.Error(left)
	}
}
