package cluster

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// maxTermLead is how far above ours the term of a peer may be. No cluster gets
// there by itself; raft would follow any number that it is told.
const maxTermLead = 1_000_000

// maxConfiguration bounds the encoded configuration in a request, in bytes.
const maxConfiguration = 256 << 10

// guard looks at every request of raft before raft does, which trusts all that
// it is sent: it would follow any term, and ends the process on some lies.
type guard struct {
	refused  *refusals
	standing func(ctx context.Context, id string) standing
	listed   func(id string) (listed, all bool) // in the configuration
	term     func() uint64                      // ours
	leader   func() string                      // that this node follows; "" for none
	room     func() int64                       // bytes that a snapshot may have
}

// check returns why a request of a node is refused; nil lets it through.
func (g *guard) check(ctx context.Context, from string, command any) error {
	var (
		head raft.RPCHeader
		term uint64
		err  error
		need = member
	)
	switch c := command.(type) {
	case *raft.AppendEntriesRequest:
		head, term, need, err = c.RPCHeader, c.Term, claimed, checkEntries(c)
	case *raft.RequestVoteRequest:
		head, term = c.RPCHeader, c.Term
	case *raft.RequestPreVoteRequest:
		head, term = c.RPCHeader, c.Term
	case *raft.InstallSnapshotRequest:
		head, term, need, err = c.RPCHeader, c.Term, claimed, g.checkSnapshot(c)
	case *raft.TimeoutNowRequest:
		head, err = c.RPCHeader, g.checkHandover(from)
	default:
		err = &refusedError{becauseRequest, fmt.Sprintf("unknown request %T", c)}
	}
	ours := g.term()
	switch {
	case g.standing(ctx, from) < need:
		return &refusedError{becauseMember, "node " + from + " is not in the configuration"}
	case len(head.ID) > 0 && string(head.ID) != from:
		return &refusedError{becauseRequest, fmt.Sprintf("node %s sends a request of node %.128q", from, head.ID)}
	case err != nil:
		return err
	case term > ours && term-ours > maxTermLead:
		return &refusedError{becauseTerm, fmt.Sprintf("term %d is out of bounds: ours is %d", term, ours)}
	}
	return nil
}

// checkHandover lets leadership be handed over only by who has it. A node that
// takes it has all entries of that leader, and so knows it.
func (g *guard) checkHandover(from string) error {
	if listed, _ := g.listed(from); !listed || g.leader() != from {
		return &refusedError{becauseRequest, "node " + from + " does not lead, and hands leadership over"}
	}
	return nil
}

func checkEntries(r *raft.AppendEntriesRequest) error {
	if len(r.Entries) > maxAppend {
		return &refusedError{becauseRequest, fmt.Sprintf("%d entries in one request", len(r.Entries))}
	}
	for i, e := range r.Entries {
		switch {
		case e == nil, e.Index != r.PrevLogEntry+1+uint64(i), e.Term == 0, e.Term > r.Term, len(e.Data) > 2*vfs.MaxEntry:
			return &refusedError{becauseRequest, fmt.Sprintf("entry %d behind %d cannot be", i, r.PrevLogEntry)}
		case e.Type == raft.LogAddPeerDeprecated, e.Type == raft.LogRemovePeerDeprecated, e.Type > raft.LogConfiguration:
			return &refusedError{becauseRequest, fmt.Sprintf("entry %d has the unknown type %d", e.Index, e.Type)}
		case e.Type == raft.LogConfiguration:
			if err := checkConfiguration(e.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *guard) checkSnapshot(r *raft.InstallSnapshotRequest) error {
	switch room := g.room(); {
	case r.SnapshotVersion != raft.SnapshotVersionMax, r.LastLogIndex == 0, r.LastLogTerm == 0, r.LastLogTerm > r.Term:
		return &refusedError{becauseRequest, "a snapshot that cannot be"}
	case r.Size <= 0 || r.Size > room:
		return &refusedError{becauseSnapshot, fmt.Sprintf("a snapshot of %d bytes, and room for %d", r.Size, room)}
	}
	return checkConfiguration(r.Configuration)
}

// checkConfiguration refuses one that raft cannot read: it ends the process.
func checkConfiguration(b []byte) (err error) {
	if len(b) > maxConfiguration {
		return &refusedError{becauseRequest, "a configuration that is too long"}
	}
	defer func() {
		if recover() != nil {
			err = &refusedError{becauseRequest, "a configuration that cannot be read"}
		}
	}()
	for _, s := range raft.DecodeConfiguration(b).Servers {
		if s.ID == "" || len(s.ID) > maxID || s.Address == "" {
			return &refusedError{becauseRequest, "a configuration with a server that cannot be"}
		}
	}
	return nil
}
