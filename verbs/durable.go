package verbs

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// durable is a target that keeps names through a loss of power only once it was told to.
// A server has done so before it answers.
type durable interface {
	syncDir(rel string) error            // of what was made in a directory
	syncAbove(ctx context.Context) error // of the names that lead to the root, if they are new
}

// persistNames makes durable that all that was copied has its names.
func (k *leg) persistNames(ctx context.Context) error {
	d, ok := k.dst.(durable)
	if !ok {
		return nil
	}
	dirs := k.moved.dirs
	if len(dirs) == 0 {
		dirs = []string{"."} // of the one file
	}
	for _, dir := range dirs {
		if err := cmp.Or(ctx.Err(), d.syncDir(dir)); err != nil {
			return err
		}
	}
	return d.syncAbove(ctx)
}

func (t *localTree) syncDir(rel string) error {
	d, err := t.root.Open(filepath.FromSlash(rel))
	return syncNames(d, err)
}

func (t *localTree) syncAbove(ctx context.Context) error {
	for _, dir := range t.above {
		d, err := os.Open(dir)
		if err = syncNames(d, err); errors.Is(err, fs.ErrPermission) {
			err = nil // who may make names in it may not read it, which is to sync it
		}
		if err = cmp.Or(ctx.Err(), err); err != nil {
			return err
		}
	}
	return nil
}

// holders returns the directories in which names are new once dir and what is above it are
// made, from the inmost on. That of dir is one of them also if dir is there: a move that was
// interrupted may have made it.
func holders(dir string) (out []string) {
	for dir = filepath.Clean(dir); ; {
		dir = filepath.Dir(dir)
		out = append(out, dir)
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return out
		}
	}
}

// syncNames syncs a directory and closes it; err is that of opening it.
func syncNames(d *os.File, err error) error {
	if err != nil {
		return err
	}
	if err = syncFile(d); errors.Is(err, fs.ErrPermission) {
		err = nil // not every system can, of directories
	}
	return errors.Join(err, d.Close())
}

// syncFile makes durable what was written, where the filesystem can.
func syncFile(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
