//go:build linux

package soak

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pfs-project/pfs/soak/history"
)

// Where the clients work.
const (
	registers = "/memfs/reg"
	tree      = "/memfs/tree"
	keys      = "/kvfs/keys"
	queues    = "/queuefs"
)

const (
	hotFiles  = 8 // in registers
	hotKeys   = 6
	hotQueues = 3
	bigBytes  = 40_000 // over what goes inline
)

// roots are the directories that nobody else changes; given are there from the
// start.
func roots() []string { return []string{registers, tree, keys, queues} }
func given() []string { return []string{"/", "/memfs", "/kvfs", keys, queues} }

// isRegister reports whether porcupine checks the file.
func isRegister(p string) bool {
	return strings.HasPrefix(p, registers+"/") || strings.HasPrefix(p, keys+"/")
}

// worker makes up the requests of one client, by a seed.
type worker struct {
	cl     *client
	rng    *rand.Rand
	prefix string // of its IDs
	n      int
	small  bool // no content beside the log
	still  bool // asks one node alone
	next   func(*worker) *history.Op
}

// trades are what clients do; client i does the one at i modulo their number.
var trades = []func(*worker) *history.Op{
	(*worker).register, (*worker).queue, (*worker).register, (*worker).tree, (*worker).register, (*worker).queue,
}

func (w *worker) op(kind history.Kind, path string) *history.Op {
	w.n++
	return &history.Op{ID: fmt.Sprintf("%s.%d", w.prefix, w.n), Kind: kind, Path: path}
}

func (w *worker) one(in int) bool { return w.rng.IntN(in) == 0 }

func (w *worker) read(kind history.Kind, path string) *history.Op {
	o := w.op(kind, path)
	if o.Linear = w.one(2); !o.Linear {
		o.MinIndex = w.cl.seen
	}
	return o
}

// put writes a value of its own, which tells the write apart even without a key.
func (w *worker) put(kind history.Kind, path string) *history.Op {
	o := w.op(kind, path)
	o.Keyed = w.one(2)
	if w.one(25) && !w.small {
		o.Size, o.Keyed = bigBytes, true
	}
	return o
}

func (w *worker) hot() string {
	if n := w.rng.IntN(hotFiles + hotKeys); n >= hotFiles {
		return fmt.Sprintf("%s/k%d", keys, n-hotFiles)
	} else {
		return fmt.Sprintf("%s/f%d", registers, n)
	}
}

// register reads, writes, compares and swaps a file.
func (w *worker) register() *history.Op {
	p := w.hot()
	switch n := w.rng.IntN(100); {
	case n < 45:
		return w.read(history.Get, p)
	case n < 68:
		return w.put(history.Put, p)
	case n < 90:
		o := w.put(history.Put, p)
		if s, ok := w.cl.last[p]; ok {
			o.If = &history.Cond{Version: s.version}
		}
		return o
	case n < 95:
		o := w.put(history.Put, p)
		o.If = &history.Cond{Absent: true}
		return o
	}
	o := w.op(history.Delete, p)
	o.Keyed = w.one(2)
	return o
}

// glance reads what one node has, quorum or not.
func (w *worker) glance() *history.Op {
	o := w.op(history.Get, w.hot())
	o.MinIndex = w.cl.seen
	return o
}

// queue writes and takes messages. A take without a key may lose its message on
// the way, at most once; under a key it is exactly once.
func (w *worker) queue() *history.Op {
	p := fmt.Sprintf("%s/q%d", queues, w.rng.IntN(hotQueues))
	switch n := w.rng.IntN(100); {
	case n < 50:
		return w.put(history.Enqueue, p)
	case n < 92:
		o := w.op(history.Dequeue, p)
		// Whether there is such a queue is looked up by a local read.
		o.Keyed, o.MinIndex = !w.one(3), w.cl.seen
		return o
	}
	return w.read(history.Length, p)
}

// branch names a place in the tree, few enough that clients meet there.
func (w *worker) branch() string {
	p := tree
	for range 1 + w.rng.IntN(3) {
		p += "/" + string(rune('a'+w.rng.IntN(3)))
	}
	return p
}

func (w *worker) tree() *history.Op {
	p := w.branch()
	kind := history.Get
	switch n := w.rng.IntN(100); {
	case n < 20:
		kind = history.Mkdir
	case n < 35:
		return w.put(history.Put, p)
	case n < 55:
		o := w.op(history.Rename, p)
		o.To, o.Keyed = w.branch(), true
		return o
	case n < 65:
		kind = history.Delete
	case n < 72:
		kind = history.DeleteAll
	case n < 87:
		if w.one(4) {
			p = tree
		}
		return w.read(history.List, p)
	}
	if kind == history.Get {
		return w.read(kind, p)
	}
	o := w.op(kind, p)
	o.Keyed = !w.one(4)
	return o
}

// manner makes up how the next request is sent: by a node of its own or another
// one, with more or less patience, and at times with none.
func (w *worker) manner(nodes int) manner {
	m := manner{within: time.Duration(200+w.rng.IntN(1300)) * time.Millisecond, leave: w.one(50)}
	at := w.cl.number
	if w.still {
		return manner{nodes: []int{at % nodes}, within: m.within}
	}
	if w.one(4) {
		at = w.rng.IntN(nodes)
	}
	for i := range 1 + w.rng.IntN(3) {
		m.nodes = append(m.nodes, (at+i)%nodes)
	}
	return m
}
