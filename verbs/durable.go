package verbs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// durable is a target that keeps what was copied through a loss of power only once
// it was told to. A server has done so before it answers.
type durable interface {
	sync(rel string) error // of a file, or of what was made in a directory
	syncAbove() error      // of the names that lead to the root
}

// persist makes the copy of a file durable, if its source is to be removed.
func (k *leg) persist(to string) error {
	if d, ok := k.dst.(durable); ok && k.moved != nil {
		return d.sync(to)
	}
	return nil
}

// persistNames makes durable that all that was copied has its names.
func (k *leg) persistNames() error {
	d, ok := k.dst.(durable)
	if !ok {
		return nil
	}
	dirs := k.moved.dirs
	if len(dirs) == 0 {
		dirs = []string{"."} // of the one file
	}
	for _, dir := range dirs {
		if err := d.sync(dir); err != nil {
			return err
		}
	}
	return d.syncAbove()
}

func (t *localTree) sync(rel string) error {
	rel = filepath.FromSlash(rel)
	f, err := t.root.OpenFile(rel, os.O_WRONLY, 0) // not every system syncs what is read
	if err != nil {
		f, err = t.root.Open(rel)
	}
	return syncAndClose(f, err)
}

// syncAbove goes up to the root of the machine: any of the directories may be new.
func (t *localTree) syncAbove() error {
	at, err := filepath.Abs(t.root.Name())
	for err == nil && filepath.Dir(at) != at {
		at = filepath.Dir(at)
		f, oerr := os.Open(at)
		if errors.Is(oerr, fs.ErrPermission) {
			continue // it is not of this move
		}
		err = syncAndClose(f, oerr)
	}
	return err
}

// syncAndClose makes durable what was opened; err is that of opening it.
func syncAndClose(f *os.File, err error) error {
	if err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		if st, serr := f.Stat(); serr == nil && st.IsDir() && (errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)) {
			err = nil // not every filesystem can, of directories
		}
	}
	return errors.Join(err, f.Close())
}
