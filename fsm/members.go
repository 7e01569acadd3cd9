package fsm

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/pfs-project/pfs/vfs"
)

// Member is what the cluster knows of a node beside raft: it is written by the
// node itself, and stays when the node leaves, so that numbers are not reused.
type Member struct {
	ID     string `json:"id"`               // the raft server id
	HTTP   string `json:"http"`             // base URL of its API
	Raft   string `json:"raft"`             // its raft address
	Number uint16 `json:"number,omitempty"` // from 1, given by the log
	Level  uint64 `json:"level,omitempty"`  // the newest feature level that it knows

	// Incarnation names the directory that the node runs in, and Boots counts
	// the starts there. A node is known by its id; these two tell a copy of
	// its directory, or the one before it was wiped, from the node itself.
	Incarnation string   `json:"incarnation,omitempty"`
	Boots       uint64   `json:"boots,omitempty"`
	Former      []string `json:"former,omitempty"` // incarnations before this one, the last maxFormer

	// Standby says that an operator wants it without a vote. The node itself
	// does not write this; see EncodeStandby.
	Standby bool `json:"standby,omitempty"`
}

// maxFormer is how many incarnations before the present one are remembered.
const maxFormer = 16

// memberOp is the Data of a Member Op.
type memberOp struct {
	Member
	Only string `json:"only,omitempty"` // onlyStandby: the rest stays as it is
}

const onlyStandby = "standby"

// EncodeMember returns the Data of a Member Op. What the log gives, and what an
// operator decides, is ignored.
func EncodeMember(m Member) []byte {
	m.Number, m.Former, m.Standby = 0, nil, false
	return mustJSON(m)
}

// EncodeStandby returns the Data of a Member Op that says whether a node is to
// stay without a vote, and changes nothing else.
func EncodeStandby(id string, standby bool) []byte {
	return mustJSON(memberOp{Member{ID: id, Standby: standby}, onlyStandby})
}

// BeginSpec is the Data of a Begin.
type BeginSpec struct {
	Cluster string `json:"cluster"`         // the cluster's id, kept from the first Begin
	Node    string `json:"node"`            // the leader
	Level   uint64 `json:"level,omitempty"` // a feature level that all members know
}

// EncodeBegin returns the Data of a Begin.
func EncodeBegin(s BeginSpec) []byte { return mustJSON(s) }

// begin keeps the id of the cluster, once.
func (e *event) begin(op vfs.Op) (vfs.Result, error) {
	var s BeginSpec
	if json.Unmarshal(op.Data, &s) != nil || s.Cluster == "" {
		return vfs.Result{}, vfs.Invalid.With("begin: bad settings")
	}
	if _, ok := e.tx.Get(sysKey(rowCluster)); !ok {
		e.tx.Put(sysKey(rowCluster), []byte(s.Cluster))
	}
	e.raise(s.Level)
	return vfs.Result{}, nil
}

// member writes what a node says of itself, or what an operator decided about
// it; the first time gives it a number, which is N of the Result. A directory
// that another one has replaced, or that is an old copy, is refused.
func (e *event) member(op vfs.Op) (vfs.Result, error) {
	var in memberOp
	if json.Unmarshal(op.Data, &in) != nil || in.ID == "" || in.Only != "" && in.Only != onlyStandby {
		return vfs.Result{}, vfs.Invalid.With("member: bad settings")
	}
	key := textKey(rowMember, in.ID)
	var old Member
	b, known := e.tx.Get(key)
	if known {
		old = decodeMember(b)
	}
	m, err := old.become(in)
	if err != nil {
		return vfs.Result{}, err
	}
	if !known {
		last := getNum(e.tx, rowNumber)
		if last == math.MaxUint16 {
			return vfs.Result{}, vfs.NoSpace.With("no more node numbers")
		}
		m.Number = uint16(last + 1)
		e.tx.Put(sysKey(rowNumber), be64(last+1))
	}
	e.tx.Put(key, mustJSON(m))
	return vfs.Result{N: int64(m.Number)}, nil
}

// become returns the record that follows old when a Member Op says in.
func (old Member) become(in memberOp) (Member, error) {
	if in.Only == onlyStandby {
		m := old
		m.ID, m.Standby = in.ID, in.Standby
		return m, nil
	}
	if err := old.Replaced(in.Incarnation, in.Boots); err != nil {
		return Member{}, err
	}
	m := in.Member
	m.Number, m.Standby, m.Former = old.Number, old.Standby, old.Former
	if m.Incarnation == "" { // written by a version that has none
		m.Incarnation, m.Boots = old.Incarnation, old.Boots
	}
	if old.Incarnation != "" && old.Incarnation != m.Incarnation {
		m.Former = append(m.Former, old.Incarnation)
		m.Former = m.Former[max(0, len(m.Former)-maxFormer):]
	}
	return m, nil
}

// Replaced returns an error, of kind Conflict, if a node that was started boots
// times in its directory must not speak for this member any more: another
// directory has taken its place, or the same one has been started more often
// elsewhere.
func (m Member) Replaced(incarnation string, boots uint64) error {
	switch {
	case slices.Contains(m.Former, incarnation):
		return vfs.Conflict.Withf("node %s has a newer data directory", m.ID)
	case m.Incarnation == incarnation && m.Boots > boots:
		return vfs.Conflict.Withf("node %s has been started %d times, but this data directory knows of %d: it is an old copy", m.ID, m.Boots, boots)
	}
	return nil
}

func decodeMember(b []byte) (m Member) {
	if err := json.Unmarshal(b, &m); err != nil {
		broken("member: %v", err)
	}
	return m
}

// Members returns all nodes that the log has heard of in the state v, by id.
func Members(v vfs.View) []Member {
	var out []Member
	for _, b := range v.Scan(sysKey(rowMember), nil) {
		out = append(out, decodeMember(b))
	}
	return out
}

// Rename gives the cluster another id, past the log: of a node that does not
// run, and on each that is to go on with it alike.
func (m *Machine) Rename(cluster string) error {
	m.apply.Lock()
	defer m.apply.Unlock()
	if err := m.Failed(); err != nil {
		return err
	}
	o := vfs.NewOverlay(m.store.View())
	o.Put(sysKey(rowCluster), []byte(cluster))
	if err := m.store.Commit(o); err != nil {
		return err
	}
	m.mu.Lock()
	m.dropImage()
	m.mu.Unlock()
	return m.store.Sync()
}

// ClusterID returns the cluster's id in the state v; "" before the first Begin.
func ClusterID(v vfs.View) string {
	b, _ := v.Get(sysKey(rowCluster))
	return string(b)
}
