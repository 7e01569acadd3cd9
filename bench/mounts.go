package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// manyMounts reads a small file through one mount, then through one of
// many chosen anew each time, in turns: what the length of the table costs.
func manyMounts(ctx context.Context, s *stage) error {
	v := newValues(s.Size)
	base := "/bench-mounts-" + strconv.FormatInt(rand.Int64(), 36)
	mount := func(k int) string { return base + "-" + strconv.Itoa(k) }
	fmt.Fprintf(s.Log, "  mounting %d\n", s.Mounts)
	made := 0
	defer func() {
		if s.cluster != nil {
			return // it goes as a whole
		}
		for k := range made {
			if err := s.api.Unmount(context.WithoutCancel(ctx), mount(k)); err != nil {
				fmt.Fprintf(s.Log, "  %s is left: %v\n", mount(k), err)
			}
		}
	}()
	var w witness
	get := func(ctx context.Context, c, k int) error {
		body, err := s.sessions()[c].do(ctx, "GET", "/files?path="+mount(k)+"/f", nil)
		if err != nil {
			return err
		}
		if _, err := v.read(body, k); err != nil {
			return w.saw(err)
		}
		return nil
	}
	add := func(ctx context.Context, upTo int) error {
		for ; made < upTo; made++ {
			if err := s.api.Mount(ctx, "memfs", mount(made), nil); err != nil {
				return err
			}
			if _, err := s.api.WriteFile(ctx, mount(made)+"/f", v.write(nil, made, made)); err != nil {
				return err
			}
		}
		return each(ctx, len(s.server.URLs), 16, func(ctx context.Context, _, c int) error {
			return arrives(ctx, func() error { return get(ctx, c, upTo-1) })
		})
	}
	for _, turn := range []int{1, s.Mounts} {
		if err := add(ctx, turn); err != nil {
			return err
		}
		err := s.perClients(ctx, func(o Options) (Case, error) {
			op := func(ctx context.Context, c, _ int) error { return get(ctx, c, rand.IntN(turn)) }
			return Case{Spec: o.Spec("get, "+count(turn, "mount"), int64(v.size), op), After: w.verdict}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
