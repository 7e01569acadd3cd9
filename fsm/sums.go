package fsm

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// Sums are hashes of the replicated state at one index. Nodes at one index have
// the same.
type Sums struct {
	Index uint64
	State [32]byte // of all that was written
	Own   [32]byte // of the rest: whose cluster it is; see the rows in own
}

// MountSum is the hash of what belongs to one mount.
type MountSum struct {
	Name string // its path; "system" is what belongs to none
	Sum  [32]byte
}

// Sums returns the hashes of the present state. It reads all of it.
func (m *Machine) Sums(ctx context.Context) (Sums, error) {
	i := m.Image()
	defer i.Release()
	s, _, err := i.Sums(ctx, false)
	return s, err
}

// Sums returns the hashes of the state, and if mounts is set those of its parts,
// by mount id. It reads all of it.
func (i *Image) Sums(ctx context.Context, mounts bool) (s Sums, of []MountSum, err error) {
	defer func() {
		if f := fault(recover()); f != nil {
			err = f
		}
	}()
	s.Index = i.Index
	state, mine := store.NewHasher(), store.NewHasher()
	parts := parts{table: i.Table}
	err = store.Digest(ctx, i.View, func(key, value []byte) {
		if own(key) {
			mine.Add(key, value)
			return
		}
		state.Add(key, value)
		if mounts {
			parts.add(key, value)
		}
	})
	s.State, s.Own = state.Sum(), mine.Sum()
	return s, parts.end(), err
}

// parts hashes what comes by mount; the keys of a mount stand together.
type parts struct {
	table *vfs.Table
	mount uint64
	h     *store.Hasher
	out   []MountSum
}

func (p *parts) add(key, value []byte) {
	mount := uint64(0)
	if key[0] == vfs.MountSpace {
		mount = binary.BigEndian.Uint64(key[1:])
	}
	if p.h == nil || mount != p.mount {
		p.end()
		p.h, p.mount = store.NewHasher(), mount
	}
	p.h.Add(key, value)
}

func (p *parts) end() []MountSum {
	if p.h != nil {
		p.out = append(p.out, MountSum{p.name(), p.h.Sum()})
		p.h = nil
	}
	return p.out
}

// name is what people call the mount.
func (p *parts) name() string {
	if p.mount == 0 {
		return "system"
	}
	for _, m := range p.table.Mounts() {
		if m.ID == p.mount {
			return m.Path.String()
		}
	}
	return fmt.Sprintf("unmounted %d", p.mount)
}
