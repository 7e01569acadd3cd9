package fsm

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/pfs-project/pfs/vfs"
)

// A backup is taken in by Events, like all else: one that begins it, some that
// hold its chunks against sweeping, some that bring its rows, and one that makes
// them the state. Between the first and the last nothing else is folded but
// what is the cluster's own, and nobody reads.

// errLoading is the answer to every other Op meanwhile.
var errLoading error = vfs.Unavailable.With("a backup is being restored into this cluster")

// The steps of a restore.
const (
	StepBegin = "begin" // of an empty cluster; NotEmpty if it is not
	StepHold  = "hold"  // keeps the chunks in Op.Refs; also without any: a sign of life
	StepEnd   = "end"   // all rows are here: they are the state
	StepDrop  = "drop"  // gives up: the cluster is empty again
)

// RestoreSpec is the Data of a Restore; Op.File is the id of the restore.
type RestoreSpec struct {
	Step  string `json:"step"`
	Node  string `json:"node,omitempty"`  // begin: who restores
	Run   string `json:"run,omitempty"`   // begin: its process
	Parts uint64 `json:"parts,omitempty"` // end: how many Loads there were
	Seq   uint64 `json:"seq,omitempty"`   // end: the backup's last
	Time  int64  `json:"time,omitempty"`  // end: the backup's, nanoseconds
}

// EncodeRestore returns the Data of a Restore.
func EncodeRestore(s RestoreSpec) []byte { return mustJSON(s) }

// Loading is a restore that is under way, or the last one that was done.
type Loading struct {
	ID    uint64 `json:"id"`
	Node  string `json:"node"`
	Run   string `json:"run"`
	Parts uint64 `json:"parts"`         // Loads so far
	Steps uint64 `json:"steps"`         // so far, of all kinds: a sign of life
	Seq   uint64 `json:"seq,omitempty"` // of the Event that ended it
	Done  bool   `json:"done,omitempty"`
}

// RestoreOf returns the restore that the state v knows of, if there is one.
func RestoreOf(v vfs.View) (l Loading, ok bool) {
	b, ok := v.Get(sysKey(rowLoading))
	if ok && json.Unmarshal(b, &l) != nil {
		broken("restore: %q", b)
	}
	return l, ok
}

// IsLoading reports whether a restore is under way in the state v.
func IsLoading(v vfs.View) bool {
	l, ok := RestoreOf(v)
	return ok && !l.Done
}

// Loading reports whether a restore is under way, as far as is applied.
func (m *Machine) Loading() bool { return m.loading.Load() }

// WhileLoading reports whether an Op of the verb is folded during a restore:
// all others are refused.
func WhileLoading(v vfs.Verb) bool { return systemVerbs[v].own }

func (e *event) putLoading(l Loading) {
	l.Steps++
	e.tx.Put(sysKey(rowLoading), mustJSON(l))
	e.loading = !l.Done
}

// restore folds a step. Each may be repeated without harm.
func (e *event) restore(op vfs.Op) (vfs.Result, error) {
	var s RestoreSpec
	if json.Unmarshal(op.Data, &s) != nil || op.File == 0 {
		return vfs.Result{}, vfs.Invalid.With("restore: bad settings")
	}
	l, ok := RestoreOf(e.tx)
	mine := ok && l.ID == op.File
	switch {
	case s.Step == StepBegin:
		return vfs.Result{}, e.beginLoad(op.File, s, l)
	case s.Step == StepDrop:
		if mine && !l.Done {
			e.dropLoad(l)
		}
		return vfs.Result{}, nil
	case !mine:
		return vfs.Result{}, errGivenUp
	case s.Step == StepHold && !l.Done:
		for _, r := range op.Refs {
			e.hold(r.Hash)
		}
		e.putLoading(l)
		return vfs.Result{N: int64(len(op.Refs))}, nil
	case s.Step == StepEnd:
		return e.endLoad(l, s)
	}
	return vfs.Result{}, vfs.Invalid.With("restore: unknown step")
}

// errGivenUp is the answer to the next step of a restore that is no more.
var errGivenUp error = vfs.Unavailable.With("the restore was given up")

func (e *event) beginLoad(id uint64, s RestoreSpec, l Loading) error {
	switch {
	case e.loading && l.ID != id:
		return vfs.Locked.Withf("node %s is restoring a backup already", l.Node)
	case e.loading:
		return nil
	}
	if err := e.empty(); err != nil {
		return err
	}
	e.putLoading(Loading{ID: id, Node: s.Node, Run: s.Run})
	return nil
}

// hold keeps a chunk that no row counts yet.
func (e *event) hold(hash [32]byte) {
	if !Counted(e.tx, hash) {
		e.held = append(e.held, hash)
	}
	e.tx.Put(sysKey(rowHeld, hash[:]...), nil)
}

// load takes rows in: op.Data is pairs as AppendPair makes them, op.Off the
// place of the Op among all Loads. With FlagAppend its one value continues that
// of the pair before. What was there before the first is dropped.
func (e *event) load(op vfs.Op) (vfs.Result, error) {
	l, ok := RestoreOf(e.tx)
	switch {
	case !ok || l.Done || l.ID != op.File:
		return vfs.Result{}, errGivenUp
	case op.Off < int64(l.Parts):
		return vfs.Result{}, nil // again
	case op.Off > int64(l.Parts):
		return vfs.Result{}, vfs.Invalid.With("restore: rows out of order")
	case op.Off == 0:
		e.wipe()
	}
	for b := op.Data; len(b) > 0; {
		key, value, rest, ok := cutPair(b)
		if !ok || !loadable(key) {
			return vfs.Result{}, vfs.Invalid.With("restore: bad row")
		}
		if op.Flag&vfs.FlagAppend != 0 {
			old, _ := e.tx.Get(key)
			value = append(append([]byte(nil), old...), value...)
		}
		e.tx.Put(key, value)
		b = rest
	}
	l.Parts++
	e.putLoading(l)
	return vfs.Result{N: int64(len(op.Data))}, nil
}

// AppendPair appends a pair to the Data of a Load.
func AppendPair(b, key, value []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(append(b, key...), value...)
}

// PairSize is how many bytes AppendPair adds to those of key and value.
const PairSize = 8

func cutPair(b []byte) (key, value, rest []byte, ok bool) {
	if len(b) < PairSize {
		return nil, nil, nil, false
	}
	k, v := uint64(binary.BigEndian.Uint32(b)), uint64(binary.BigEndian.Uint32(b[4:]))
	b = b[PairSize:]
	if k+v > uint64(len(b)) {
		return nil, nil, nil, false
	}
	return b[:k], b[k : k+v], b[k+v:], true
}

// loadable reports whether a backup may hold a row of that key.
func loadable(key []byte) bool {
	return len(key) > 1 && key[0] == vfs.SystemSpace && !own(key) || len(key) > 8 && key[0] == vfs.MountSpace
}

// wipe removes all but what is the cluster's own.
func (e *event) wipe() {
	from := []byte{vfs.SystemSpace}
	for kind := range 256 {
		if k := sysKey(byte(kind)); own(k) {
			e.tx.DeleteRange(from, k)
			from = vfs.PrefixEnd(k)
		}
	}
	e.tx.DeleteRange(from, vfs.PrefixEnd([]byte{vfs.MountSpace}))
	e.setTable(nil)
}

func (e *event) unhold() {
	held := sysKey(rowHeld)
	e.tx.DeleteRange(held, vfs.PrefixEnd(held))
}

// dropLoad leaves an empty cluster, in which the configured mounts are made
// again.
func (e *event) dropLoad(l Loading) {
	if l.Parts > 0 {
		e.wipe()
	}
	e.unhold()
	e.tx.Delete(sysKey(rowLoading))
	e.loading = false
}

// maxSeq bounds the numbers of Events: some plugins use the upper bits of an id
// for them.
const maxSeq = 1 << 47

// endLoad makes the rows the state. Its Event has the first number after the
// restore, Version of the Result.
func (e *event) endLoad(l Loading, s RestoreSpec) (vfs.Result, error) {
	switch {
	case l.Done: // again
		return vfs.Result{Version: l.Seq}, nil
	case s.Parts != l.Parts:
		return vfs.Result{}, vfs.Invalid.Withf("restore: %d parts instead of %d", l.Parts, s.Parts)
	case s.Seq > maxSeq || s.Time < 0:
		return vfs.Result{}, vfs.Invalid.With("restore: impossible number or time")
	case l.Parts == 0:
		e.wipe()
	}
	table, err := e.m.tableOf(e.tx)
	if err != nil {
		return vfs.Result{}, err
	}
	e.unhold()
	e.setTable(table)
	for _, m := range table {
		e.tellLevel(e.tx, m)
	}
	e.tx.seq = max(e.tx.seq, s.Seq+1, seqAt(e.tx.now))
	e.tx.now = max(e.tx.now, s.Time)
	l.Seq, l.Done, e.loaded = e.tx.seq, true, true
	e.putLoading(l)
	return vfs.Result{Version: e.tx.seq}, nil
}

// seqPerSecond is how many numbers of Events lie between two restores for each
// second between them; see seqAt. A power of two.
const seqPerSecond = 1 << 15

// seqAt is the least number of an Event after a restore at a log time. The
// cluster that the backup is of has given numbers since, which nobody knows: a
// version that a client remembers must not come back with other content. As
// long as a cluster takes fewer than 32,768 Events a second, year in year out,
// it never gets to the number that belongs to the time.
func seqAt(now int64) uint64 { return uint64(now/1e9) * seqPerSecond }

// tableOf reads the mounts of a state that comes from elsewhere.
func (m *Machine) tableOf(v vfs.View) (mounts []vfs.Mounted, err error) {
	defer func() {
		if f := fault(recover()); errors.Is(f, errBroken) {
			err = vfs.Invalid.With("restore: " + f.Error())
		} else if f != nil {
			panic(f)
		}
	}()
	mounts = m.loadTable(v).Mounts()
	for _, mt := range mounts {
		if mt.Place == vfs.Replicated && mt.FS == nil {
			return nil, vfs.Invalid.Withf("restore: mount %s of type %s: %v", mt.Path, mt.Type, mt.Err)
		}
	}
	return mounts, nil
}
