package fsm

import "github.com/pfs-project/pfs/vfs"

// loadsAtOnce is how many Loads make one Event: as many as a log entry holds.
const loadsAtOnce = 15

// Loader packs rows into Loads, a few to an Event.
type Loader struct {
	id      uint64 // of the restore
	propose func(ops []vfs.Op) error
	ops     []vfs.Op
	data    []byte // of the next Load
	parts   uint64
}

// NewLoader returns a Loader of the restore with an id. It hands each Event to
// propose, which must see to it that it is applied before it returns.
func NewLoader(id uint64, propose func(ops []vfs.Op) error) *Loader {
	return &Loader{id: id, propose: propose}
}

// Parts returns how many Loads there were.
func (l *Loader) Parts() uint64 { return l.parts }

// Add takes one more row, in any order. A value that is too long for one Load
// goes into several.
func (l *Loader) Add(key, value []byte) error {
	room := vfs.MaxInline - PairSize - len(key)
	if room <= 0 {
		return vfs.Invalid.Withf("row with a key of %d bytes", len(key))
	}
	if len(value) <= room {
		if len(l.data)+PairSize+len(key)+len(value) > vfs.MaxInline {
			if err := l.pack(0); err != nil {
				return err
			}
		}
		l.data = AppendPair(l.data, key, value)
		return nil
	}
	if err := l.pack(0); err != nil {
		return err
	}
	for flag := vfs.Flag(0); len(value) > 0; flag = vfs.FlagAppend {
		n := min(room, len(value))
		l.data = AppendPair(l.data, key, value[:n])
		if err := l.pack(flag); err != nil {
			return err
		}
		value = value[n:]
	}
	return nil
}

// pack makes a Load of what has come together.
func (l *Loader) pack(flag vfs.Flag) error {
	if len(l.data) == 0 {
		return nil
	}
	l.ops = append(l.ops, vfs.Op{Verb: vfs.Load, Path: vfs.Root, File: l.id, Off: int64(l.parts), Flag: flag, Data: l.data})
	l.data = nil // the log may keep it
	l.parts++
	if len(l.ops) < loadsAtOnce {
		return nil
	}
	return l.send()
}

func (l *Loader) send() error {
	if len(l.ops) == 0 {
		return nil
	}
	ops := l.ops
	l.ops = nil
	return l.propose(ops)
}

// Flush hands on what is left.
func (l *Loader) Flush() error {
	if err := l.pack(0); err != nil {
		return err
	}
	return l.send()
}
