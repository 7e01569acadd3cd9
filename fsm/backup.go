package fsm

import (
	"errors"
	"iter"
	"time"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// checkpointCache is the block cache of a checkpoint that is read, in bytes.
const checkpointCache = 8 << 20

// Checkpoint is the state at one index, beside the machine. It holds the disk
// space of all that is replaced meanwhile, until it is closed.
type Checkpoint struct {
	View        vfs.View
	Index, Term uint64
	Seq         uint64    // of the last Event in it
	Time        time.Time // of that Event
	close       func() error
}

// Checkpoint returns the present state. While a backup is being restored there
// is none: Unavailable.
func (m *Machine) Checkpoint() (_ *Checkpoint, err error) {
	if m.o.Dir == "" {
		return nil, errNoDir
	}
	dir := m.home.path(m.snaps.name(checkpointPrefix))
	remove := func() error { return m.home.disk.RemoveAll(dir) }
	if err := m.Store().Checkpoint(dir); err != nil {
		return nil, errors.Join(err, remove())
	}
	st, err := store.Open(dir, store.Options{FS: m.home.disk, ReadOnly: true, CacheBytes: checkpointCache,
		Fatal: func(error) {}}) // who reads it hears of it
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	snap := st.Snapshot() // unlike a View, for any number of goroutines
	c := &Checkpoint{View: snap, close: func() error {
		snap.Close()
		return errors.Join(st.Close(), remove())
	}}
	if err := c.look(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Checkpoint) look() (err error) {
	defer func() { err = errors.Join(err, fault(recover())) }()
	at, err := readApplied(c.View)
	switch {
	case err != nil:
		return err
	case at.index == 0:
		return vfs.Unavailable.With("there is no state yet")
	case IsLoading(c.View):
		return errLoading
	}
	c.Index, c.Term = at.index, at.term
	c.Seq, c.Time = getNum(c.View, rowSeq), timeOf(getNum(c.View, rowTime))
	return nil
}

// Close removes the checkpoint. Nobody may read it any more. Closing twice is
// harmless.
func (c *Checkpoint) Close() error {
	do := c.close
	if do == nil {
		return nil
	}
	c.close = nil
	return do()
}

// Rows yields what a backup holds of the state v, in order: all but what tells
// whose state it is.
func Rows(v vfs.View) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for _, space := range []byte{vfs.SystemSpace, vfs.MountSpace} {
			for k, value := range v.Scan([]byte{space}, nil) {
				if !own(k) && !yield(k, value) {
					return
				}
			}
		}
	}
}

// CountedBy returns the chunk that a row of the state counts, if something
// refers to it.
func CountedBy(key, value []byte) (hash [32]byte, ok bool) {
	prefix := sysKey(rowChunk)
	if len(key) != len(prefix)+len(hash) || string(key[:len(prefix)]) != string(prefix) || len(value) != 8 {
		return hash, false
	}
	return [32]byte(key[len(prefix):]), true
}

// CheckRow returns an error for a row of a backup that this program could not
// have written. It looks at one row alone.
func CheckRow(key, value []byte) (err error) {
	if !loadable(key) {
		return vfs.Invalid.Withf("a row of a kind that no backup has: %.16q", key)
	}
	defer func() {
		if fault(recover()) != nil || err != nil {
			err = vfs.Invalid.Withf("a row that cannot be read: %.16q", key)
		}
	}()
	if key[0] == vfs.MountSpace {
		return nil
	}
	check, ok := rowChecks[key[1]]
	if !ok {
		return vfs.Invalid.With("a row of a kind that this version does not know")
	}
	return check(key[2:], value)
}

func shaped(ok bool) error {
	if !ok {
		return errBroken
	}
	return nil
}

// rowChecks look at the rows of the system space, by kind.
var rowChecks = map[byte]func(key, value []byte) error{
	rowMount:    func(_, v []byte) error { decodeRecord(v); return nil },
	rowDetached: func(_, v []byte) error { decodeRecord(v); return nil },
	rowTomb:     func(_, v []byte) error { _, err := DecodeMount(v); return err },
	rowAnswer: func(_, v []byte) error {
		_, _, _, body := splitAnswer(v)
		_, err := wire.Outcome(body)
		return err
	},
	rowOrder:   func(k, _ []byte) error { return shaped(len(k) == 8) },
	rowWindow:  func(k, v []byte) error { return shaped(len(k) == 0 && len(v) == 32) },
	rowChunk:   func(k, v []byte) error { return shaped(len(k) == 32 && (len(v) == 8 || len(v) == 16)) },
	rowZero:    func(k, _ []byte) error { return shaped(len(k) == 8+32) },
	rowUpload:  func(k, v []byte) error { return shaped(len(k) == 8 && len(v) == 32) },
	rowPart:    func(k, v []byte) error { return shaped(len(k) == 16 && len(v)%refBytes == 0) },
	rowLibrary: func(_, v []byte) error { decodeLibrary(v); return nil },
	rowLink:    func(k, _ []byte) error { return shaped(len(k) >= 8) },
}
