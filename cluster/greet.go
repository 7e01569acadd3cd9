package cluster

import (
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
	maxPending   = 64  // streams that have not greeted yet
	maxStrangers = 64  // streams of nodes of no cluster, or from before ours
	maxStreams   = 512 // all
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
		return errors.New("greeting is too long")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// greet opens a stream from the dialling side.
func greet(c net.Conn, kind byte, g greeting) (welcome, error) {
	var w welcome
	if err := c.SetDeadline(time.Now().Add(greetTime)); err != nil {
		return w, err
	}
	if err := writeShort(c, []byte{kind}, g); err != nil {
		return w, err
	}
	if err := readShort(c, &w); err != nil {
		return w, fmt.Errorf("read welcome: %w", err)
	}
	if w.Refused != "" {
		return w, &refusal{w.ID, w.Refused, w.Cluster}
	}
	return w, c.SetDeadline(time.Time{})
}

// hear reads and answers the greeting of a stream that was accepted.
func hear(c net.Conn, self *identity) (kind byte, g greeting, err error) {
	if err = c.SetDeadline(time.Now().Add(greetTime)); err != nil {
		return kind, g, err
	}
	var first [1]byte
	if _, err = io.ReadFull(c, first[:]); err != nil {
		return kind, g, err
	}
	kind = first[0]
	if kind != streamRaft && kind != streamCall {
		return kind, g, errors.New("not a stream of a node")
	}
	if err = readShort(c, &g); err != nil {
		return kind, g, err
	}
	me := self.card()
	w := welcome{Cluster: me.Cluster, ID: me.Node, Refused: refuse(me, kind, g)}
	if err = writeShort(c, nil, w); err != nil {
		return kind, g, err
	}
	if w.Refused != "" {
		return kind, g, &refusal{me.Node, w.Refused, me.Cluster}
	}
	return kind, g, c.SetDeadline(time.Time{})
}

func refuse(me card, kind byte, g greeting) string {
	switch {
	case g.Version != protocol:
		return fmt.Sprintf("protocol version %d, not %d", g.Version, protocol)
	case g.From == "" || len(g.From) > maxID:
		return "no node id"
	case g.To != "" && g.To != me.Node:
		return "this is node " + me.Node
	case g.Cluster != "" && me.Cluster != "" && g.Cluster != me.Cluster:
		return "this node belongs to another cluster"
	case kind == streamRaft && (me.Cluster == "" || g.Cluster != me.Cluster):
		return "not of one cluster yet"
	case kind == streamRaft && g.From == me.Node:
		return "two nodes are called " + me.Node
	}
	return ""
}
