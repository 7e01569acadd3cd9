package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strconv"
	"sync/atomic"

	"github.com/pfs-project/pfs/bench/target"
)

// flow is size bytes of a stream that depends on a seed alone. Like random bytes
// it cannot be compressed, and it costs little to make.
type flow struct {
	block []byte
	at    int64
	size  int64
}

func newFlow(seed uint64, size int64) *flow {
	b := make([]byte, 1<<20+7) // no divisor of a chunk: no two chunks are alike
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	r := rand.NewChaCha8(key)
	_, _ = r.Read(b) // it never fails
	return &flow{block: b, size: size}
}

func (f *flow) Read(b []byte) (int, error) {
	if f.at == f.size {
		return 0, io.EOF
	}
	n := copy(b[:min(int64(len(b)), f.size-f.at)], f.block[f.at%int64(len(f.block)):])
	f.at += int64(n)
	return n, nil
}

func sum(r io.Reader) hash.Hash {
	h := sha256.New()
	_, _ = io.Copy(h, r) // neither side fails
	return h
}

func uploadCase(t target.Target, o Options) (Case, error) {
	if t.Blob == nil {
		return Case{}, errLacks
	}
	last := make([]uint64, o.Clients) // seed of the upload that was acknowledged; 0: none
	torn := make([]bool, o.Clients)   // one failed after it
	// Content that was there before, under any name, would be no work to store.
	var made atomic.Uint64
	made.Store(uint64(rand.Uint32()) | 1)
	op := func(ctx context.Context, client, _ int) error {
		seed := made.Add(2)
		err := t.Blob.Upload(ctx, "large-"+strconv.Itoa(client), newFlow(seed, o.Large), o.Large)
		if torn[client] = err != nil; err == nil {
			last[client] = seed
		}
		return err
	}
	after := func(ctx context.Context) error {
		for c, seed := range last {
			if seed == 0 || torn[c] {
				continue // there is no promise, or its successor may have taken its place
			}
			if err := same(ctx, t.Blob, "large-"+strconv.Itoa(c), seed, o.Large); err != nil {
				return err
			}
		}
		return nil
	}
	return Case{Spec: o.Spec("upload", o.Large, op), After: after}, nil
}

// same reads a blob and compares it with the flow of a seed.
func same(ctx context.Context, b target.Blob, name string, seed uint64, size int64) error {
	want := sum(newFlow(seed, size)).Sum(nil)
	return arrives(ctx, func() error {
		h := sha256.New()
		n, err := b.Download(ctx, name, h)
		if err != nil {
			return fmt.Errorf("%w: %s was acknowledged and cannot be read: %w", ErrLost, name, err)
		}
		if n != size || string(h.Sum(nil)) != string(want) {
			return fmt.Errorf("%w: %s was read as %d bytes that nobody wrote", ErrLost, name, n)
		}
		return nil
	})
}

func downloadCase(t target.Target, o Options) (Case, error) {
	if t.Blob == nil {
		return Case{}, errLacks
	}
	op := func(ctx context.Context, _, _ int) error {
		n, err := t.Blob.Download(ctx, "large", io.Discard)
		if err == nil && n != o.Large {
			err = fmt.Errorf("%d bytes were read of %d", n, o.Large)
		}
		return err
	}
	before := func(ctx context.Context) error {
		if err := t.Blob.Upload(ctx, "large", newFlow(7, o.Large), o.Large); err != nil {
			return err
		}
		return same(ctx, t.Blob, "large", 7, o.Large)
	}
	after := func(ctx context.Context) error { return same(ctx, t.Blob, "large", 7, o.Large) }
	return Case{Spec: o.Spec("download", o.Large, op), Before: before, After: after}, nil
}
