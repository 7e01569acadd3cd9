package prochost

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// backend is a process that serves a filesystem. began is the time of files that
// have none.
type backend interface {
	supervise.Instance
	stat(ctx context.Context, p vfs.Path, began time.Time) (vfs.Info, error)
	// list returns all names, or those after `after`, at least limit of them if
	// there are and it is not 0; in order.
	listAfter(ctx context.Context, p vfs.Path, after string, limit int, began time.Time) ([]vfs.Info, error)
	read(ctx context.Context, p vfs.Path, b []byte, off int64, began time.Time) (int, error)
	do(ctx context.Context, op vfs.Op, began time.Time) (vfs.Result, error)
}

// placer is a backend that takes whole files. Reading r does not fail.
type placer interface {
	put(ctx context.Context, op vfs.Op, r io.ReadSeeker, began time.Time) (int64, error)
}

// maxPut is how long a whole file may be that waits here for its end, in bytes.
const maxPut = 256 << 20

// shortPut is how long one may be that waits in memory, in bytes.
const shortPut = 64 << 10

// maxSpools is how many such files wait at once.
const maxSpools = 8

// readers is how many reads run at once; a change of a backend that cannot have
// both waits for all of them.
const readers = 16

// FS is one mount of a process plugin.
type FS struct {
	host   *Host
	lib    vfs.Library
	env    vfs.Env
	config vfs.Config
	code   func(context.Context) ([]byte, error)
	began  time.Time

	write chan struct{} // holds one during a change
	reads chan struct{} // holds one for each read, and all during a change, if that must be alone
	alone bool
	spool chan struct{} // holds one for each file that waits for its end
	whole bool          // it takes whole files in one call
	keep  *supervise.Supervisor[backend]
}

var (
	_ vfs.Device  = (*FS)(nil)
	_ vfs.Putter  = (*FS)(nil)
	_ vfs.Starter = (*FS)(nil)
	_ vfs.Stater  = (*FS)(nil)
	_ io.Closer   = (*FS)(nil)
)

// Start starts the process: a mount whose settings it refuses does not start.
func (f *FS) Start(ctx context.Context) error {
	limits, err := bounded(f.lib.Kind, f.lib.Limits)
	if err != nil {
		return err
	}
	f.lib.Limits = limits
	code, err := f.code(ctx)
	if err != nil {
		return err
	}
	start, err := f.starter(ctx, code)
	if err != nil {
		return err
	}
	f.began = time.Now().UTC().Truncate(time.Second)
	told := func(ctx context.Context) (backend, error) {
		f.env.Starts()
		return start(ctx)
	}
	plan := f.host.Plan
	plan.Start, plan.Idle = startTime, limits.Idle
	if f.lib.Kind == Module {
		plan.Start = moduleTime
	}
	f.keep = supervise.New(told, plan, f.env.Log)
	if err := f.keep.Start(ctx); err != nil {
		f.keep.Close()
		f.keep = nil
		return err
	}
	return nil
}

// Close ends the process. No call is under way.
func (f *FS) Close() error {
	if f.keep != nil {
		f.keep.Close()
	}
	return nil
}

// MountState says how the process fares. It is called between Start and Close.
func (f *FS) MountState() vfs.MountState { return f.keep.MountState() }

// errBusy is for who waits for longer than the client does.
var errBusy = vfs.Throttled.With("the plugin is busy")

// get runs a call that changes nothing.
func (f *FS) get(ctx context.Context, do func(context.Context, backend) error) error {
	if f.keep == nil {
		return vfs.Unavailable.With("the plugin is not started")
	}
	select {
	case f.reads <- struct{}{}:
		defer func() { <-f.reads }()
	case <-ctx.Done():
		return errBusy
	}
	return f.keep.Use(ctx, do)
}

// change runs a call that changes something: one at a time, as it looks first.
func (f *FS) change(ctx context.Context, do func(context.Context, backend) error) error {
	if f.keep == nil {
		return vfs.Unavailable.With("the plugin is not started")
	}
	select {
	case f.write <- struct{}{}:
		defer func() { <-f.write }()
	case <-ctx.Done():
		return errBusy
	}
	for n := 0; f.alone && n < readers; n++ {
		select {
		case f.reads <- struct{}{}:
			defer func() { <-f.reads }()
		case <-ctx.Done():
			return errBusy
		}
	}
	return f.keep.Use(ctx, do)
}

// Stat describes the file at p.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (i vfs.Info, err error) {
	defer supervise.KeepBack(ctx, &err)
	err = f.get(ctx, func(ctx context.Context, b backend) (err error) {
		i, err = b.stat(ctx, p, f.began)
		return err
	})
	return i, err
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) (out []vfs.Info, err error) {
	defer supervise.KeepBack(ctx, &err)
	err = f.get(ctx, func(ctx context.Context, b backend) (err error) {
		out, err = b.listAfter(ctx, p, after, limit, f.began)
		return err
	})
	return vfs.Page(out, after, limit), err
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (n int, err error) {
	defer supervise.KeepBack(ctx, &err)
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	err = f.get(ctx, func(ctx context.Context, from backend) (err error) {
		n, err = from.read(ctx, p, b, off, f.began)
		return err
	})
	return n, err
}

// Do makes one change.
func (f *FS) Do(ctx context.Context, op vfs.Op) (r vfs.Result, err error) {
	defer supervise.KeepBack(ctx, &err)
	if !f.lib.Verbs.Has(op.Verb) || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	if op.Verb == vfs.Truncate && op.Off < 0 {
		return vfs.Result{}, vfs.Invalid.With("negative size")
	}
	err = f.change(ctx, func(ctx context.Context, b backend) (err error) {
		if err = f.check(ctx, b, op); err == nil {
			r, err = b.do(ctx, op, f.began)
		}
		return err
	})
	return r, err
}

// Put takes a whole file, where the plugin takes those in one call, and waits for its
// end first: a client that breaks off changes nothing, and a slow one keeps no other
// change waiting.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (res vfs.Result, err error) {
	defer supervise.KeepBack(ctx, &err)
	if !f.lib.Verbs.Has(vfs.Write) || !f.whole {
		return res, vfs.Unsupported
	}
	body, done, err := f.wait(r)
	if err != nil {
		return res, err
	}
	defer done()
	err = f.change(ctx, func(ctx context.Context, b backend) (err error) {
		if err = f.check(ctx, b, op); err == nil {
			res.N, err = b.(placer).put(ctx, op, body, f.began)
		}
		return err
	})
	return res, err
}

// wait takes all of r: what is short into memory, the rest into a file without a name.
func (f *FS) wait(r io.Reader) (body io.ReadSeeker, done func(), err error) {
	head := bytes.Buffer{}
	switch _, err := io.CopyN(&head, r, shortPut); err {
	case io.EOF:
		return bytes.NewReader(head.Bytes()), func() {}, nil
	case nil:
	default:
		return nil, nil, err
	}
	select {
	case f.spool <- struct{}{}:
	default:
		return nil, nil, vfs.Throttled.With("too many files are being sent to the plugin")
	}
	spool, err := os.CreateTemp("", "pfs-put-")
	if err != nil {
		<-f.spool
		return nil, nil, err
	}
	over := func() {
		spool.Close() // nothing of it is needed any more
		<-f.spool
	}
	if err = fill(spool, io.MultiReader(&head, r)); err != nil {
		over()
		return nil, nil, err
	}
	return spool, over, nil
}

// fill takes all of r into a file, which loses its name.
func fill(spool *os.File, r io.Reader) error {
	if err := os.Remove(spool.Name()); err != nil {
		return err
	}
	n, err := io.Copy(spool, io.LimitReader(r, maxPut+1))
	if err == nil && n > maxPut {
		err = vfs.TooLarge.Withf("this plugin takes at most %d bytes at once", maxPut)
	}
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	return err
}

// check compares what is there with what the change expects.
func (f *FS) check(ctx context.Context, b backend, op vfs.Op) error {
	if op.If.Kind == vfs.Always {
		return nil
	}
	_, err := b.stat(ctx, op.Path, f.began)
	return op.If.Unversioned(err)
}
