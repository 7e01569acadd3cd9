package fsm

import (
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

// watches are rows whose changes somebody wants to hear of.
type watches struct {
	mu   sync.Mutex
	rows map[string]map[*watch]struct{}
}

type watch struct{ hear func() }

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
		s.rows = map[string]map[*watch]struct{}{}
	}
	if s.rows[key] == nil {
		s.rows[key] = map[*watch]struct{}{}
	}
	s.rows[key][w] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(s.rows[key], w); len(s.rows[key]) == 0 {
			delete(s.rows, key)
		}
	}
}

// tell calls those whose rows o changes; all of them if o is nil.
func (s *watches) tell(o *vfs.Overlay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, all := range s.rows { // any order
		if o == nil || o.Changes([]byte(key)) {
			for w := range all { // any order
				w.hear()
			}
		}
	}
}

// tellRow calls those who watch a row.
func (s *watches) tellRow(row []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.rows[string(row)] { // any order
		w.hear()
	}
}

// MountRow returns the row that changes when a mount at p comes, changes or
// goes; who watches it also hears when a Device there comes up or fails on this
// node.
func MountRow(p vfs.Path) []byte { return textKey(rowMount, string(p)) }
