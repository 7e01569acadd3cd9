package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// part reads up to size bytes of a place.
func (s *Server) part(ctx context.Context, p place, off, size int64) ([]byte, error) {
	r, err := s.cfg.Client.OpenRange(ctx, string(p.path), client.Range{Off: off, Size: size}, s.same(p)...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, size))
}

type agfsCp struct {
	Src       string `json:"src"`
	Dst       string `json:"dst"`
	Recursive bool   `json:"recursive,omitempty"`
	Stream    bool   `json:"stream,omitempty" jsonschema:"copies are always streamed"`
}

func (s *Server) agfsCp(ctx context.Context, in agfsCp) (string, error) {
	src, err := s.found(ctx, in.Src, true)
	if err != nil {
		return "", err
	}
	dst, err := s.parse(in.Dst)
	if err != nil {
		return "", err
	}
	if dst.Under(src.named) {
		return "", vfs.Invalid.Withf("%s cannot be copied into itself", src.named)
	}
	n, err := s.each(ctx, src, in.Recursive, func(p place, rel vfs.Path) error { return s.copyFile(ctx, p, dst.Join(rel)) },
		func(rel vfs.Path) error { return s.makeDir(ctx, dst.Join(rel)) })
	return fmt.Sprintf("Copied %d files to %s", n, dst), err
}

type agfsMove struct {
	Local     string `json:"local_path"`
	Remote    string `json:"remote_path"`
	Recursive bool   `json:"recursive,omitempty"`
	Stream    bool   `json:"stream,omitempty" jsonschema:"copies are always streamed"`
}

// local refuses what reaches the disk of the machine where that is not the agent's.
func (s *Server) local() error {
	if s.cfg.Local {
		return nil
	}
	return hint(vfs.Permission.With("this server has no local files for agents"), "Write and read the content itself")
}

func (s *Server) agfsUpload(ctx context.Context, in agfsMove) (string, error) {
	dst, err := s.parse(in.Remote)
	if err = errors.Join(s.local(), err); err != nil {
		return "", err
	}
	st, err := os.Stat(in.Local)
	if err == nil && st.IsDir() && !in.Recursive {
		err = hint(vfs.IsDirectory.Withf("%s is a directory", in.Local), "Set recursive to upload what is below it")
	}
	if err != nil {
		return "", err
	}
	n := 0
	err = filepath.WalkDir(in.Local, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(in.Local, name)
		if err != nil {
			return err
		}
		to := dst.Join(vfs.Path("/" + filepath.ToSlash(rel)))
		switch {
		case rel == ".":
			to = dst
		case d.Type()&fs.ModeSymlink != 0:
			return nil // it may lead anywhere
		}
		if d.IsDir() {
			return s.makeDir(ctx, to)
		}
		n++
		return s.upload(ctx, name, to)
	})
	return fmt.Sprintf("Uploaded %d files to %s", n, dst), err
}

func (s *Server) upload(ctx context.Context, name string, to vfs.Path) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = vfs.Invalid.Withf("%s is not a regular file", name)
	}
	if err != nil {
		return err
	}
	return s.store(ctx, to, f)
}

func (s *Server) agfsDownload(ctx context.Context, in agfsMove) (string, error) {
	if err := s.local(); err != nil {
		return "", err
	}
	src, err := s.found(ctx, in.Remote, true)
	if err != nil {
		return "", err
	}
	at := func(rel vfs.Path) string { return filepath.Join(in.Local, filepath.FromSlash(string(rel))) }
	n, err := s.each(ctx, src, in.Recursive, func(p place, rel vfs.Path) error { return s.download(ctx, p, at(rel)) },
		func(rel vfs.Path) error { return os.MkdirAll(at(rel), 0o755) })
	return fmt.Sprintf("Downloaded %d files to %s", n, in.Local), err
}

// download writes a file of the disk, whole or not at all.
func (s *Server) download(ctx context.Context, p place, name string) error {
	r, err := s.open(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".pfs-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chmod(fs.FileMode(p.info.Mode).Perm()), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// each goes through a file, or all below a directory. Links, and files that are there
// to command something or have no end, are passed over.
func (s *Server) each(ctx context.Context, src place, recursive bool, file func(place, vfs.Path) error, dir func(vfs.Path) error) (n int, err error) {
	if !src.info.IsDir {
		if _, err := s.readable(ctx, string(src.named)); err != nil {
			return 0, err
		}
		return 1, file(src, vfs.Root)
	}
	if !recursive {
		return 0, hint(vfs.IsDirectory.Withf("%s is a directory", src.named), "Set recursive to copy what is below it")
	}
	var walk func(at, rel vfs.Path) error
	walk = func(at, rel vfs.Path) error {
		if err := dir(rel); err != nil {
			return err
		}
		for i, err := range s.cfg.Client.Entries(ctx, string(at)) {
			switch {
			case err != nil:
				return err
			case i.IsLink() || !i.IsDir && i.Control():
				continue
			case i.IsDir:
				err = walk(at.Child(i.Name), rel.Child(i.Name))
			default:
				n++
				err = file(place{src.named.Join(rel).Child(i.Name), at.Child(i.Name), &i}, rel.Child(i.Name))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	err = walk(src.path, vfs.Root)
	return n, err
}

// makeDir makes a directory where an agent names one.
func (s *Server) makeDir(ctx context.Context, dir vfs.Path) error {
	p, err := s.at(ctx, string(dir), true)
	if err != nil {
		return err
	}
	return s.mkdirs(ctx, p.path)
}

// copyFile copies a file to where an agent names one.
func (s *Server) copyFile(ctx context.Context, p place, to vfs.Path) error {
	r, err := s.open(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	return s.store(ctx, to, r)
}

// store streams content to where an agent names a file, with missing directories.
func (s *Server) store(ctx context.Context, to vfs.Path, r io.Reader) error {
	p, err := s.at(ctx, string(to), true)
	if err != nil {
		return err
	}
	if p.info == nil {
		if err := s.mkdirs(ctx, p.path.Dir()); err != nil {
			return err
		}
	}
	_, err = s.cfg.Client.Write(ctx, string(p.path), r, -1, s.same(p)...)
	return err
}
