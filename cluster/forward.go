package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// The calls between nodes. Numbers are on the wire: only append.
const (
	callHello   byte = iota + 1 // who are you, and whom do you see
	callForm                    // promise to be in a cluster that I begin
	callJoin                    // take me in, or take note of my address
	callPropose                 // have this committed
	callIndex                   // an index that a linearizable read waits for
	callKeep                    // keep this chunk
	callHave                    // have you these chunks; keep them a while
	callFetch                   // give me this chunk
	callState                   // how far are you
	callManage                  // change who is a member, or who leads
	callDigest                  // the hash of your state at an index
	callVouch                   // is a node in your configuration
	callTerm                    // the term that you are in
)

func (n *Node) handlers() map[byte]handler {
	return map[byte]handler{
		callHello:   {strangers: true, early: true, serve: n.serveHello},
		callForm:    {strangers: true, serve: n.serveForm},
		callJoin:    {strangers: true, serve: n.serveJoin},
		callPropose: {serve: n.servePropose},
		callIndex:   {serve: n.serveIndex},
		callKeep:    {serve: n.serveKeep},
		callHave:    {serve: n.serveHave},
		callFetch:   {serve: n.serveFetch},
		callState:   {serve: n.serveState},
		callManage:  {serve: n.serveManage},
		callDigest:  {serve: n.serveDigest},
		callVouch:   {newcomers: true, serve: n.serveVouch},
		callTerm:    {serve: n.serveTerm},
	}
}

// forward hands r to the node that leads. It does not go further from there.
func (n *Node) forward(ctx context.Context, to target, r vfs.Request) (vfs.Outcome, error) {
	defer n.stage(ctx, stageForward, time.Now())
	b, err := n.peers.call(ctx, to, short, callPropose, wire.AppendRequest(nil, r))
	if err != nil {
		return vfs.Outcome{}, called(err)
	}
	out, err := wire.Outcome(b)
	if err != nil {
		return vfs.Outcome{}, &vfs.Unknown{Cause: err}
	}
	return out, nil
}

// called tells a call that changes something and never arrived from one whose
// answer is missing.
func called(err error) error {
	var c *callError
	if !errors.As(err, &c) {
		return err
	}
	if c.sent {
		return &vfs.Unknown{Cause: c.cause}
	}
	return &elsewhereError{c.cause}
}

func (n *Node) servePropose(ctx context.Context, from string, b []byte) (reply, error) {
	r, err := wire.Request(b)
	if err != nil {
		return reply{}, vfs.Invalid.With(err.Error())
	}
	if err := checkRequest(r); err != nil {
		return reply{}, err
	}
	out, err := n.pack.relay(ctx, from, r)
	if err != nil {
		return reply{}, err
	}
	return reply{payload: wire.AppendOutcome(nil, out)}, nil
}
