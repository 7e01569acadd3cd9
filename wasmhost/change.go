package wasmhost

import (
	"bytes"
	"context"

	"github.com/pfs-project/pfs/vfs"
)

// Changer changes the tree for modules.
type Changer interface {
	// Change makes one change as any client's, in the name of a plugin: all of a
	// file's content is in op.Data, and it is durable once it returns nil.
	Change(ctx context.Context, plugin string, op vfs.Op) error
}

// What a module may change during one call.
const (
	maxWrite   = 4 << 20  // bytes of a file
	maxWritten = 16 << 20 // bytes of all files
)

// change makes a change that the module asks for, as far as it is granted that.
func (a *ask) change(op vfs.Op) error {
	env := a.i.p.env
	named := op.Path
	err := a.mayChange(&op)
	if err != nil {
		err = vfs.At(err, op.Verb.String(), named)
	} else {
		a.i.outside(func() { err = env.change.Change(a.ctx, env.name, op) })
	}
	env.log.Debug("plugin changes the tree", "verb", op.Verb.String(), "path", string(named), "error", err)
	return err
}

// mayChange checks the grant for what op names and for what that leads to, and
// puts the latter into op: nothing else is changed.
func (a *ask) mayChange(op *vfs.Op) error {
	env := a.i.p.env
	paths := []*vfs.Path{&op.Path}
	if op.Verb == vfs.Rename {
		paths = append(paths, &op.To)
	}
	for _, p := range paths {
		if env.change == nil || env.tree == nil || !env.grants.MayWrite(*p) {
			return vfs.Permission.With("no grant to change it")
		}
	}
	if a.i.asks > maxAsks {
		return errAsks
	}
	if a.i.written += int64(len(op.Data)); a.i.written > maxWritten {
		return vfs.Throttled.Withf("a call may write %d bytes", maxWritten)
	}
	img := env.tree.Image()
	defer img.Release()
	for _, p := range paths {
		var real vfs.Path
		var err error
		a.i.outside(func() {
			real, err = img.Resolve(a.ctx, *p, op.Verb == vfs.Write || op.Verb == vfs.Chmod || op.Verb == vfs.Create)
		})
		switch {
		case err != nil:
			return err
		case !env.grants.MayWrite(real):
			return vfs.Permission.With("no grant to change what it leads to")
		case real == env.mount || real.Under(env.mount):
			return vfs.Permission.With("a plugin does not change its own mount")
		}
		*p = real
	}
	return nil
}

// write answers host_fs_write, which replaces the file: how many bytes were
// written, or the text of an error in the high half. The low half of a success is
// never 0, which the SDKs take for a failure.
func (a *ask) write() uint64 {
	err := func() error {
		p, err := a.path(0)
		if err != nil {
			return err
		}
		n := uint32(a.args[2])
		if n > maxWrite {
			return vfs.At(vfs.TooLarge.Withf("a plugin writes at most %d bytes at once", maxWrite), "write", p)
		}
		b, ok := a.i.memory.Read(uint32(a.args[1]), n)
		if !ok {
			return vfs.Invalid.With("data outside of memory")
		}
		return a.change(vfs.Op{Verb: vfs.Write, Path: p, Data: bytes.Clone(b), Flag: replace})
	}()
	if err != nil {
		return a.giveText(worded(err)) << 32
	}
	return max(uint64(uint32(a.args[2])), 1)
}

// changes answers a function with one path, and perhaps a mode: 0, or the text of
// an error.
func changes(verb vfs.Verb, mode bool) func(*ask) uint64 {
	return func(a *ask) uint64 {
		op := vfs.Op{Verb: verb}
		if mode {
			op.Mode = vfs.Mode(a.args[1]).Perm()
		}
		var err error
		if op.Path, err = a.path(0); err == nil {
			err = a.change(op)
		}
		return a.fault(err)
	}
}

func (a *ask) rename() uint64 {
	from, err := a.path(0)
	if err != nil {
		return a.fault(err)
	}
	to, err := a.path(1)
	if err == nil {
		err = a.change(vfs.Op{Verb: vfs.Rename, Path: from, To: to})
	}
	return a.fault(err)
}

// fault hands the text of an error to the module; 0 if there is none.
func (a *ask) fault(err error) uint64 {
	if err == nil {
		return 0
	}
	if at := a.giveText(worded(err)); at != 0 {
		return at
	}
	return noMemory
}

// noMemory is the error of a module that has no memory for its text, as other
// hosts have it.
const noMemory = 1
