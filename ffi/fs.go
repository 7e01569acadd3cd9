package ffi

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// FS is one mount of a library.
type FS struct {
	host   *Host
	lib    vfs.Library
	env    vfs.Env
	config vfs.Config
	code   func(context.Context) ([]byte, error)
	began  time.Time // what files have for a time that have none
	runs   *supervise.Supervisor[*child]
}

var (
	_ vfs.Device  = (*FS)(nil)
	_ vfs.Putter  = (*FS)(nil)
	_ vfs.Starter = (*FS)(nil)
	_ vfs.Stater  = (*FS)(nil)
	_ io.Closer   = (*FS)(nil)
)

// Start loads the library: a mount whose settings it refuses does not start.
func (f *FS) Start(ctx context.Context) (err error) {
	if f.lib.Limits, err = bounded(f.lib.Limits); err != nil {
		return err
	}
	f.began = time.Now().UTC().Truncate(time.Second)
	plan := f.host.Plan
	plan.Start, plan.Calls = startTime, 2*f.lib.Limits.Instances
	f.runs = supervise.New(f.load, plan, f.env.Log)
	return f.runs.Start(ctx)
}

// load makes a process with an instance.
func (f *FS) load(ctx context.Context) (*child, error) {
	code, err := f.code(ctx)
	if err != nil {
		return nil, err
	}
	settings := maps.Clone(map[string]any(f.config))
	if settings == nil {
		settings = map[string]any{}
	}
	settings["mount_path"] = string(f.env.Mount)
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, vfs.Invalid.With(err.Error())
	}
	c, _, err := f.host.spawn(ctx, code, Settings{Config: string(text)}, f.lib, f.env.Log)
	return c, err
}

// Close ends the mount. No call is under way.
func (f *FS) Close() error {
	if f.runs != nil {
		f.runs.Close()
	}
	return nil
}

// MountState says how the process fares. It is called after Start.
func (f *FS) MountState() vfs.MountState { return f.runs.MountState() }

// maxTries is how many processes may end under a call before it has begun.
const maxTries = 5

// ask makes one call, of which at most answer bytes come back.
func (f *FS) ask(ctx context.Context, k kind, body []byte, answer int64) (out []byte, err error) {
	if f.runs == nil {
		return nil, vfs.Unavailable.With("the plugin is not started")
	}
	for range maxTries {
		err = f.runs.Use(ctx, func(ctx context.Context, c *child) (err error) {
			out, err = c.call(ctx, request{k, body, answer, f.lib.Limits.Call})
			return err
		})
		if !errors.Is(err, errEnded) {
			return out, err
		}
	}
	return nil, vfs.Unavailable.With("the plugin ends again and again")
}

// Stat describes the file at p.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	b, err := f.ask(ctx, askStat, []byte(p), maxInfo)
	if err != nil {
		return vfs.Info{}, err
	}
	i, err := wire.Info(b)
	if err != nil {
		return i, errAnswer
	}
	i, err = f.checked(i, p.Base())
	if err == nil && p.IsRoot() && !i.IsDir() {
		err = vfs.Crashed.With("the plugin is wrong: its root is no directory")
	}
	return i, err
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	body := binary.BigEndian.AppendUint32(nil, uint32(min(max(limit, 0), maxNames)))
	body = binary.BigEndian.AppendUint32(body, uint32(len(p)))
	b, err := f.ask(ctx, askList, append(append(body, p...), after...), maxFrame)
	if err != nil {
		return nil, err
	}
	infos, err := readList(b)
	if err != nil {
		return nil, errAnswer
	}
	return f.checkedList(infos, after, limit)
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	for {
		size := min(len(b)-n, maxRead)
		body := binary.BigEndian.AppendUint64(nil, uint64(off)+uint64(n))
		body = binary.BigEndian.AppendUint32(body, uint32(size))
		out, err := f.ask(ctx, askRead, append(body, p...), int64(size)+1)
		switch {
		case err != nil:
			return n, err
		case len(out) == 0 || len(out) == 1 && out[0] == 0 && size > 0:
			return n, errAnswer
		}
		end := out[len(out)-1] != 0
		n += copy(b[n:], out[:len(out)-1])
		if end && n < len(b) {
			return n, io.EOF
		}
		if n == len(b) {
			return n, nil
		}
	}
}

// Do makes one change.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if !f.lib.Verbs.Has(op.Verb) || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	if len(op.Data) > maxPut {
		return vfs.Result{}, errPut
	}
	b, err := f.ask(ctx, askDo, wire.AppendOp(nil, op), maxInfo)
	if err != nil {
		return vfs.Result{}, err
	}
	r, err := wire.Result(b)
	if err != nil || r.N < 0 || r.N > int64(len(op.Data)) {
		return vfs.Result{}, errAnswer
	}
	return vfs.Result{N: r.N}, nil
}

// Put writes a whole file with one call, as the ABI means it. What is longer than
// a library can be expected to take is TooLarge.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if !f.lib.Verbs.Has(vfs.Write) {
		return vfs.Result{}, vfs.Unsupported
	}
	most := min(maxPut, f.lib.Limits.Memory/4)
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return vfs.Result{}, err
	}
	if int64(len(b)) > most {
		return vfs.Result{}, vfs.TooLarge.Withf("this plugin takes at most %d bytes at once; write pieces at an offset", most)
	}
	op.Data, op.Off = b, 0
	op.Flag |= replace
	return f.Do(ctx, op)
}
