package fsm

import (
	"encoding/json"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// SavedBackup is the last scheduled backup, as its node told the log. It is
// told when it begins and when it has ended, so that another node that comes to
// lead does not make a second one in the same interval.
type SavedBackup struct {
	Node  string    `json:"node"`
	Begun time.Time `json:"begun"`           // the last attempt
	Done  time.Time `json:"done,omitzero"`   // the last that succeeded
	Name  string    `json:"name,omitempty"`  // of that one
	Index uint64    `json:"index,omitempty"` // that it is of
	Bytes int64     `json:"bytes,omitempty"`
}

// EncodeSaved returns the Data of a Saved.
func EncodeSaved(s SavedBackup) []byte { return mustJSON(s) }

// saved keeps what a node tells of a scheduled backup.
func (e *event) saved(op vfs.Op) (vfs.Result, error) {
	var s SavedBackup
	if json.Unmarshal(op.Data, &s) != nil || s.Node == "" {
		return vfs.Result{}, vfs.Invalid.With("backup: bad settings")
	}
	e.tx.Put(sysKey(rowSaved), mustJSON(s))
	return vfs.Result{}, nil
}

// LastSaved returns the last scheduled backup that the state v knows of.
func LastSaved(v vfs.View) (s SavedBackup, ok bool) {
	b, ok := v.Get(sysKey(rowSaved))
	if ok && json.Unmarshal(b, &s) != nil {
		broken("backup: %q", b)
	}
	return s, ok
}
