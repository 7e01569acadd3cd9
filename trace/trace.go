// Package trace follows one request on its way through the nodes: the id that
// its log lines carry, and what each stage of it took.
//
// A context carries the Trace. Between nodes only the id travels; each node
// measures its own stages.
package trace

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// MaxID is how many bytes an id may have.
const MaxID = 128

// Trace is what is known of one request. Its methods may be called from any
// goroutine, and on nil: then there is nothing to follow.
type Trace struct {
	id string

	mu     sync.Mutex
	stages []stage // in the order in which they first ended
}

// stage is a part of the way, and what it took.
type stage struct {
	name string
	took time.Duration
}

// usual is how many stages most requests have room for.
const usual = 8

// New returns the trace of the request with an id.
func New(id string) *Trace { return &Trace{id: id} }

// ID returns the id of the request; "" of nil.
func (t *Trace) ID() string {
	if t == nil {
		return ""
	}
	return t.id
}

// Add notes that a stage took d. A stage that is entered again adds up.
func (t *Trace) Add(name string, d time.Duration) {
	if t == nil || d <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.stages {
		if t.stages[i].name == name {
			t.stages[i].took += d
			return
		}
	}
	if t.stages == nil {
		t.stages = make([]stage, 0, usual)
	}
	t.stages = append(t.stages, stage{name, d})
}

// Stages returns what each stage has taken so far, as one group for a log line.
func (t *Trace) Stages() slog.Value {
	if t == nil {
		return slog.GroupValue()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]slog.Attr, len(t.stages))
	for i, s := range t.stages {
		out[i] = slog.Duration(s.name, s.took)
	}
	return slog.GroupValue(out...)
}

type key struct{}

// With returns a context that carries t.
func With(ctx context.Context, t *Trace) context.Context { return context.WithValue(ctx, key{}, t) }

// From returns what ctx carries; nil if it carries none.
func From(ctx context.Context) *Trace {
	t, _ := ctx.Value(key{}).(*Trace)
	return t
}

// Valid reports whether an id from outside may go into logs and headers: 1 to
// MaxID letters, digits and -._:/
func Valid(id string) bool {
	for i := range len(id) {
		b := id[i]
		if (b|0x20 < 'a' || b|0x20 > 'z') && (b < '0' || b > '9') && strings.IndexByte("-._:/", b) < 0 {
			return false
		}
	}
	return len(id) > 0 && len(id) <= MaxID
}

// NewID returns an id that no other request has.
func NewID() string {
	var b [8]byte
	var text [2 * len(b)]byte
	binary.BigEndian.PutUint64(b[:], rand.Uint64())
	hex.Encode(text[:], b[:])
	return string(text[:])
}
