package fsm

import (
	"strings"
	"sync"

	"github.com/RaduBerinde/btreemap"

	"github.com/pfs-project/pfs/vfs"
)

// watches are rows whose changes somebody wants to hear of.
type watches struct {
	mu     sync.Mutex
	rows   map[string]watchers
	sorted *btreemap.BTreeMap[string, watchers] // the same, for ranges
}

type watch struct{ hear func() }

// watchers are those of one row.
type watchers map[*watch]struct{}

func (all watchers) tell() {
	for w := range all { // any order
		w.hear()
	}
}

// branches is how many rows are side by side in a node of the sorted ones.
const branches = 32

// Watch has hear called after every commit that changes the row with that key
// of the whole state, and when the state is replaced or comes to an end; the
// change is then in every new Image. hear is called from the goroutine that
// applies, or that puts Devices up: it must neither wait nor call the Machine. The function that is
// returned ends it.
func (m *Machine) Watch(row []byte, hear func()) (stop func()) {
	w, key, s := &watch{hear}, string(row), &m.watches
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows, s.sorted = map[string]watchers{}, btreemap.New[string, watchers](branches, strings.Compare)
	}
	if s.rows[key] == nil {
		s.rows[key] = watchers{}
		s.sorted.ReplaceOrInsert(key, s.rows[key])
	}
	s.rows[key][w] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(s.rows[key], w); len(s.rows[key]) == 0 {
			delete(s.rows, key)
			s.sorted.Delete(key)
		}
	}
}

// tell calls those whose rows o changes; all of them if o is nil. It goes through
// whatever is fewer, the changed keys or the rows, and of deleted ranges through the
// rows in them.
func (s *watches) tell(o *vfs.Overlay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o == nil {
		for _, all := range s.rows { // any order
			all.tell()
		}
		return
	}
	if keys := o.Keys(); len(keys) < len(s.rows) {
		for _, k := range keys {
			s.rows[k].tell()
		}
	} else {
		for k, all := range s.rows { // any order
			if o.Changes([]byte(k)) {
				all.tell()
			}
		}
		return
	}
	if s.sorted != nil {
		s.tellRanges(o)
	}
}

// tellRanges is tell for rows that went with a range, and were not changed besides.
func (s *watches) tellRanges(o *vfs.Overlay) {
	var told map[string]bool // by this
	for from, to := range o.Ranges() {
		for k, all := range s.sorted.Ascend(btreemap.GE(from), btreemap.LT(to)) {
			if told == nil {
				told = map[string]bool{}
				for _, k := range o.Keys() {
					told[k] = true
				}
			}
			if !told[k] {
				told[k] = true
				all.tell()
			}
		}
	}
}

// tellRow calls those who watch a row.
func (s *watches) tellRow(row []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[string(row)].tell()
}

// MountRow returns the row that changes when a mount at p comes, changes or
// goes; who watches it also hears when a Device there comes up or fails on this
// node.
func MountRow(p vfs.Path) []byte { return textKey(rowMount, string(p)) }

// MountsRow returns a row that is never there, and that who watches hears of every
// change of the mount table: one row for those who would watch many of MountRow.
func MountsRow() []byte { return sysKey(rowMount) }
