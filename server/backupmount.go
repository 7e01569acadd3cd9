package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// mountPrefix of server.backup.dir says that it is a directory of a mount.
const mountPrefix = "pfs:"

const mountTime = time.Minute // for one call that moves no content

// mountTarget keeps backups in a directory of a mount outside the log, such as
// a bucket of s3fs.
type mountTarget struct {
	dir   string // "/s3/backups"
	image func(context.Context, vfs.Level) (*fsm.Image, error)
	files *client.Client // of this node
}

// usable makes the directory, and demands that what is in it is not in the log:
// a backup would hold those before it, and be lost with the cluster.
func (m mountTarget) usable() error {
	p, err := vfs.ParsePath(m.dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), mountTime)
	defer cancel()
	im, err := m.image(ctx, vfs.Level{})
	if err != nil {
		return err
	}
	at, rel, ok := im.Table.Route(p)
	im.Release()
	switch {
	case !ok:
		return fmt.Errorf("server.backup.dir: there is no mount at %s", m.dir)
	case at.Place == vfs.Replicated:
		return fmt.Errorf("server.backup.dir: %s is in the cluster itself; name a directory of a mount such as s3fs or localfs", m.dir)
	}
	return mkdirs(ctx, m.files, at, rel)
}

// Put writes a file, which shows once it is whole, and reads it back.
func (m mountTarget) Put(name string, write func(io.Writer) error) error {
	if err := m.usable(); err != nil {
		return err
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		b := bufio.NewWriterSize(w, 1<<20)
		err := write(b)
		if err == nil {
			err = b.Flush()
		}
		_ = w.CloseWithError(err) // it reports none
		written <- err
	}()
	file := path.Join(m.dir, name)
	_, err := m.files.Write(context.Background(), file, r, -1)
	_ = r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // ends the writer
	if werr := <-written; werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		err = werr
	}
	if err == nil {
		err = m.verify(file)
	}
	if err == nil {
		return nil
	}
	if rerr := m.Remove(name); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

func (m mountTarget) verify(file string) error {
	f, err := m.files.Open(context.Background(), file)
	if err != nil {
		return err
	}
	_, _, err = backup.Verify(bufio.NewReaderSize(f, 1<<20), fsm.CountedBy)
	return errors.Join(err, f.Close())
}

// List returns the names in the directory; none where there is no directory.
func (m mountTarget) List() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), mountTime)
	defer cancel()
	infos, err := m.files.List(ctx, m.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, i := range infos {
		if !i.IsDir {
			names = append(names, i.Name)
		}
	}
	return names, err
}

// Remove removes a file.
func (m mountTarget) Remove(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), mountTime)
	defer cancel()
	return m.files.Remove(ctx, path.Join(m.dir, name))
}
