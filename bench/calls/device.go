package calls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pfs-project/pfs/vfs"
)

// fileName is what the file is called that is written.
const fileName = "pfs-bench"

// maxLook is how many files of a plugin are looked at to find one to read.
const maxLook = 1000

// device is the plugin, asked as the API asks it.
type device struct {
	vfs.Device
	verbs  vfs.VerbSet
	pieces bool // whole files are more than it takes at once
}

func (d *device) stat(ctx context.Context, p vfs.Path) (vfs.Info, error) { return d.Stat(ctx, nil, p) }

func (d *device) list(ctx context.Context, p vfs.Path) ([]vfs.Info, error) {
	return d.List(ctx, nil, p, "", 0)
}

func (d *device) readAt(ctx context.Context, p vfs.Path, b []byte, off int64) (int, error) {
	return d.ReadAt(ctx, nil, p, b, off)
}

// write replaces a file with a few bytes, as a PUT does.
func (d *device) write(ctx context.Context, p vfs.Path, data []byte) error {
	op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate}
	if done, err := d.whole(ctx, op, bytes.NewReader(data)); done {
		return err
	}
	op.Data = data
	_, err := d.Do(ctx, op)
	return err
}

// whole replaces a file with all of r, if the plugin takes whole files.
func (d *device) whole(ctx context.Context, op vfs.Op, r io.Reader) (done bool, err error) {
	w, ok := d.Device.(vfs.Putter)
	if !ok || d.pieces {
		return false, nil
	}
	_, err = w.Put(ctx, op, r)
	return vfs.KindOf(err) != vfs.Unsupported, err
}

// put replaces a file with a stream: as one where the plugin takes that, in pieces
// otherwise.
func (d *device) put(ctx context.Context, p vfs.Path, r io.Reader) error {
	op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate}
	if done, err := d.whole(ctx, op, r); done {
		return err
	}
	buf := make([]byte, vfs.MaxInline)
	for first := true; ; first = false {
		n, err := io.ReadFull(r, buf)
		if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if n > 0 || first {
			op.Data = buf[:n]
			if _, err := d.Do(ctx, op); err != nil {
				return err
			}
			op.Off += int64(n)
			op.Flag = vfs.FlagCreate
		}
		if err != nil {
			return nil
		}
	}
}

// sample is what of the plugin is measured.
type sample struct {
	dir, file vfs.Path // file: "" if there is none to read
	size      int64    // of the file
	entries   int      // in dir
	writable  bool
	why       string // it is not written to
	unread    error  // the first one of reading, if no file can be read
}

// find looks for a directory that takes a file; if none does, for a file that can
// be read.
func (d *device) find(ctx context.Context) (sample, error) {
	s := sample{dir: vfs.Root}
	dirs, files, err := d.look(ctx)
	if err != nil {
		return s, err
	}
	s.why = "it takes no writes"
	for _, dir := range dirs {
		if !d.verbs.Has(vfs.Write) {
			break
		}
		err := d.write(ctx, dir.Child(fileName), make([]byte, small))
		if err == nil {
			s.dir, s.file, s.size, s.writable, s.why = dir, dir.Child(fileName), small, true, ""
			return s, d.count(ctx, &s)
		}
		s.why = fmt.Sprintf("it takes no new file: %v", err)
	}
	for _, f := range files {
		b := make([]byte, small)
		n, err := d.readAt(ctx, f, b, 0)
		if err == io.EOF {
			err = nil
		}
		if n > 0 && err == nil {
			s.dir, s.file, s.size, s.unread = f.Dir(), f, int64(n), nil
			break
		}
		if s.unread == nil {
			s.unread = err
		}
	}
	return s, d.count(ctx, &s)
}

// clear removes the file that was written.
func (d *device) clear(ctx context.Context, s sample) error {
	if !d.verbs.Has(vfs.Remove) {
		return vfs.Unsupported.With("it removes nothing")
	}
	_, err := d.Do(ctx, vfs.Op{Verb: vfs.Remove, Path: s.file})
	return err
}

func (d *device) count(ctx context.Context, s *sample) error {
	infos, err := d.list(ctx, s.dir)
	s.entries = len(infos)
	return err
}

// look walks what the plugin shows, the nearest first.
func (d *device) look(ctx context.Context) (dirs, files []vfs.Path, err error) {
	dirs = []vfs.Path{vfs.Root}
	for i := 0; i < len(dirs) && len(dirs)+len(files) < maxLook; i++ {
		infos, err := d.list(ctx, dirs[i])
		if err != nil {
			if i == 0 {
				return nil, nil, err
			}
			continue // one that cannot be listed is not measured
		}
		for _, info := range infos {
			p := dirs[i].Child(info.Name)
			switch {
			case info.IsDir():
				dirs = append(dirs, p)
			case !info.Consumes() && !info.Mode.IsLink() && info.Size > 0:
				files = append(files, p)
			}
		}
	}
	return dirs, files, nil
}
