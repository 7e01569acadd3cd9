package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// HopHeader marks a request to the API that a node has sent on to another: it
// is not sent on again.
const HopHeader = "X-Pfs-Hop"

// ViaHeader has the ids of the clusters that a request has come through, with
// commas between them.
const ViaHeader = "X-Pfs-Via"

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
	// Keys says that the mount of a sibling keeps idempotency keys.
	Keys bool
	// Cluster returns the id of this cluster, which a request to another one
	// carries along; nil for none.
	Cluster func() string
	// Plain reports whether the server is none of ours: one that takes a write
	// with an offset or a condition, and replaces the file. nil: it is one.
	Plain func() bool
	// Servers is how many servers Dial's client knows; 0: one.
	Servers int
	// Tries is how many calls go unanswered, one after the other, before the
	// server is left alone for a while; 0: it never is.
	Tries int
	// Verbs are the changes that are passed on; others are Unsupported.
	Verbs vfs.VerbSet
	// Timeout bounds each call, and how long content may stand still; 0: 8 s.
	Timeout time.Duration
}

// FS is the Device. Safe for concurrent use.
type FS struct {
	c Config
	b breaker
}

var (
	_ vfs.Device   = (*FS)(nil)
	_ vfs.Putter   = (*FS)(nil)
	_ vfs.Streamer = (*FS)(nil)
	_ vfs.Tuner    = (*FS)(nil)
)

// callTime is less than what a node waits for an Op, so that the caller learns
// who did not answer.
const callTime = 8 * time.Second

// New returns the Device.
func New(c Config) *FS {
	if c.Timeout <= 0 {
		c.Timeout = callTime
	}
	most := lastPause
	if c.Sibling {
		most = siblingPause
	}
	return &FS{c: c, b: breaker{tries: c.Tries, most: most}}
}

// within bounds a call.
func (f *FS) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.c.Timeout)
}

// at returns the client, what p is called on the server, and the context for the
// call. If there is no error, told must hear of its end.
func (f *FS) at(ctx context.Context, p vfs.Path) (context.Context, *client.Client, string, error) {
	if f.c.Sibling && vfs.Hopped(ctx) {
		return nil, nil, "", vfs.Unavailable.With("mount is moving, try again")
	}
	via := vfs.Via(ctx)
	if f.c.Cluster != nil {
		via = append(via[:len(via):len(via)], f.c.Cluster())
	}
	if len(via) > 0 {
		ctx = client.WithHeader(ctx, http.Header{ViaHeader: {strings.Join(via, ",")}})
	}
	if vfs.Fresh(ctx) {
		ctx = client.WithFresh(ctx)
	}
	cl, err := f.c.Dial()
	if err == nil {
		if why := f.b.enter(time.Now()); why != nil {
			err = vfs.Unavailable.With(f.silent(why))
		}
	}
	return ctx, cl, string(f.c.Root.Join(p)), err
}

// told drops what the client says of verb and path: the Table adds its own. nil
// is nil.
func (f *FS) told(err error) error {
	f.b.leave(err, time.Now())
	return f.said(err)
}

func (f *FS) said(err error) error {
	var e *client.Error
	var u *client.Unreachable
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && (!errors.Is(err, client.ErrUnknown) || plain(e)):
		return answered(e)
	case errors.Is(err, client.ErrUnknown):
		return &vfs.Unknown{Cause: vfs.Unavailable.With(f.silent(err))}
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
	ctx, cl, name, err := f.at(ctx, p)
	if err != nil {
		return vfs.Info{}, err
	}
	i, err := cl.Stat(ctx, name)
	out := infoOf(i)
	if err == nil && out.Mode.IsLink() {
		err = f.readlink(ctx, cl, p, &out)
	}
	if err = f.told(err); err != nil {
		return vfs.Info{}, err
	}
	out.Name = p.Base()
	return out, nil
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	ctx, cancel := f.within(ctx)
	defer cancel()
	ctx, cl, name, err := f.at(ctx, p)
	if err != nil {
		return nil, err
	}
	page, err := cl.Page(ctx, name, after, limit)
	out := make([]vfs.Info, len(page))
	for i := range page {
		out[i] = infoOf(page[i])
		if err == nil && out[i].Mode.IsLink() {
			err = f.readlink(ctx, cl, p.Child(page[i].Name), &out[i])
		}
	}
	if err = f.told(err); err != nil {
		return nil, err
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
	ctx, cl, name, err := f.at(ctx, p)
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
		_ = f.told(nil)
		return n, io.EOF
	case err == nil:
		err = cerr
	}
	return n, f.told(err)
}
