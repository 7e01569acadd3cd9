package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/bench/target"
)

// shared is keys that all clients write. Whose write stays is the server's to
// say, so each client notes when its last acknowledged write of a key was sent
// and answered.
type shared struct {
	values
	kv   target.KV
	name string
	rows []sharer
}

type sharer struct {
	next  func() int
	tried int
	acked map[int]written // by key
	buf   []byte
	_     [8]uint64
}

// written is one write.
type written struct {
	n          int
	sent, done time.Time
}

func (m *shared) key(k int) string { return m.name + "-" + strconv.Itoa(k) }

func (m *shared) put(ctx context.Context, client int) error {
	r := &m.rows[client]
	k := r.next()
	r.tried++
	w := written{n: r.tried, sent: time.Now()}
	r.buf = m.write(r.buf, client, w.n)
	err := m.kv.Put(ctx, client, m.key(k), r.buf)
	if err == nil {
		w.done = time.Now()
		r.acked[k] = w
	}
	return err
}

// check reads back some thousands of the keys that were acknowledged.
func (m *shared) check(ctx context.Context) error {
	var keys []int
	seen := map[int]bool{}
	for _, r := range m.rows {
		for k := range r.acked { // any order
			if !seen[k] && len(keys) < checked {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	return each(ctx, len(keys), min(len(m.rows), 64), func(ctx context.Context, w, i int) error {
		b, err := m.kv.Get(ctx, w, m.key(keys[i]), nil)
		if err == nil {
			err = m.fits(keys[i], b)
		}
		if err != nil {
			err = fmt.Errorf("%w: %s: %w", ErrLost, m.key(keys[i]), err)
		}
		return err
	})
}

// fits is an error if b cannot be what the key has after all writes: it is none,
// or one was sent and acknowledged after it had been.
func (m *shared) fits(k int, b []byte) error {
	client, n, err := number(b)
	if err != nil {
		return err
	}
	if client >= len(m.rows) || n > m.rows[client].tried {
		return fmt.Errorf("write %d of client %d was never sent", n, client)
	}
	if _, err := m.read(b, client); err != nil {
		return err
	}
	own := m.rows[client].acked[k]
	if n < own.n {
		return fmt.Errorf("it has write %d of client %d, and %d was acknowledged", n, client, own.n)
	}
	for other, r := range m.rows {
		if w, ok := r.acked[k]; ok && n == own.n && w.sent.After(own.done) {
			return fmt.Errorf("it has a write of client %d, and one of client %d was sent after its end and acknowledged", client, other)
		}
	}
	return nil
}

// putKeys has all clients write the same keys, chosen in some way.
func putKeys(name string, how pick) func(target.Target, Options) (Case, error) {
	return func(t target.Target, o Options) (Case, error) {
		if t.KV == nil {
			return Case{}, errLacks
		}
		m := &shared{values: newValues(o.Size), kv: t.KV, name: unique(name), rows: make([]sharer, o.Clients)}
		for c := range m.rows {
			m.rows[c].next, m.rows[c].acked = how(rand.New(rand.NewPCG(4, uint64(c))), max(o.Keys, 2)), map[int]written{}
		}
		op := func(ctx context.Context, client, _ int) error { return m.put(ctx, client) }
		return Case{Spec: o.Spec(name, int64(m.size), op), After: m.check}, nil
	}
}
