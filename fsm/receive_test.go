package fsm

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/store"
)

// ahead installs an archive that was received before raft hears of it.
func ahead(to *rig, meta *raft.SnapshotMeta, data []byte) error {
	in := bytes.NewReader(append(bytes.Clone(data), "more"...))
	r, err := to.Receive(in)
	if err != nil {
		return err
	}
	if in.Len() != len("more") {
		return errors.New("it read on behind the archive")
	}
	return errors.Join(receive(to, meta, r.Token()), r.Discard())
}

// TestReceive installs what was received before, whole, damaged and discarded.
func TestReceive(t *testing.T) {
	from, dir := filled(t, 1), t.TempDir()
	to := newRig(t, onDisk(dir))
	to.must(mountOp("/mine", "box"))
	before := to.digest()
	meta, data := send(t, from)
	for name, bad := range map[string][]byte{
		"cut": data[:len(data)-3], "garbage": []byte("garbage"), "a token": []byte(tokenMagic + "install-1"),
		"flipped": append(append(bytes.Clone(data[:len(data)/2]), data[len(data)/2]^1), data[len(data)/2+1:]...),
	} {
		if _, err := to.Receive(bytes.NewReader(bad)); !errors.Is(err, store.ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
		if to.digest() != before || names(t, dir) != "00000001 CURRENT" {
			t.Errorf("%s: %s", name, names(t, dir))
		}
	}
	r, err := to.Receive(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Discard(); err != nil || names(t, dir) != "00000001 CURRENT" {
		t.Errorf("discarded: %v, %s", err, names(t, dir))
	}
	if err := receive(to, meta, r.Token()); err == nil {
		t.Error("a discarded archive was installed")
	}
	for round := range 2 {
		if err := ahead(to, meta, data); err != nil {
			t.Fatal(err)
		}
		if to.digest() != from.digest() || to.Applied() != meta.Index {
			t.Errorf("round %d: applied %d", round, to.Applied())
		}
	}
	eventually(t, func() bool { return names(t, dir) == "00000003 CURRENT" })
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if to = newRig(t, onDisk(dir)); to.digest() != from.digest() {
		t.Error("another state after it was opened afresh")
	}
	if _, err := newRig(t, nil).Receive(bytes.NewReader(data)); !errors.Is(err, errNoDir) {
		t.Errorf("in memory: %v", err)
	}
}
