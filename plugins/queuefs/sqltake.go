package queuefs

import (
	"bytes"
	"cmp"
	"context"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// consume answers reads of dequeue and take; with the option wait, after a
// while. What is given is rendered in the answer.
func (f *sqlFS) consume(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	s := locate(op.Path)
	if s.entry != "" || s.file != "dequeue" && s.file != "take" {
		if _, err := f.Stat(ctx, nil, op.Path); err != nil {
			return vfs.Result{}, err
		}
		return vfs.Result{}, vfs.Unsupported.With("reading it takes nothing")
	}
	w, err := wanted(s.file, op)
	if err != nil {
		_, missing := f.view(ctx, s)
		return vfs.Result{}, cmp.Or(missing, err)
	}
	var wait time.Duration
	if w.waits {
		if wait, err = duration("wait", vfs.ParseOptions(op.Target)["wait"], 0, time.Minute); err != nil {
			return vfs.Result{}, err
		}
	}
	r, err := f.hold(ctx, wait, s.queue, func() (vfs.Result, error) {
		if err := f.settle(ctx, s.queue); err != nil {
			return vfs.Result{}, err
		}
		return f.change(ctx, op, func(ctx context.Context, q sqldb.Queryer) (vfs.Result, error) {
			return f.take(ctx, q, s, w)
		})
	})
	if vfs.KindOf(err) == vfs.Empty {
		return f.reply(ctx, w.parcel)
	}
	return r, err
}

// reply renders a parcel.
func (f *sqlFS) reply(ctx context.Context, p parcel) (vfs.Result, error) {
	var b bytes.Buffer
	err := FS{}.Reply(ctx, vfs.Result{Data: p.encode()}, &b)
	return vfs.Result{Data: b.Bytes()}, err
}

// take gives what is ready, or is Empty.
func (f *sqlFS) take(ctx context.Context, q sqldb.Queryer, at spot, w want) (vfs.Result, error) {
	s, err := f.look(ctx, q, at.queue, "")
	switch {
	case err != nil:
		return vfs.Result{}, err
	case s.isRoot():
		return vfs.Result{}, vfs.NotFound
	case s.ready == 0:
		return vfs.Result{}, vfs.Empty
	}
	list, err := s.messages("box = ? AND state = ? ORDER BY place LIMIT ?"+f.skip, s.box, sqlReady, w.most)
	if err == nil && len(list) == 0 {
		err = vfs.Empty
	}
	if err == nil {
		err = s.hold()
	}
	if err != nil {
		return vfs.Result{}, err
	}
	set, err := s.options()
	if err != nil {
		return vfs.Result{}, err
	}
	if w.lease > 0 {
		set.lease = w.lease
	}
	bytes := int64(0)
	for _, m := range list {
		if bytes >= takeBytes {
			break
		}
		i, err := s.give(m, at.file == "take", set)
		if err != nil {
			return vfs.Result{}, err
		}
		bytes += m.length
		w.items = append(w.items, i)
	}
	if err := s.save(); err != nil {
		return vfs.Result{}, err
	}
	r, err := f.reply(ctx, w.parcel)
	r.Version = uint64(s.now)
	return r, err
}

// give hands a message out: under a lease, or for good. Its row is held.
func (s *sqlQueue) give(m sqlMessage, lend bool, set settings) (item, error) {
	if err := s.load(&m); err != nil {
		return item{}, err
	}
	m.attempt++
	s.ready--
	s.totals.taken++
	i := item{message: m.message, seq: m.seq, attempt: m.attempt}
	if !lend {
		s.totals.acked++
		s.bytes -= uint64(m.length)
		return i, s.drop(m)
	}
	s.fence++
	s.lent++
	m.state, m.place, m.due, m.at = sqlLent, int64(s.fence), s.now+set.lease.Microseconds(), s.now
	i.box, i.fence, i.deadline = s.box, s.fence, m.due*1000
	return i, s.put(m, s.box)
}
