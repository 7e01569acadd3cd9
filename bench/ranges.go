package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
)

// slice is how much a read at a random place asks for.
const slice = 64 << 10

// ranges reads parts of a large file at random places and compares each.
func ranges(ctx context.Context, s *stage) error {
	if s.Large < slice {
		return fmt.Errorf("--large is less than the %d bytes that one read asks for", slice)
	}
	content := newFlow(9, s.Large)
	blob := s.target.Blob
	if err := blob.Upload(ctx, "ranges", newFlow(9, s.Large), s.Large); err != nil {
		return err
	}
	if err := same(ctx, blob, "ranges", 9, s.Large); err != nil {
		return err
	}
	return s.perClients(ctx, func(o Options) (Case, error) {
		var w witness
		op := func(ctx context.Context, c, _ int) error {
			at := rand.Int64N(s.Large - slice + 1)
			one := s.sessions()[c]
			body, err := one.do(ctx, "GET", "/files?"+s.file("ranges"), nil, "Range", fmt.Sprintf("bytes=%d-%d", at, at+slice-1))
			if err != nil {
				return err
			}
			if len(body) != slice || !bytes.Equal(body[:256], content.bytes(at, 256)) || !bytes.Equal(body[slice-256:], content.bytes(at+slice-256, 256)) {
				return w.saw(fmt.Errorf("%d bytes at %d are not what was written", len(body), at))
			}
			return nil
		}
		before := func(ctx context.Context) error {
			return each(ctx, min(o.Clients, 16), 16, func(ctx context.Context, _, c int) error {
				return arrives(ctx, func() error {
					_, err := s.sessions()[c].do(ctx, "GET", "/stat?"+s.file("ranges"), nil)
					return err
				})
			})
		}
		return Case{Spec: o.Spec("range 64 KiB", slice, op), Before: before, After: w.verdict}, nil
	})
}

// bytes are n bytes at an offset.
func (f *flow) bytes(at int64, n int) []byte {
	out := make([]byte, n)
	part := flow{block: f.block, at: at, size: at + int64(n)}
	for got := 0; got < n; {
		k, _ := part.Read(out[got:]) // it ends where out does
		got += k
	}
	return out
}
