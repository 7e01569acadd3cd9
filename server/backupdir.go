package server

import (
	"bufio"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/fsm"
)

// dirTarget keeps backups in a directory, which other nodes may share.
type dirTarget struct{ dir, node string }

// part is how names end until all of the file is durable and was read back. It
// names the node, so that each removes only what it left itself.
func (d dirTarget) part() string { return "." + url.PathEscape(d.node) + ".part" }

// Put writes, syncs, reads back and renames a file.
func (d dirTarget) Put(name string, write func(io.Writer) error) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if err := d.clean(); err != nil {
		return err
	}
	temp := filepath.Join(d.dir, name+d.part())
	err := d.fill(temp, write)
	if err == nil {
		err = verifyFile(temp)
	}
	if err == nil {
		err = os.Rename(temp, filepath.Join(d.dir, name))
	}
	if err != nil {
		return errors.Join(err, removeAny(temp))
	}
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can
	return dir.Close()
}

// clean removes what an earlier process of this node has left half-written.
func (d dirTarget) clean() error {
	names, err := d.List()
	for _, name := range names {
		if strings.HasPrefix(name, "pfs-") && strings.HasSuffix(name, backup.Suffix+d.part()) {
			err = errors.Join(err, removeAny(filepath.Join(d.dir, name)))
		}
	}
	return err
}

func removeAny(file string) error {
	if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d dirTarget) fill(file string, write func(io.Writer) error) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func verifyFile(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	_, _, err = backup.Verify(bufio.NewReaderSize(f, 1<<20), fsm.CountedBy)
	return errors.Join(err, f.Close())
}

// List returns the names of the plain files.
func (d dirTarget) List() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Remove removes a file.
func (d dirTarget) Remove(name string) error { return os.Remove(filepath.Join(d.dir, name)) }
