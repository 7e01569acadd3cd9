package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// Propose has r committed and returns its outcome once it is applied on this
// node. Any node takes it; the leader decides. Outcome.Err is the answer of
// the fold. The error, if there is one, is of kind Unavailable, Throttled,
// NoSpace or TooLarge and says that nothing was and will be applied, or it is a
// *[vfs.Unknown]. It ends within ten seconds.
func (n *Node) Propose(ctx context.Context, r vfs.Request) (vfs.Outcome, error) {
	if err := n.gate.enter(); err != nil {
		return vfs.Outcome{}, err
	}
	defer n.gate.leave()
	if n.removed.Load() {
		return vfs.Outcome{}, errRemoved
	}
	return n.propose(ctx, r)
}

func (n *Node) propose(ctx context.Context, r vfs.Request) (vfs.Outcome, error) {
	if err := checkRequest(r); err != nil {
		return vfs.Outcome{}, err
	}
	if at, ok := ctx.Deadline(); !ok || time.Until(at) > proposeTime {
		within := lapse.After(ctx, proposeTime)
		defer within.End()
		ctx = within
	}
	out, err := n.settle(ctx, r)
	if err == nil && vfs.KindOf(out.Err) == vfs.Moved {
		if again, ok := n.reroute(ctx, r, out.Index); ok {
			out, err = n.settle(ctx, again)
		}
	}
	if err != nil {
		return vfs.Outcome{}, err
	}
	// A replayed outcome names the entry of the first time; it is older.
	if n.machine.Applied() < out.Index {
		defer n.stage(ctx, stageFollow, time.Now())
	}
	if err := n.machine.Wait(ctx, out.Index); err != nil {
		return vfs.Outcome{}, &vfs.Unknown{Cause: err}
	}
	return out, nil
}

// checkRequest refuses what does not fit the log.
func checkRequest(r vfs.Request) error {
	if len(r.Ops) == 0 {
		return vfs.Invalid.With("no operation")
	}
	for i := range r.Ops {
		if len(r.Ops[i].Data) > vfs.MaxInline || len(r.Ops[i].Refs) > vfs.MaxRefs {
			return vfs.TooLarge.With("content of one operation")
		}
	}
	if wire.Size(r)+wire.Overhead > vfs.MaxEntry {
		return vfs.TooLarge.With("request does not fit a log entry")
	}
	return nil
}

// settle finds a leader that takes r. What was not proposed is tried again for
// a while; what may have been only if its key makes that safe.
func (n *Node) settle(ctx context.Context, r vfs.Request) (vfs.Outcome, error) {
	var (
		until = time.Now().Add(n.c.patience)
		lost  *vfs.Unknown // an earlier try that may have been applied
	)
	for {
		out, err := n.try(ctx, r)
		if err == nil {
			return out, nil
		}
		var (
			el *elsewhereError
			un *vfs.Unknown
		)
		switch {
		case errors.As(err, &un) && (r.Key != "" || plantRetry):
			lost = un
		case errors.As(err, &el):
		case lost != nil:
			return vfs.Outcome{}, lost
		default:
			return vfs.Outcome{}, err
		}
		if time.Now().After(until) || !pause(ctx, retryPause) {
			if lost != nil {
				return vfs.Outcome{}, lost
			}
			if n.vol.Full() { // which may be why there is no leader
				return vfs.Outcome{}, errNoSpaceHere
			}
			return vfs.Outcome{}, unavailable(el.cause)
		}
	}
}

// unavailable is the error of a call for which no leader was found.
func unavailable(cause error) error {
	if vfs.KindOf(cause) == vfs.Unavailable {
		return cause
	}
	return vfs.Unavailable.With(cause.Error())
}

var errNoLeader = vfs.Unavailable.With("no leader")

// noLeader says why no leader is known.
func (n *Node) noLeader() error {
	if n.removed.Load() {
		return errRemoved
	}
	return errNoLeader
}

// try hands r to the leader once.
func (n *Node) try(ctx context.Context, r vfs.Request) (vfs.Outcome, error) {
	if n.reign.Load() != nil {
		return n.pack.submit(ctx, r)
	}
	to, ok := n.leader()
	if !ok || to.id == n.id {
		return vfs.Outcome{}, &elsewhereError{n.noLeader()}
	}
	return n.forward(ctx, to, r)
}

// reroute names for each Op the mount that its path leads to now; false if one
// of them leads out of the log.
func (n *Node) reroute(ctx context.Context, r vfs.Request, index uint64) (vfs.Request, bool) {
	if n.machine.Wait(ctx, index) != nil {
		return r, false
	}
	im := n.machine.Image()
	defer im.Release()
	r.Ops = append([]vfs.Op(nil), r.Ops...)
	for i := range r.Ops {
		if r.Ops[i].Mount == 0 {
			continue
		}
		m, _, ok := im.Table.Route(r.Ops[i].Path)
		if !ok || m.Place != vfs.Replicated {
			return r, false
		}
		r.Ops[i].Mount = m.ID
	}
	return r, true
}
