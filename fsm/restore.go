package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/store"
)

// install is an archive that has arrived whole, and what it is to be.
type install struct {
	path string // of its file, or
	dir  string // of what was unpacked from it
	size int64
	at   applied
}

// sink takes a snapshot from elsewhere into a file.
type sink struct {
	m    *Machine
	at   applied
	id   string // "" until something was written
	file store.File
	path string
	size int64
	done bool
}

// ID returns the name to open it under: that of the live state if nothing was
// written.
func (s *sink) ID() string {
	if s.id == "" {
		return liveID
	}
	return s.id
}

// Write appends to the archive.
func (s *sink) Write(b []byte) (int, error) {
	switch {
	case s.m.o.Dir == "":
		return 0, errNoDir
	case s.id == "" && bytes.HasPrefix(b, []byte(tokenMagic)):
		return len(b), s.redeem(b)
	case s.done:
		return 0, fs.ErrClosed
	}
	if s.file == nil {
		id := s.m.snaps.name(installPrefix)
		path := s.m.home.path(id)
		f, err := store.Create(s.m.home.disk, path)
		if err != nil {
			return 0, err
		}
		s.file, s.path, s.id = f, path, id
	}
	n, err := s.file.Write(b)
	s.size += int64(n)
	return n, err
}

// Close makes the archive ready to be opened.
func (s *sink) Close() error {
	if s.file == nil || s.done {
		return nil
	}
	s.done = true
	if err := s.file.Close(); err != nil {
		return errors.Join(err, s.m.home.disk.Remove(s.path))
	}
	snaps := &s.m.snaps
	snaps.mu.Lock()
	defer snaps.mu.Unlock()
	if snaps.installs == nil {
		snaps.installs = map[string]*install{}
	}
	snaps.installs[s.id] = &install{path: s.path, size: s.size, at: s.at}
	return nil
}

// Cancel drops the archive.
func (s *sink) Cancel() error {
	if s.file == nil || s.done {
		return nil
	}
	s.done = true
	return errors.Join(s.file.Close(), s.m.home.disk.Remove(s.path))
}

// arrived is an archive that is being restored; it is gone when it is closed.
type arrived struct {
	store.File
	install
	m  *Machine
	id string
}

// Close removes the archive.
func (a *arrived) Close() error {
	a.m.snaps.mu.Lock()
	delete(a.m.snaps.installs, a.id)
	a.m.snaps.mu.Unlock()
	if a.File == nil {
		return nil
	}
	err := a.File.Close()
	if rm := a.m.home.disk.Remove(a.path); !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// Restore replaces the state by that of an archive: it is unpacked and checked
// beside the old one, if Receive has not done that before, stamped with the index, term and configuration that raft
// gave it, made durable, and then put in place by one rename. Until that the
// old state stands, also after a crash or an error. Images of the old state
// stay readable until they are released.
func (m *Machine) Restore(from io.ReadCloser) error {
	m.apply.Lock()
	defer m.apply.Unlock()
	if err := m.Failed(); err != nil {
		return err
	}
	if m.o.Dir == "" {
		return errNoDir
	}
	var at *applied
	unpack := func(dir string) error { return store.Extract(from, m.home.disk, dir) }
	switch src := unwrap(from).(type) {
	case *leaving:
		if src.m == m { // the state is its own snapshot
			return nil
		}
	case *arrived:
		at = &src.at
		if src.dir != "" {
			unpack = func(dir string) error { return m.home.disk.Rename(src.dir, dir) }
		}
	}
	next, err := m.replace(unpack, at)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	old, gen := m.store, m.gen
	m.adopt(next)
	m.watches.tell(nil)
	m.wg.Go(func() {
		err := errors.Join(old.Close(), m.home.disk.RemoveAll(m.home.gen(gen)))
		if m.o.Log != nil && err != nil {
			m.o.Log.Warn("replaced state is not removed", "error", err)
		}
	})
	if m.o.Log != nil {
		m.o.Log.Info("state restored", "index", next.at.index)
	}
	if m.o.OnMounts != nil {
		m.o.OnMounts()
	}
	if m.o.OnRestore != nil {
		m.o.OnRestore()
	}
	return nil
}

// replace makes the next generation of the state from what unpack puts into
// its directory, stamps it with at (nil: with what it says itself) and makes it
// the current one.
func (m *Machine) replace(unpack func(dir string) error, at *applied) (_ opened, err error) {
	gen := m.gen + 1
	disk, dir := m.home.disk, m.home.gen(gen)
	if err := disk.RemoveAll(dir); err != nil {
		return opened{}, err
	}
	if err := unpack(dir); err != nil {
		return opened{}, err
	}
	st, err := store.Open(dir, m.storeOptions())
	if err != nil {
		return opened{}, errors.Join(err, disk.RemoveAll(dir))
	}
	next, err := m.inspect(st, gen)
	if err == nil && at != nil {
		next.at = *at
		err = st.Commit(nil, append(at.rows(), wholeRow(at.index))...)
	}
	if err == nil {
		err = st.Sync()
	}
	if err != nil {
		return opened{}, errors.Join(err, st.Close(), disk.RemoveAll(dir))
	}
	// From here on only the disk knows which of the two is current.
	if err := m.home.point(gen); err != nil {
		if now, looked := m.home.current(); looked == nil && now == m.gen { // the old one stands
			return opened{}, errors.Join(err, st.Close(), disk.RemoveAll(dir))
		}
		m.fatal(fmt.Errorf("restore: %w", err))
		return opened{}, errors.Join(err, st.Close())
	}
	return next, nil
}

// unwrap returns the reader that this package made, inside those of raft.
func unwrap(r io.ReadCloser) io.ReadCloser {
	for {
		w, ok := r.(raft.ReadCloserWrapper)
		if !ok {
			return r
		}
		r = w.WrappedReadCloser()
	}
}
