package fsm

import (
	"fmt"
	"io"

	"github.com/pfs-project/pfs/vfs"
)

// device is what this node has of a mount that is not folded. It belongs to
// the Event that mounted it: mounted anew, it is made anew.
type device struct {
	seq uint64
	fs  vfs.FileSystem
	err error
}

var errStarting = &vfs.Down{Cause: vfs.ErrStarting}

// NewFS makes the filesystem of a mount, as its plugin does on this node. What
// it returns has not been started.
func (m *Machine) NewFS(mt vfs.Mounted) (fs vfs.FileSystem, err error) {
	plugin, ok := m.plugins[mt.Type]
	if !ok && mt.Place != vfs.Replicated && m.o.Library != nil { // third-party code never folds
		plugin, ok = m.library(mt.Type)
	}
	if !ok && mt.Place != vfs.Replicated && m.o.Library == nil {
		return nil, fmt.Errorf("type %s is not compiled in, and third-party plugins are off on this node (external_plugins.enabled)", mt.Type)
	}
	if !ok {
		return nil, fmt.Errorf("unknown filesystem type: %s", mt.Type)
	}
	var env vfs.Env
	if m.o.Env != nil {
		env = m.o.Env(mt)
	}
	config := mt.Config
	if mt.Place == vfs.Replicated {
		env = vfs.Env{Chunks: env.Chunks} // what a node keeps for itself must not be folded
	} else if config, err = m.o.Secrets.Reveal(plugin, config); err != nil {
		return nil, err
	}
	if fs, err = plugin.New(env, config); err != nil {
		return nil, err
	}
	_, folds := fs.(vfs.Folder)
	if folds != (mt.Place == vfs.Replicated) {
		return nil, fmt.Errorf("type %s does not run %s", mt.Type, mt.Place)
	}
	return fs, nil
}

// makeDevices returns what this node has of all mounts of table that are not
// folded. Those that need neither a start nor an end are put up at once; the
// others are down until SetFS. The caller does not hold mu.
func (m *Machine) makeDevices(table *vfs.Table) map[uint64]device {
	m.mu.Lock()
	old := m.devices
	m.mu.Unlock()
	out := map[uint64]device{}
	for _, mt := range table.Mounts() {
		if mt.Place == vfs.Replicated {
			continue
		}
		d, ok := old[mt.ID]
		if !ok || d.seq != mt.Seq {
			d = m.makeDevice(mt)
		}
		out[mt.ID] = d
	}
	return out
}

func (m *Machine) makeDevice(mt vfs.Mounted) device {
	if mt.Place == vfs.Pinned {
		return device{seq: mt.Seq, err: errStarting} // here or elsewhere: not for the fold to know
	}
	if plugin, ok := m.plugins[mt.Type]; !ok || mt.Config.HasSecret(plugin.Params) {
		return device{seq: mt.Seq, err: errStarting} // to reveal it may take long
	}
	fs, err := m.NewFS(mt)
	if err != nil {
		return device{seq: mt.Seq, err: err}
	}
	_, starts := fs.(vfs.Starter)
	_, ends := fs.(io.Closer)
	if starts || ends {
		return device{seq: mt.Seq, err: errStarting}
	}
	return device{seq: mt.Seq, fs: fs}
}

// withDevices returns table with the Devices of this node.
func (m *Machine) withDevices(table *vfs.Table, devices map[uint64]device) *vfs.Table {
	mounts := table.Mounts()
	for i := range mounts {
		if mounts[i].Place != vfs.Replicated {
			d := devices[mounts[i].ID]
			mounts[i].FS, mounts[i].Err = d.fs, d.err
		}
	}
	return vfs.NewTable(mounts)
}

// Mounts returns the mounts with what this node has of each.
func (m *Machine) Mounts() []vfs.Mounted {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown.Mounts()
}

// MountStates returns how the mounts fare that run on this node outside the
// log, by path. Pinned ones that live elsewhere are among them, as far as this
// node knows.
func (m *Machine) MountStates() map[vfs.Path]vfs.MountState {
	out := map[vfs.Path]vfs.MountState{}
	for _, mt := range m.Mounts() {
		if mt.Place != vfs.Replicated {
			out[mt.Path] = mt.State()
		}
	}
	return out
}

// SetFS puts a Device up on this node, or down for a reason. It reports
// whether there is such a mount still: if not, or if it was mounted anew, fs is
// the caller's to close. What Apply does never depends on it.
func (m *Machine) SetFS(of vfs.Mounted, fs vfs.FileSystem, err error) bool {
	if !m.setFS(of, fs, err) {
		return false
	}
	m.watches.tellRow(MountRow(of.Path))
	return true
}

func (m *Machine) setFS(of vfs.Mounted, fs vfs.FileSystem, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	mt, ok := m.shown.Mount(of.ID)
	if !ok || mt.Seq != of.Seq || mt.Place == vfs.Replicated {
		return false
	}
	// The map is shared with a makeDevices that may be reading it.
	next := map[uint64]device{mt.ID: {seq: mt.Seq, fs: fs, err: err}}
	for id, d := range m.devices {
		if id != mt.ID {
			next[id] = d
		}
	}
	m.devices = next
	m.dropImage()
	m.shown = m.withDevices(m.shown, next)
	return true
}

// library returns the plugin of a library that is loaded.
func (m *Machine) library(kind string) (vfs.Plugin, bool) {
	i := m.Image()
	defer i.Release()
	lib, ok := LibraryOf(i.View, kind)
	if !ok {
		return vfs.Plugin{}, false
	}
	return m.o.Library(lib), true
}
