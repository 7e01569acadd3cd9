package vfstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/pfs-project/pfs/vfs"
)

// Fold is one mount of a plugin without a server: its filesystem, and for a
// Folder the state that its Ops fold into. It is a [Driver] that follows
// symbolic links, which therefore must be relative, and does the work that
// time brings after every change.
type Fold struct {
	FS     vfs.FileSystem
	State  *State
	Chunks *Chunks

	folder vfs.Folder // nil for a Device
	device vfs.Device // nil for a Folder
}

var _ Driver = (*Fold)(nil)

// Open makes a filesystem of the plugin and applies the verb Mount, or starts
// it. A Device is to be closed with [Fold.Close].
func Open(ctx context.Context, s Subject) (*Fold, error) {
	f, err := open(s, NewChunks(), NewState())
	if err != nil {
		return nil, err
	}
	if f.folder != nil {
		if _, err := f.State.Apply(f.folder, vfs.Op{Verb: vfs.Mount, Path: vfs.Root, Data: []byte(s.Plugin.Doc)}); err != nil {
			return nil, fmt.Errorf("verb Mount: %w", err)
		}
	} else if st, ok := f.FS.(vfs.Starter); ok {
		if err := st.Start(ctx); err != nil {
			return nil, fmt.Errorf("Start: %w", err)
		}
	}
	return f, nil
}

// open makes a filesystem over a state that is there.
func open(s Subject, c *Chunks, state *State) (*Fold, error) {
	params := s.Plugin.Params
	if s.Plugin.Open {
		params = s.Config.Named(params)
	}
	if err := s.Config.Check(params); err != nil {
		return nil, err
	}
	place, err := s.Plugin.Place(s.Config)
	if err != nil {
		return nil, fmt.Errorf("Place: %w", err)
	}
	env := vfs.Env{Chunks: c}
	if place != vfs.Replicated {
		env = vfs.Env{Node: "n1", Version: "test", Log: slog.New(slog.DiscardHandler)}
	}
	fs, err := s.Plugin.New(env, s.Config)
	if err != nil {
		return nil, fmt.Errorf("New: %w", err)
	}
	f := &Fold{FS: fs, State: state, Chunks: c}
	if place == vfs.Replicated {
		f.folder, _ = fs.(vfs.Folder)
	} else {
		f.device, _ = fs.(vfs.Device)
	}
	if f.folder == nil && f.device == nil {
		return nil, fmt.Errorf("placement %v and %T do not go together", place, fs)
	}
	return f, nil
}

// Close stops a Device.
func (f *Fold) Close() error {
	if c, ok := f.FS.(io.Closer); ok && f.device != nil {
		return c.Close()
	}
	return nil
}

// view returns the present state; nil for a Device.
func (f *Fold) view() vfs.View {
	if f.folder == nil {
		return nil
	}
	return f.State.View()
}

// apply carries out one Op as it is.
func (f *Fold) apply(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if f.folder == nil {
		return f.device.Do(ctx, op)
	}
	return f.State.Apply(f.folder, op)
}

// follow runs do on p, and again where links lead.
func follow(p vfs.Path, do func(vfs.Path) error) error {
	for range vfs.MaxLinks {
		err := do(p)
		link, ok := err.(*vfs.LinkError)
		if !ok {
			return err
		}
		target := link.Target
		if target != "" && target[0] != '/' {
			target = link.At.Dir().String() + "/" + target
		}
		at, err := vfs.ParsePath(target)
		if err != nil {
			return err
		}
		p = at.Join(link.Rest)
	}
	return vfs.ErrLoop
}

// Do carries out op, and then what a Timer asks for.
func (f *Fold) Do(ctx context.Context, op vfs.Op) (r vfs.Result, err error) {
	if op.Verb == vfs.Write {
		f.Chunks.Fill(&op, op.Data)
	}
	change := func(p vfs.Path) (err error) {
		op.Path = p
		r, err = f.apply(ctx, op)
		return err
	}
	if op.Verb == vfs.Rename {
		// A link on the way to the new name cannot be told from one on the way
		// to the old name, so both directories are followed before.
		for _, p := range []*vfs.Path{&op.Path, &op.To} {
			if *p, err = f.real(ctx, *p); err != nil {
				return vfs.Result{}, err
			}
		}
		err = change(op.Path)
	} else {
		err = follow(op.Path, change)
	}
	if err == nil && f.folder != nil {
		err = f.State.Settle(f.folder)
	}
	return r, err
}

// real follows the links on the way to p. That p is missing is no error.
func (f *Fold) real(ctx context.Context, p vfs.Path) (at vfs.Path, err error) {
	err = follow(p, func(q vfs.Path) error {
		at = q
		_, err := f.FS.Stat(ctx, f.view(), q)
		if vfs.KindOf(err) == vfs.NotFound {
			return nil
		}
		return err
	})
	return at, err
}

// Read returns part of a file.
func (f *Fold) Read(ctx context.Context, p vfs.Path, off, size int64) (b []byte, err error) {
	err = follow(p, func(p vfs.Path) (err error) {
		b, err = readFile(ctx, f.FS, f.view(), p, off, size)
		return err
	})
	return b, err
}

// readFile reads up to size bytes at off, all that follow if size is negative,
// at most maxRead.
func readFile(ctx context.Context, fs vfs.FileSystem, v vfs.View, p vfs.Path, off, size int64) ([]byte, error) {
	if size < 0 || size > maxRead {
		size = maxRead
	}
	var out []byte
	b := make([]byte, 32<<10)
	for size > 0 {
		n, err := fs.ReadAt(ctx, v, p, b[:min(size, int64(len(b)))], off)
		out = append(out, b[:n]...)
		off, size = off+int64(n), size-int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, fmt.Errorf("ReadAt of %s at %d gives nothing and no error", p, off)
		}
	}
	return out, nil
}

// maxRead bounds what is read of a file that may have no end, in bytes.
const maxRead = 4 << 20

// Consume takes what a file has to give, rendered as clients see it.
func (f *Fold) Consume(ctx context.Context, op vfs.Op) ([]byte, error) {
	r, err := f.Do(ctx, op)
	if err != nil {
		return nil, err
	}
	replier, ok := f.FS.(vfs.Replier)
	if !ok {
		return r.Data, nil
	}
	var b bytes.Buffer
	err = replier.Reply(ctx, r, &b)
	return b.Bytes(), err
}

// Stat describes p; a link itself.
func (f *Fold) Stat(ctx context.Context, p vfs.Path) (info vfs.Info, err error) {
	err = follow(p, func(p vfs.Path) (err error) {
		info, err = f.FS.Stat(ctx, f.view(), p)
		return err
	})
	return info, err
}

// List returns the entries of a directory.
func (f *Fold) List(ctx context.Context, p vfs.Path) (infos []vfs.Info, err error) {
	err = follow(p, func(p vfs.Path) (err error) {
		infos, err = f.FS.List(ctx, f.view(), p, "", 0)
		return err
	})
	return infos, err
}

// Readlink returns the target of a link; NotFound for anything else.
func (f *Fold) Readlink(ctx context.Context, p vfs.Path) (string, error) {
	info, err := f.Stat(ctx, p)
	if err == nil && !info.Mode.IsLink() {
		err = vfs.NotFound
	}
	return info.Target, err
}
