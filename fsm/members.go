package fsm

import (
	"encoding/json"
	"math"

	"github.com/pfs-project/pfs/vfs"
)

// Member is what the cluster knows of a node beside raft: it is written by the
// node itself, and stays when the node leaves, so that numbers are not reused.
type Member struct {
	ID     string `json:"id"`               // the raft server id
	HTTP   string `json:"http"`             // base URL of its API
	Raft   string `json:"raft"`             // its raft address
	Number uint16 `json:"number,omitempty"` // from 1, given by the log
}

// EncodeMember returns the Data of a Member Op. The Number is ignored.
func EncodeMember(m Member) []byte {
	m.Number = 0
	return mustJSON(m)
}

// BeginSpec is the Data of a Begin.
type BeginSpec struct {
	Cluster string `json:"cluster"` // the cluster's id, kept from the first Begin
	Node    string `json:"node"`    // the leader
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
	return vfs.Result{}, nil
}

// member writes what a node says of itself; the first time gives it a number,
// which is N of the Result.
func (e *event) member(op vfs.Op) (vfs.Result, error) {
	var m Member
	if json.Unmarshal(op.Data, &m) != nil || m.ID == "" {
		return vfs.Result{}, vfs.Invalid.With("member: bad settings")
	}
	m.Number = 0
	key := textKey(rowMember, m.ID)
	if old, ok := e.tx.Get(key); ok {
		m.Number = decodeMember(old).Number
	} else {
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

// ClusterID returns the cluster's id in the state v; "" before the first Begin.
func ClusterID(v vfs.View) string {
	b, _ := v.Get(sysKey(rowCluster))
	return string(b)
}
