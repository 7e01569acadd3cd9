package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/volume"
)

const (
	spreadTime = 9 * time.Second // for a quorum to have a chunk
	spreadTail = 2 * time.Second // for the others, after that
	sendTime   = 5 * time.Second // one try at one node
)

// voters returns the nodes that vote, this one among them if it does.
func (n *Node) voters() []string {
	var out []string
	for _, s := range n.configuration().Servers {
		if s.Suffrage == raft.Voter {
			out = append(out, string(s.ID))
		}
	}
	return out
}

// spread keeps the first size bytes of b, one chunk, on this node and a quorum
// of the voters, and lets go of b once it is written or given up everywhere.
// The nodes that are slower get a little longer, and fetch it later if that
// does not do.
func (n *Node) spread(ctx context.Context, b *buffer, size int) ([32]byte, error) {
	defer b.free()
	data := b.b[:size]
	hash := blob.Sum(data)
	voters := n.voters()
	if len(voters) == 0 {
		return hash, vfs.Unavailable.With("this node is in no cluster yet")
	}
	known := n.blobs.Touch(hash)
	need, acks := len(voters)/2+1, make(chan error, len(voters)+1)
	// The tail of the work outlives the upload that began it.
	send, stop := context.WithTimeout(context.WithoutCancel(ctx), spreadTime)
	var peers int
	for _, id := range voters {
		if id == n.id {
			continue
		}
		peers++
		b.hold()
		if !n.crew.spawn(func() {
			defer b.free()
			acks <- n.give(send, id, hash, data, known)
		}) {
			b.free()
			acks <- errStopping
		}
	}
	err := n.keepHere(hash, data, known)
	if err == nil && peers < len(voters) {
		need-- // this node votes, too
	}
	lack := vfs.Unavailable.With("no quorum keeps the content")
	for left := peers; err == nil && need > 0; left-- {
		if left < need {
			err = lack
			break
		}
		select {
		case e := <-acks:
			if e == nil {
				need--
			}
			if vfs.KindOf(e) == vfs.NoSpace {
				lack = errNoSpace
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	switch {
	case err != nil || n.chunkMem.short():
		stop()
	default:
		time.AfterFunc(spreadTail, stop)
	}
	return hash, err
}

// keepHere makes a chunk durable on this node.
func (n *Node) keepHere(hash [32]byte, data []byte, known bool) error {
	if known {
		return nil
	}
	start := time.Now()
	if n.vol.Full() {
		return errNoSpaceHere
	}
	got, err := n.blobs.Put(data)
	n.metrics.kept.Observe(time.Since(start).Seconds())
	switch {
	case volume.NoSpace(err):
		return errNoSpaceHere
	case n.blobs.Failed() != nil:
		n.fail(n.blobs.Failed())
		return vfs.Unavailable.With("this node cannot go on")
	case err != nil:
		return vfs.Unavailable.With("content cannot be kept on this node: " + err.Error())
	case got != hash:
		return vfs.Internal.With("content changed while it was kept")
	}
	return nil
}

// give has one node keep a chunk; it tries until ctx is done. The node is asked
// first whether it has it, if this one had.
func (n *Node) give(ctx context.Context, id string, hash [32]byte, data []byte, known bool) error {
	for {
		err := n.giveOnce(ctx, id, hash, data, known)
		var c *callError
		if err == nil || errors.Is(err, errStopping) || !errors.As(err, &c) && !errors.Is(err, errNoAddress) {
			return err
		}
		if !pause(ctx, 10*retryPause) {
			return err
		}
	}
}

var errNoAddress = errors.New("node has no address")

func (n *Node) giveOnce(ctx context.Context, id string, hash [32]byte, data []byte, known bool) error {
	to, ok := n.book.find(id)
	if !ok {
		return errNoAddress
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if known {
		b, err := n.peers.call(ctx, to, bulk, callHave, hash[:])
		if err != nil {
			return err
		}
		if len(b) == 1 && b[0] == 1 {
			return nil
		}
	}
	if _, err := n.peers.call(ctx, to, bulk, callKeep, hash[:], data); err != nil {
		return err
	}
	n.metrics.sent.Add(float64(len(data)))
	return nil
}

// serveKeep makes a chunk durable: its hash, and its bytes.
func (n *Node) serveKeep(_ context.Context, _ string, b []byte) (reply, error) {
	if len(b) < 32 || len(b) > 32+vfs.ChunkSize {
		return reply{}, vfs.Invalid.With("not a chunk")
	}
	hash, data := [32]byte(b), b[32:]
	if blob.Sum(data) != hash {
		return reply{}, vfs.Invalid.With("chunk is not what its name says")
	}
	return reply{}, n.keepHere(hash, data, false)
}

// serveHave answers a byte for each hash: 1 if the chunk is here, and kept for
// another grace period.
func (n *Node) serveHave(_ context.Context, _ string, b []byte) (reply, error) {
	out := make([]byte, 0, len(b)/32)
	for ; len(b) >= 32; b = b[32:] {
		have := byte(0)
		if n.blobs.Touch([32]byte(b)) {
			have = 1
		}
		out = append(out, have)
	}
	return reply{payload: out}, nil
}
