package remote

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// HopHeader marks a request to the API that a node has sent on to another: it
// is not sent on again.
const HopHeader = "X-Pfs-Hop"

// Config says whose files they are.
type Config struct {
	Name string // of the server, for errors
	// Dial returns the client to use for the next call.
	Dial func() (*client.Client, error)
	// Root is the directory of the server that is the root here.
	Root vfs.Path
	// Sibling says that the server is a node of this cluster: a request that
	// came from one is not sent on to another.
	Sibling bool
	// Verbs are the changes that are passed on; others are Unsupported.
	Verbs vfs.VerbSet
	// Timeout bounds each call, and how long content may stand still; 0: 8 s.
	Timeout time.Duration
}

// FS is the Device. Safe for concurrent use.
type FS struct{ c Config }

var (
	_ vfs.Device   = (*FS)(nil)
	_ vfs.Putter   = (*FS)(nil)
	_ vfs.Streamer = (*FS)(nil)
)

// callTime is less than what a node waits for an Op, so that the caller learns
// who did not answer.
const callTime = 8 * time.Second

// New returns the Device.
func New(c Config) *FS {
	if c.Timeout <= 0 {
		c.Timeout = callTime
	}
	return &FS{c}
}

// within bounds a call.
func (f *FS) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.c.Timeout)
}

// at returns the client, and what p is called on the server.
func (f *FS) at(ctx context.Context, p vfs.Path) (*client.Client, string, error) {
	if f.c.Sibling && vfs.Hopped(ctx) {
		return nil, "", vfs.Unavailable.With("mount is moving, try again")
	}
	cl, err := f.c.Dial()
	return cl, string(f.c.Root.Join(p)), err
}

// told drops what the client says of verb and path: the Table adds its own.
func (f *FS) told(err error) error {
	var e *client.Error
	var u *client.Unreachable
	switch {
	case err == nil:
		return nil
	case errors.Is(err, client.ErrUnknown):
		return &vfs.Unknown{Cause: vfs.Unavailable.With(f.silent(err))}
	case errors.As(err, &e):
		return &vfs.Error{Kind: vfs.KindOf(e), Reason: e.Message, Version: version(e.ETag)}
	case errors.As(err, &u):
		return vfs.Unavailable.With(f.silent(u))
	}
	return err
}

func (f *FS) silent(err error) string { return f.c.Name + " does not answer: " + err.Error() }

func version(etag string) uint64 {
	n, _ := strconv.ParseUint(strings.Trim(etag, `"`), 10, 64) // 0: not kept
	return n
}

func infoOf(i client.Info) vfs.Info {
	out := vfs.Info{Name: i.Name, Size: i.Size, Mode: vfs.Mode(i.Mode) & vfs.ModePerm, ModTime: i.ModTime.UTC(),
		Version: version(i.ETag), Meta: vfs.Meta{Name: i.Meta.Name, Type: i.Meta.Type, Content: i.Meta.Content}}
	switch {
	case i.IsLink():
		out.Mode = vfs.ModeLink | 0o777
	case i.IsDir:
		out.Mode |= vfs.ModeDir
	}
	return out
}

// Stat describes the file at p, a link itself.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	ctx, cancel := f.within(ctx)
	defer cancel()
	cl, name, err := f.at(ctx, p)
	if err != nil {
		return vfs.Info{}, err
	}
	i, err := cl.Stat(ctx, name)
	if err != nil {
		return vfs.Info{}, f.told(err)
	}
	out := infoOf(i)
	if out.Mode.IsLink() {
		if out.Target, err = cl.Readlink(ctx, name); err != nil {
			return vfs.Info{}, f.told(err)
		}
	}
	out.Name = p.Base()
	return out, nil
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	ctx, cancel := f.within(ctx)
	defer cancel()
	cl, name, err := f.at(ctx, p)
	if err != nil {
		return nil, err
	}
	page, err := cl.Page(ctx, name, after, limit)
	if err != nil {
		return nil, f.told(err)
	}
	out := make([]vfs.Info, len(page))
	for i := range page {
		out[i] = infoOf(page[i])
		if !out[i].Mode.IsLink() {
			continue
		}
		if out[i].Target, err = cl.Readlink(ctx, string(f.c.Root.Join(p.Child(page[i].Name)))); err != nil {
			return nil, f.told(err)
		}
	}
	return out, nil
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	case len(b) == 0:
		return 0, nil
	}
	ctx, cancel := f.within(ctx)
	defer cancel()
	cl, name, err := f.at(ctx, p)
	if err != nil {
		return 0, err
	}
	r, err := cl.OpenRange(ctx, name, client.Range{Off: off, Size: int64(len(b))})
	if err != nil {
		return 0, f.told(err)
	}
	n, err := io.ReadFull(r, b)
	cerr := r.Close()
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // one that was cut off has the client's wrapping
		return n, io.EOF
	case err == nil:
		err = cerr
	}
	return n, f.told(err)
}
