package ffi

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// far reaches an instance in a process.
type far struct {
	f    *FS
	runs *supervise.Supervisor[*child]
}

var _ reach = (*far)(nil)

func newFar(f *FS) *far {
	r := &far{f: f}
	plan := f.host.Plan
	plan.Start, plan.Calls = startTime, 2*f.lib.Limits.Instances
	r.runs = supervise.New(r.load, plan, f.env.Log)
	return r
}

func (r *far) start(ctx context.Context) error { return r.runs.Start(ctx) }

// MountState says how the process fares.
func (r *far) MountState() vfs.MountState { return r.runs.MountState() }

func (r *far) close() { r.runs.Close() }

// load makes a process with an instance.
func (r *far) load(ctx context.Context) (*child, error) {
	f := r.f
	code, err := f.code(ctx)
	if err != nil {
		return nil, err
	}
	text, err := f.settings()
	if err != nil {
		return nil, err
	}
	f.env.Starts()
	c, _, err := f.host.spawn(ctx, code, Settings{Config: text}, f.lib, f.env.Log)
	return c, err
}

// maxTries is how many processes may end under a call before it has begun.
const maxTries = 5

// ask makes one call.
func (r *far) ask(ctx context.Context, q request) (a answer, err error) {
	q.within = r.f.lib.Limits.Call
	for range maxTries {
		err = r.runs.Use(ctx, func(ctx context.Context, c *child) (err error) {
			a, err = c.call(ctx, q)
			return err
		})
		if !errors.Is(err, errEnded) {
			return a, err
		}
	}
	return a, vfs.Unavailable.With("the plugin ends again and again")
}

func (r *far) stat(ctx context.Context, p vfs.Path) (vfs.Info, error) {
	a, err := r.ask(ctx, request{kind: askStat, body: []byte(p), most: maxInfo})
	if err != nil {
		return vfs.Info{}, err
	}
	i, err := wire.Info(a.body)
	if err != nil {
		return i, errAnswer
	}
	return i, nil
}

func (r *far) list(ctx context.Context, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	most := maxNames
	if limit > 0 {
		most = min(limit, maxNames)
	}
	body := binary.BigEndian.AppendUint32(nil, uint32(min(max(limit, 0), maxNames)))
	body = binary.BigEndian.AppendUint32(body, uint32(len(p)))
	a, err := r.ask(ctx, request{kind: askList, body: append(append(body, p...), after...), most: maxFrame})
	if err != nil {
		return nil, err
	}
	infos, err := readList(a.body, most)
	if err != nil {
		return nil, errAnswer
	}
	return infos, nil
}

func (r *far) readAt(ctx context.Context, p vfs.Path, b []byte, off int64) (n int, end bool, err error) {
	b = b[:min(len(b), maxRead)]
	body := make([]byte, 0, readHead+len(p))
	body = binary.BigEndian.AppendUint64(body, uint64(off))
	body = binary.BigEndian.AppendUint32(body, uint32(len(b)))
	if b == nil {
		b = []byte{} // nobody makes room
	}
	a, err := r.ask(ctx, request{kind: askRead, body: append(body, p...), into: b})
	return len(a.body), a.state == ended, err
}

func (r *far) do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	data := op.Data
	op.Data = nil
	head := wire.AppendOp(nil, op)
	body := append(binary.BigEndian.AppendUint32(make([]byte, 0, doHead+len(head)), uint32(len(head))), head...)
	a, err := r.ask(ctx, request{kind: askDo, body: body, data: data, most: maxInfo})
	if err != nil {
		return vfs.Result{}, err
	}
	out, err := wire.Result(a.body)
	if err != nil {
		return out, errAnswer
	}
	return out, nil
}
