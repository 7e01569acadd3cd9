package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

// wrapped is a reader as raft wraps it.
type wrapped struct{ io.ReadCloser }

func (w wrapped) WrappedReadCloser() io.ReadCloser { return w.ReadCloser }

// send reads the live state of from, as raft does for a follower.
func send(t *testing.T, from *rig) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	list, err := from.Snapshots().List()
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	meta, r, err := from.Snapshots().Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if int64(len(data)) != meta.Size {
		t.Fatalf("%d bytes, announced %d", len(data), meta.Size)
	}
	return meta, data
}

// receive installs an archive, as raft does on a follower.
func receive(to *rig, meta *raft.SnapshotMeta, data []byte) error {
	s, err := to.Snapshots().Create(1, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(s, bytes.NewReader(data)); err != nil {
		return errors.Join(err, s.Cancel())
	}
	if err := s.Close(); err != nil {
		return err
	}
	_, r, err := to.Snapshots().Open(s.ID())
	if err != nil {
		return err
	}
	return errors.Join(to.Restore(wrapped{wrapped{r}}), r.Close())
}

func filled(t *testing.T, seed int64) *rig {
	r := newRig(t, onDisk(t.TempDir()))
	for _, l := range randomLog(seed, 60) {
		r.Apply(l)
	}
	r.next = r.Applied() + 1
	return r
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestInstall(t *testing.T) {
	from, dir := filled(t, 1), t.TempDir()
	var restored, mounts int
	to := newRig(t, func(o *Options) {
		o.Dir = dir
		o.OnRestore = func() { restored++ }
		o.OnMounts = func() { mounts++ }
	})
	to.must(mountOp("/mine", "box"))
	to.must(write("/mine/x", "old"))
	old := to.Image()
	meta, data := send(t, from)
	meta.Index, meta.Term = meta.Index+1000, 9 // as after a restore by a user
	if err := receive(to, meta, data); err != nil {
		t.Fatal(err)
	}
	if to.digest() != from.digest() || to.Applied() != meta.Index || restored != 1 || mounts != 2 {
		t.Errorf("applied %d, restored %d, mounts %d", to.Applied(), restored, mounts)
	}
	b := make([]byte, 9)
	if n, err := old.Table.ReadAt(t.Context(), old.View, "/mine/x", b, 0); string(b[:n]) != "old" || err != nil {
		t.Errorf("the old Image reads %q, %v", b[:n], err)
	}
	old.Release()
	eventually(t, func() bool { return names(t, dir) == "00000002 CURRENT" })
	again := func() {
		t.Helper()
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		to = newRig(t, onDisk(dir))
		list, _ := to.Snapshots().List()
		if len(list) != 1 || list[0].Index != meta.Index || list[0].Term != 9 || list[0].ConfigurationIndex != meta.ConfigurationIndex ||
			fmt.Sprint(list[0].Configuration) != fmt.Sprint(meta.Configuration) {
			t.Errorf("%+v", list)
		}
	}
	again()
	if to.digest() != from.digest() {
		t.Error("digests differ")
	}
	// Both go on alike, whatever their indexes.
	for _, r := range []*rig{from, to} {
		r.clock = r.clock.Add(1 << 40)
		r.must(mountOp("/more", "box"))
		r.must(write("/more/x", "1"))
	}
	if to.digest() != from.digest() {
		t.Error("digests differ after more Events")
	}
	if err := receive(to, meta, data); err != nil { // back to where it was
		t.Fatal(err)
	}
	eventually(t, func() bool { return names(t, dir) == "00000003 CURRENT" })
	again()
}

// A stream that is damaged or cut leaves the state as it was, and no files.
func TestInstallFails(t *testing.T) {
	from, dir := filled(t, 2), t.TempDir()
	meta, data := send(t, from)
	to := newRig(t, onDisk(dir))
	to.must(mountOp("/mine", "box"))
	before, at := to.digest(), to.Applied()
	for name, bad := range map[string][]byte{
		"cut": data[:len(data)/2], "garbage": []byte("garbage"),
		"flipped": append(append(bytes.Clone(data[:len(data)/2]), data[len(data)/2]^1), data[len(data)/2+1:]...),
	} {
		if err := receive(to, meta, bad); err == nil {
			t.Errorf("%s was taken", name)
		}
		if to.digest() != before || to.Applied() != at || names(t, dir) != "00000001 CURRENT" || len(to.fatal) > 0 {
			t.Errorf("%s: %s %v", name, names(t, dir), to.fatal)
		}
	}
	s, _ := to.Snapshots().Create(1, 5, 1, raft.Configuration{}, 0, nil)
	if _, err := s.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Cancel(), s.Cancel(), s.Close()); err != nil || names(t, dir) != "00000001 CURRENT" {
		t.Error(err, names(t, dir))
	}
	if _, _, err := to.Snapshots().Open(s.ID()); err == nil {
		t.Error("a cancelled snapshot opens")
	}
	// A state that this program cannot fold is refused before it is current.
	lacking := newRig(t, func(o *Options) { o.Dir, o.Plugins = t.TempDir(), testPlugins()[2:] })
	if err := receive(lacking, meta, data); err == nil || !strings.Contains(err.Error(), "unknown filesystem type") || len(lacking.fatal) > 0 {
		t.Error(err, lacking.fatal)
	}
	// In memory there is nothing to send or install.
	memory := newRig(t, nil)
	memory.must(mountOp("/b", "box"))
	if _, _, err := memory.Snapshots().Open(liveID); !errors.Is(err, errNoDir) {
		t.Error(err)
	}
	if err := receive(memory, meta, data); !errors.Is(err, errNoDir) {
		t.Error(err)
	}
	if err := memory.Restore(io.NopCloser(bytes.NewReader(data))); !errors.Is(err, errNoDir) {
		t.Error(err)
	}
}

// Whatever moment of a restore a crash hits, one whole state is there.
func TestInterruptedRestore(t *testing.T) {
	a, b := filled(t, 3), filled(t, 4)
	digests := [][32]byte{a.digest(), b.digest()}
	stateOf := func(r *rig) string {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		return r.home.gen(1)
	}
	oldState, newState := stateOf(a), stateOf(b)
	for name, c := range map[string]struct {
		current string
		dirs    map[string]string
		want    int
	}{
		"unpacking":   {"00000007", map[string]string{"00000007": oldState, "00000008.part": newState}, 0},
		"unpacked":    {"00000007", map[string]string{"00000007": oldState, "00000008": newState, "install-1": newState}, 0},
		"renamed":     {"00000008", map[string]string{"00000007": oldState, "00000008": newState, "checkpoint-3": oldState}, 1},
		"old is gone": {"00000008", map[string]string{"00000008": newState}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for to, from := range c.dirs {
				if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(from)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, currentFile), []byte(c.current+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := newRig(t, onDisk(dir))
			if r.digest() != digests[c.want] || names(t, dir) != c.current+" CURRENT" {
				t.Error("the wrong state", names(t, dir))
			}
		})
	}
}

// A directory that does not say which state is current is left alone.
func TestDirRefusals(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no current": {"00000001/x": ""},
		"damaged":    {"CURRENT": "what"},
		"zero":       {"CURRENT": "00000000\n"},
		"missing":    {"CURRENT": "00000002\n", "00000001/x": ""},
	} {
		dir := t.TempDir()
		for file, text := range files {
			file = filepath.Join(dir, file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		before := names(t, dir)
		if _, err := Open(Options{Dir: dir}); err == nil || names(t, dir) != before {
			t.Errorf("%s: %v, %s", name, err, names(t, dir))
		}
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("neither directory nor store")
	}
}

// Streams are of one moment while writes go on, and few at a time.
func TestStreamsBesideWrites(t *testing.T) {
	from := newRig(t, onDisk(t.TempDir()))
	from.must(mountOp("/b", "box"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				from.must(write("/b/x", fmt.Sprint(n)))
			}
		}
	})
	for range 3 {
		to := newRig(t, onDisk(t.TempDir()))
		meta, data := send(t, from)
		if err := to.Restore(io.NopCloser(bytes.NewReader(data))); err != nil {
			t.Fatal(err)
		}
		img := to.Image()
		if img.Index != meta.Index || img.Seq != meta.Index || to.Applied() != meta.Index {
			t.Errorf("announced %d, index %d, seq %d", meta.Index, img.Index, img.Seq)
		}
		img.Release()
	}
	close(stop)
	wg.Wait()
	var open []io.Closer
	for range maxStreams {
		_, r, err := from.Snapshots().Open(liveID)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, r)
	}
	if _, _, err := from.Snapshots().Open(liveID); err == nil {
		t.Error("one too many")
	}
	for _, r := range open { // not read to the end
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if names(t, from.o.Dir) != "00000001 CURRENT" {
		t.Error(names(t, from.o.Dir))
	}
	send(t, from)
}

// A snapshot taken here copies nothing; it makes durable what the log is cut
// behind, with the entries at the end that were not for the state machine.
func TestLocalSnapshot(t *testing.T) {
	r := newRig(t, onDisk(t.TempDir()))
	if list, err := r.Snapshots().List(); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
	if _, _, err := r.Snapshots().Open(liveID); err == nil {
		t.Error("a snapshot of nothing")
	}
	r.must(mountOp("/b", "box"))
	digest := r.digest()
	take := func(index uint64, conf raft.Configuration, confIndex uint64) {
		t.Helper()
		s, err := r.Snapshots().Create(1, index, 4, conf, confIndex, nil)
		if err != nil {
			t.Fatal(err)
		}
		snap, err := r.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(snap.Persist(s), s.Close()); err != nil || s.ID() != liveID {
			t.Error(err, s.ID())
		}
		snap.Release()
	}
	conf := func(id string) raft.Configuration {
		return raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(id), Address: "x"}}}
	}
	at := func(index, confIndex uint64, id string) {
		t.Helper()
		list, _ := r.Snapshots().List()
		got, n := r.LastConfig()
		if list[0].Index != index || n != confIndex || len(got.Servers) == 0 || string(got.Servers[0].ID) != id {
			t.Errorf("%+v, want %d, %d, %s", list[0], index, confIndex, id)
		}
	}
	take(4, conf("a"), 1)
	at(4, 1, "a")
	r.Apply(confLog(6, "b"))
	at(6, 6, "b")
	take(5, conf("a"), 1) // raft asked before entry 6 was applied
	at(6, 6, "b")
	take(6, conf("c"), 1) // a configuration written by hand
	at(6, 1, "c")
	if r.digest() != digest || r.Applied() != 6 || names(t, r.o.Dir) != "00000001 CURRENT" {
		t.Error("more than the index changed")
	}
	if _, err := r.Snapshots().Create(0, 1, 1, conf("a"), 1, nil); err == nil {
		t.Error("version 0")
	}
	// Restoring the live state into itself has nothing to do.
	_, src, err := r.Snapshots().Open(liveID)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Restore(wrapped{src}), src.Close()); err != nil || names(t, r.o.Dir) != "00000001 CURRENT" {
		t.Error(err, names(t, r.o.Dir))
	}
	if len(r.fatal) > 0 {
		t.Error(r.fatal)
	}
}
