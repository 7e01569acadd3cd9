package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/bench/target"
)

var errLacks = errors.New("the target has no such interface")

func putCase(t target.Target, o Options) (Case, error) {
	if t.KV == nil {
		return Case{}, errLacks
	}
	l := newLedger(t.KV, "put", o.Clients, o.Size)
	op := func(ctx context.Context, client, _ int) error { return l.put(ctx, client) }
	return Case{Spec: o.Spec("put", int64(l.size), op), After: l.check}, nil
}

// pick chooses a key of n.
type pick func(r *rand.Rand, n int) func() int

func hot(*rand.Rand, int) func() int         { return func() int { return 0 } }
func uniform(r *rand.Rand, n int) func() int { return func() int { return r.IntN(n) } }

// zipf gives the first of 10,000 keys to a tenth of the requests.
func zipf(r *rand.Rand, n int) func() int {
	z := rand.NewZipf(r, 1.1, 1, uint64(n-1))
	return func() int { return int(z.Uint64()) }
}

// shelf is keys that are written once, to be read.
type shelf struct {
	values
	kv   target.KV
	keys int
	read []reader
	witness
}

type reader struct {
	next func() int
	buf  []byte
	_    [8]uint64
}

func newShelf(kv target.KV, o Options, how pick) *shelf {
	s := &shelf{values: newValues(o.Size), kv: kv, keys: max(o.Keys, 2), read: make([]reader, o.Clients)}
	for c := range s.read {
		s.read[c].next = how(rand.New(rand.NewPCG(3, uint64(c))), s.keys)
	}
	return s
}

func (s *shelf) key(k int) string { return "key-" + strconv.Itoa(k) }

// fill writes the keys from a number on with all clients, fillers at most. One
// that is refused is written again.
func (s *shelf) fill(ctx context.Context, from int) error {
	err := each(ctx, s.keys-from, min(len(s.read), fillers), func(ctx context.Context, w, i int) error {
		s.read[w].buf = s.write(s.read[w].buf, from+i, from+i)
		return arrives(ctx, func() error { return s.kv.Put(ctx, w, s.key(from+i), s.read[w].buf) })
	})
	if err != nil {
		return err
	}
	// Every node has applied all of it once it has this one, written last.
	last := s.write(nil, s.keys-1, s.keys-1)
	if err := s.kv.Put(ctx, 0, "last", last); err != nil {
		return err
	}
	return each(ctx, min(len(s.read), 16), 16, func(ctx context.Context, _, c int) error {
		return arrives(ctx, func() error {
			b, err := s.kv.Get(ctx, c, "last", nil)
			if err == nil {
				if _, wrong := s.values.read(b, s.keys-1); wrong != nil {
					err = fmt.Errorf("%w: %w", ErrLost, wrong)
				}
			}
			return err
		})
	})
}

// arrives asks again for ten seconds until there is no error.
func arrives(ctx context.Context, ask func() error) error {
	pause := time.Millisecond
	for until := time.Now().Add(10 * time.Second); ; pause = min(2*pause, time.Second) {
		err := ask()
		if err == nil || ctx.Err() != nil || time.Now().After(until) {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (s *shelf) get(ctx context.Context, client int) error {
	r := &s.read[client]
	k := r.next()
	b, err := s.kv.Get(ctx, client, s.key(k), r.buf)
	if err != nil {
		return err
	}
	r.buf = b
	n, err := s.values.read(b, k)
	if err == nil && n != k {
		err = fmt.Errorf("it is write %d", n)
	}
	if err != nil {
		err = fmt.Errorf("%s is not what was written: %w", s.key(k), err)
	}
	return s.saw(err)
}

func getCase(name string, how pick) func(target.Target, Options) (Case, error) {
	return func(t target.Target, o Options) (Case, error) {
		if t.KV == nil {
			return Case{}, errLacks
		}
		if name == "get" {
			o.Keys = 2
		}
		s := newShelf(t.KV, o, how)
		op := func(ctx context.Context, client, _ int) error { return s.get(ctx, client) }
		return Case{Spec: o.Spec(name, int64(s.size), op), Before: func(ctx context.Context) error { return s.fill(ctx, 0) }, After: s.verdict}, nil
	}
}

// ReadCase is GETs through one way in, out, of one value that was put through
// another, in: for ways into one server, and for servers that have one value for
// all keys. Every answer is compared; a wrong one is ErrLost.
func ReadCase(name string, in, out target.KV, o Options) Case {
	v, key := newValues(o.Size), unique("read")
	want := v.write(nil, 0, rand.IntN(1<<30))
	bufs := make([][]byte, o.Clients)
	var w witness
	// get has two errors: that of the request, and that of the answer.
	get := func(ctx context.Context, client int) (err, wrong error) {
		b, err := out.Get(ctx, client, key, bufs[client])
		if err != nil {
			return err, nil
		}
		if bufs[client] = b; !bytes.Equal(b, want) {
			return nil, fmt.Errorf("%.40q was read, and %.40q was written", b, want)
		}
		return nil, nil
	}
	op := func(ctx context.Context, client, _ int) error {
		err, wrong := get(ctx, client)
		return errors.Join(err, w.saw(wrong))
	}
	before := func(ctx context.Context) error {
		if err := in.Put(ctx, 0, key, want); err != nil {
			return err
		}
		return each(ctx, o.Clients, 16, func(ctx context.Context, _, c int) error {
			return arrives(ctx, func() error { return errors.Join(get(ctx, c)) })
		})
	}
	return Case{Spec: o.Spec(name, int64(v.size), op), Before: before, After: w.verdict}
}

func mixedCase(t target.Target, o Options) (Case, error) {
	if t.KV == nil {
		return Case{}, errLacks
	}
	s, l := newShelf(t.KV, o, uniform), newLedger(t.KV, "mixed", o.Clients, o.Size)
	op := func(ctx context.Context, client, _ int) error {
		if l.rows[client].rand.IntN(10) == 0 {
			return l.put(ctx, client)
		}
		return s.get(ctx, client)
	}
	after := func(ctx context.Context) error { return errors.Join(s.verdict(ctx), l.check(ctx)) }
	return Case{Spec: o.Spec("mixed", int64(s.size), op), Before: func(ctx context.Context) error { return s.fill(ctx, 0) }, After: after}, nil
}
