package cluster

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// What a stream carries: its first byte.
const (
	streamRaft byte = 'R'
	streamCall byte = 'C'
)

const (
	protocol     = 1
	maxGreeting  = 1024 // bytes
	greetTime    = 5 * time.Second
	maxPending   = 64 // streams that have not greeted yet
	maxStrangers = 64 // streams of calls of nodes that are no members
	maxOfNode    = 64 // streams of one member
	maxStreams   = 1024
)

// greeting is what the dialling side says first.
type greeting struct {
	Version int    `json:"v"`
	Cluster string `json:"cluster,omitempty"`
	From    string `json:"from"`
	To      string `json:"to,omitempty"` // "": whoever is there
}

// welcome answers a greeting.
type welcome struct {
	Cluster string `json:"cluster,omitempty"`
	ID      string `json:"id"`
	Refused string `json:"refused,omitempty"`
}

// refusal is the answer of a node that will not talk to this one.
type refusal struct{ by, why, cluster string }

func (r *refusal) Error() string { return fmt.Sprintf("node %s refused: %s", r.by, r.why) }

func writeShort(w io.Writer, first []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxGreeting {
		return errors.New("greeting is too long")
	}
	out := binary.BigEndian.AppendUint16(append([]byte(nil), first...), uint16(len(b)))
	_, err = w.Write(append(out, b...))
	return err
}

func readShort(r io.Reader, v any) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint16(head[:])
	if n > maxGreeting {
		return &refusedError{becauseGreeting, "greeting is too long"}
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &refusedError{becauseGreeting, "greeting cannot be read: " + err.Error()}
	}
	return nil
}

// greet opens a stream from the dialling side. The other node's certificate
// names shown; "" without TLS.
func greet(c net.Conn, kind byte, g greeting, shown string) (welcome, error) {
	var w welcome
	if err := c.SetDeadline(time.Now().Add(greetTime)); err != nil {
		return w, err
	}
	if err := writeShort(c, []byte{kind}, g); err != nil {
		return w, err
	}
	if err := readShort(c, &w); err != nil {
		return w, fmt.Errorf("no welcome: %w", err)
	}
	if w.Refused != "" {
		return w, &refusal{w.ID, w.Refused, w.Cluster}
	}
	if shown != "" && w.ID != shown || g.To != "" && w.ID != g.To {
		return w, &peerError{fmt.Errorf("node %q answers as %q", shown+g.To, w.ID)}
	}
	return w, c.SetDeadline(time.Time{})
}

// hear reads and answers the greeting of a stream that was accepted. The other
// node's certificate names shown; "" without TLS. An error is a *refusedError,
// or that of the stream.
func hear(ctx context.Context, c net.Conn, m *mux, shown string) (kind byte, g greeting, err error) {
	var first [1]byte
	if _, err = io.ReadFull(c, first[:]); err != nil {
		return kind, g, err
	}
	kind = first[0]
	if kind != streamRaft && kind != streamCall {
		return kind, g, &refusedError{becauseAlien, fmt.Sprintf("not a stream of a node: it begins with %q", first)}
	}
	if err = readShort(c, &g); err != nil {
		return kind, g, err
	}
	me := m.self.card()
	why := refuse(me, kind, g, shown)
	if why == nil && kind == streamRaft && m.roster.of(ctx, g.From) == outsider {
		why = &refusedError{becauseMember, "node " + g.From + " is not in the configuration of this one"}
	}
	w := welcome{Cluster: me.Cluster, ID: me.Node}
	if why != nil {
		w.Refused = why.text
	}
	if err = writeShort(c, nil, w); err != nil {
		return kind, g, err
	}
	if why != nil {
		return kind, g, why
	}
	return kind, g, c.SetDeadline(time.Time{})
}

func refuse(me card, kind byte, g greeting, shown string) *refusedError {
	switch {
	case g.Version != protocol:
		return &refusedError{becauseGreeting, fmt.Sprintf("protocol version %d, not %d", g.Version, protocol)}
	case g.From == "" || len(g.From) > maxID:
		return &refusedError{becauseGreeting, "no node id"}
	case shown != "" && shown != g.From:
		return &refusedError{becauseCertificate, fmt.Sprintf("node %s shows the certificate of node %s", g.From, shown)}
	case g.To != "" && g.To != me.Node:
		return &refusedError{becauseGreeting, "this is node " + me.Node}
	case g.Cluster != "" && me.Cluster != "" && g.Cluster != me.Cluster:
		return &refusedError{becauseCluster, "this node belongs to another cluster"}
	case kind == streamRaft && (me.Cluster == "" || g.Cluster != me.Cluster):
		return &refusedError{becauseCluster, "not of one cluster yet"}
	case kind == streamRaft && g.From == me.Node:
		return &refusedError{becauseGreeting, "two nodes are called " + me.Node}
	}
	return nil
}
