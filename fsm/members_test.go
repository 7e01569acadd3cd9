package fsm

import (
	"fmt"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// A node's directory is known by its incarnation and by how often it was
// started there: one that another has replaced, or a copy of it, is refused.
func TestMemberIncarnations(t *testing.T) {
	r := newRig(t, nil)
	says := func(incarnation string, boots uint64) vfs.Op {
		return vfs.Op{Verb: vfs.Member, Data: EncodeMember(Member{ID: "a", Incarnation: incarnation, Boots: boots})}
	}
	record := func() Member {
		i := r.Image()
		defer i.Release()
		return i.Members()[0]
	}
	r.must(says("", 0)) // of a version without them
	r.must(says("i1", 1))
	r.must(says("i1", 4))
	r.must(says("", 0))
	if m := record(); m.Incarnation != "i1" || m.Boots != 4 || m.Former != nil {
		t.Errorf("%+v", m)
	}
	r.fails(vfs.Conflict, "old copy", says("i1", 3))
	r.must(says("i1", 4))
	r.must(says("i2", 1)) // it was wiped
	r.fails(vfs.Conflict, "newer data directory", says("i1", 5))
	for i := range maxFormer + 3 {
		r.must(says(fmt.Sprintf("j%d", i), 1))
	}
	if m := record(); len(m.Former) != maxFormer || m.Former[maxFormer-1] != fmt.Sprintf("j%d", maxFormer+1) || m.Number != 1 {
		t.Errorf("%+v", m)
	}
}

// What an operator decided about a node stays when the node speaks for itself.
func TestMemberStandby(t *testing.T) {
	r := newRig(t, nil)
	standby := func(id string, is bool) vfs.Op { return vfs.Op{Verb: vfs.Member, Data: EncodeStandby(id, is)} }
	r.must(standby("a", true)) // before it has ever been started
	r.must(vfs.Op{Verb: vfs.Member, Data: EncodeMember(Member{ID: "a", HTTP: "http://a", Incarnation: "i", Boots: 2})})
	r.fails(vfs.Invalid, "", vfs.Op{Verb: vfs.Member, Data: []byte(`{"id":"a","only":"more"}`)})
	i := r.Image()
	if m := i.Members()[0]; !m.Standby || m.HTTP != "http://a" || m.Number != 1 {
		t.Errorf("%+v", m)
	}
	i.Release()
	r.must(standby("a", false))
	i = r.Image()
	defer i.Release()
	if m := i.Members()[0]; m.Standby || m.HTTP != "http://a" || m.Boots != 2 {
		t.Errorf("%+v", m)
	}
}
