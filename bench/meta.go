package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// listing is the answer to a list, as far as it matters here.
type listing struct {
	Files []struct{ Name string }
	Next  string `json:"next_cursor"`
}

// metadata makes a file, looks at it, lists its directory and removes it: four
// requests count as one.
func metadata(ctx context.Context, s *stage) error {
	return s.perClients(ctx, func(o Options) (Case, error) {
		var w witness
		dir := func(c int) string { return "meta-" + strconv.Itoa(o.Clients) + "-" + strconv.Itoa(c) }
		before := func(ctx context.Context) error {
			return each(ctx, o.Clients, 64, func(ctx context.Context, _, c int) error {
				_, err := s.sessions()[c].do(ctx, "POST", "/directories?"+s.file(dir(c)), nil)
				return err
			})
		}
		op := func(ctx context.Context, c, i int) error {
			one, name := s.sessions()[c], "f"+strconv.Itoa(i)
			file := s.file(dir(c) + "/" + name)
			if _, err := one.do(ctx, "POST", "/files?"+file, nil); err != nil {
				return err
			}
			if _, err := one.do(ctx, "GET", "/stat?"+file, nil); err != nil {
				return w.saw(fmt.Errorf("%s was made and is not there: %w", name, err))
			}
			body, err := one.do(ctx, "GET", "/directories?"+s.file(dir(c)), nil)
			if err != nil {
				return err
			}
			var l listing
			if err := json.Unmarshal(body, &l); err != nil || len(l.Files) != 1 || l.Files[0].Name != name {
				return w.saw(fmt.Errorf("the directory of %s lists %.200s", name, body))
			}
			_, err = one.do(ctx, "DELETE", "/files?"+file, nil)
			return err
		}
		after := func(ctx context.Context) error {
			err := each(ctx, o.Clients, 64, func(ctx context.Context, _, c int) error {
				body, err := s.sessions()[c].do(ctx, "GET", "/directories?"+s.file(dir(c)), nil)
				if err != nil {
					return err
				}
				var l listing
				if err := json.Unmarshal(body, &l); err != nil || len(l.Files) != 0 {
					return fmt.Errorf("%w: files that were deleted are there: %.200s", ErrLost, body)
				}
				return nil
			})
			if err != nil {
				return err
			}
			return w.verdict(ctx)
		}
		return Case{Spec: o.Spec("meta", 0, op), Before: before, After: after}, nil
	})
}
