package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/pfs-project/pfs/bench/target"
)

// values are bodies that name their writer and their number, so that what is
// read tells which write it is of.
type values struct {
	size  int
	block []byte // random; of a body from byte head on
}

const (
	head    = 16
	shifts  = 64
	slots   = 64   // keys of each client
	checked = 5000 // keys that are read back, at most
)

func newValues(size int) values {
	v := values{size: max(size, head)}
	r := rand.New(rand.NewPCG(1, uint64(size)))
	v.block = make([]byte, v.size-head+shifts)
	for i := range v.block {
		v.block[i] = byte('a' + r.IntN(26)) // text goes through every interface
	}
	return v
}

// write makes the n-th body of a client in dst.
func (v values) write(dst []byte, client, n int) []byte {
	dst = fmt.Appendf(dst[:0], "%06x.%08x.", client&0xffffff, n&0xffffffff)
	return append(dst, v.block[n%shifts:n%shifts+v.size-head]...)
}

// read tells which body b is; an error says that it is none of the client's.
func (v values) read(b []byte, client int) (n int, err error) {
	if len(b) != v.size {
		return 0, fmt.Errorf("%d bytes were read where %d were written", len(b), v.size)
	}
	c, err := strconv.ParseUint(string(b[:6]), 16, 32)
	if err != nil || int(c) != client&0xffffff {
		return 0, fmt.Errorf("%q was read where client %d wrote", b[:head], client)
	}
	at, err := strconv.ParseUint(string(b[7:15]), 16, 64)
	if n = int(at); err != nil || !bytes.Equal(b[head:], v.block[n%shifts:n%shifts+v.size-head]) {
		return 0, fmt.Errorf("%q has bytes that nobody wrote", b[:head])
	}
	return n, nil
}

// unique makes a name that no load had before: what an older one left under it
// would pass for what this one wrote.
func unique(name string) string { return name + "-" + strconv.FormatUint(rand.Uint64(), 36) }

// ledger is what each client wrote and what of it was acknowledged. A client's
// row is touched by that client alone.
type ledger struct {
	values
	kv   target.KV
	name string // begins every key, and none of another ledger
	rows []row
	witness
}

type row struct {
	tried int
	acked [slots]int // the last write of each key that was acknowledged; 0: none
	buf   []byte
	rand  *rand.Rand
	_     [8]uint64 // rows of two clients share no cache line
}

func newLedger(kv target.KV, name string, clients, size int) *ledger {
	l := &ledger{values: newValues(size), kv: kv, name: unique(name), rows: make([]row, clients)}
	for c := range l.rows {
		l.rows[c].rand = rand.New(rand.NewPCG(2, uint64(c)))
	}
	return l
}

func (l *ledger) key(client, slot int) string {
	return l.name + "-" + strconv.Itoa(client) + "-" + strconv.Itoa(slot)
}

// put writes the client's next value.
func (l *ledger) put(ctx context.Context, client int) error {
	r := &l.rows[client]
	r.tried++
	slot := r.tried % slots
	r.buf = l.write(r.buf, client, r.tried)
	err := l.kv.Put(ctx, client, l.key(client, slot), r.buf)
	if err == nil {
		r.acked[slot] = r.tried
	}
	return err
}

// check reads back what was acknowledged: all keys, or some thousands of them.
func (l *ledger) check(ctx context.Context) error {
	type entry struct{ client, slot int }
	var all []entry
	for c := range l.rows {
		for s, n := range l.rows[c].acked {
			if n > 0 {
				all = append(all, entry{c, s})
			}
		}
	}
	rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	all = all[:min(len(all), checked)]
	by := make([][]entry, len(l.rows))
	for _, e := range all {
		by[e.client] = append(by[e.client], e)
	}
	err := each(ctx, len(by), 64, func(ctx context.Context, _, c int) error {
		for _, e := range by[c] {
			if err := l.checkOne(ctx, e.client, e.slot); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.verdict(ctx)
}

func (l *ledger) checkOne(ctx context.Context, client, slot int) error {
	r := &l.rows[client]
	key := l.key(client, slot)
	var err error
	if r.buf, err = l.kv.Get(ctx, client, key, r.buf); err != nil {
		return fmt.Errorf("%w: write %d of %s was acknowledged and cannot be read: %w", ErrLost, r.acked[slot], key, err)
	}
	n, err := l.read(r.buf, client)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrLost, key, err)
	}
	if n < r.acked[slot] || n > r.tried || n%slots != slot {
		return fmt.Errorf("%w: %s has write %d, and write %d was acknowledged of %d", ErrLost, key, n, r.acked[slot], r.tried)
	}
	return nil
}

// number is the length of a message's head as a number, for queues.
func number(b []byte) (client, n int, err error) {
	if len(b) < head {
		return 0, 0, fmt.Errorf("%d bytes are no message of this load", len(b))
	}
	c, err := strconv.ParseUint(string(b[:6]), 16, 32)
	if err != nil {
		return 0, 0, err
	}
	at, err := strconv.ParseUint(string(b[7:15]), 16, 64)
	return int(c), int(at), err
}
