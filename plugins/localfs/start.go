package localfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Start opens the directory.
func (f *FS) Start(context.Context) error {
	st, err := os.Stat(f.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return vfs.Invalid.Withf("local_dir does not exist on node %s: %s", f.node, f.dir)
	case err != nil:
		return kindOf(err)
	case !st.IsDir():
		return vfs.Invalid.Withf("local_dir is not a directory: %s", f.dir)
	}
	if err := f.apart(); err != nil {
		return err
	}
	f.started = time.Now().UTC()
	f.root, err = os.OpenRoot(f.dir)
	return kindOf(err)
}

// apart refuses a directory that holds the node's own, or lies in it.
func (f *FS) apart() error {
	if f.data == "" {
		return nil
	}
	dir, err := real(f.dir)
	if err != nil {
		return kindOf(err)
	}
	own, err := real(f.data)
	if err != nil {
		return kindOf(err)
	}
	if inside(dir, own) || inside(own, dir) {
		return vfs.Permission.With("local_dir must not hold the data directory of the node, or lie in it")
	}
	return nil
}

func real(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	return dir, err
}

// inside reports whether p is dir or lies below it; both are clean.
func inside(p, dir string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Close lets the directory go.
func (f *FS) Close() error {
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}
