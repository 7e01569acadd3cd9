package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pfs-project/pfs/store"
)

// tokenMagic begins what stands in raft's hands for an archive that is here
// already. No archive begins with it.
const tokenMagic = "PFSGOT\x00\x01"

// Received is an archive that was unpacked and verified beside the state.
type Received struct {
	m  *Machine
	id string
}

// Receive unpacks one archive from a stream, no byte more, beside the state,
// and verifies it. So raft, which stands still while it installs a snapshot,
// does not wait for the network or for the disk. One that was damaged on its
// way gives store.ErrArchive, one of a damaged state store.ErrCorrupt; after an
// error nothing is left.
func (m *Machine) Receive(from io.Reader) (*Received, error) {
	if m.o.Dir == "" {
		return nil, errNoDir
	}
	r := &Received{m, m.snaps.name(installPrefix)}
	if err := store.Extract(from, m.home.disk, r.dir()); err != nil {
		return nil, err
	}
	// The archive is as it was sent. Was it well there?
	err := store.VerifyTables(context.Background(), m.home.disk, r.dir(), func(int) bool { return true })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the state of the sender: %w", err), m.home.disk.RemoveAll(r.dir()))
	}
	m.snaps.mu.Lock()
	defer m.snaps.mu.Unlock()
	if m.snaps.received == nil {
		m.snaps.received = map[string]bool{}
	}
	m.snaps.received[r.id] = true
	return r, nil
}

func (r *Received) dir() string { return r.m.home.path(r.id) }

// Token returns what is to be written to a sink in the place of the archive.
func (r *Received) Token() []byte { return []byte(tokenMagic + r.id) }

// Discard removes the archive, unless it has become the state.
func (r *Received) Discard() error {
	r.m.snaps.mu.Lock()
	defer r.m.snaps.mu.Unlock()
	delete(r.m.snaps.received, r.id)
	delete(r.m.snaps.installs, r.id)
	if _, err := r.m.home.disk.Stat(r.dir()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return r.m.home.disk.RemoveAll(r.dir())
}

// redeem makes the sink that of an archive that was received.
func (s *sink) redeem(token []byte) error {
	id := string(bytes.TrimPrefix(token, []byte(tokenMagic)))
	s.m.snaps.mu.Lock()
	defer s.m.snaps.mu.Unlock()
	if !s.m.snaps.received[id] {
		return fmt.Errorf("no archive %q was received", id)
	}
	s.id, s.done = id, true
	if s.m.snaps.installs == nil {
		s.m.snaps.installs = map[string]*install{}
	}
	s.m.snaps.installs[id] = &install{dir: s.m.home.path(id), size: int64(len(token)), at: s.at}
	return nil
}
