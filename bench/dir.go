package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"
)

// pageSize is how many entries a page of a listing has.
const pageSize = 1000

// directory fills one directory, and then has each client walk it, page by page,
// again and again: one page is one request.
func directory(ctx context.Context, s *stage) error {
	name, _ := strings.CutPrefix(s.file("many"), "path=")
	sessions := s.sessions()
	fmt.Fprintf(s.Log, "  filling a directory with %d entries\n", s.Entries)
	if _, err := sessions[0].do(ctx, "POST", "/directories?path="+name, nil); err != nil {
		return err
	}
	err := each(ctx, s.Entries, len(sessions), func(ctx context.Context, w, i int) error {
		_, err := sessions[w].do(ctx, "PUT", "/files?path="+name+fmt.Sprintf("%%2Fe%08d", i), []byte("x"))
		return err
	})
	if err != nil {
		return err
	}
	return s.perClients(ctx, func(o Options) (Case, error) {
		type walk struct {
			cursor string
			seen   int
			_      [8]uint64
		}
		walks := make([]walk, o.Clients)
		var w witness
		op := func(ctx context.Context, c, _ int) error {
			k := &walks[c]
			body, err := sessions[c].do(ctx, "GET", fmt.Sprintf("/directories?path=%s&limit=%d&cursor=%s", name, pageSize, url.QueryEscape(k.cursor)), nil)
			if err != nil {
				return err
			}
			k.seen += bytes.Count(body, []byte(`"modTime"`))
			_, tail, _ := bytes.Cut(body[max(0, len(body)-200):], []byte(`"next_cursor":"`))
			next, _, _ := bytes.Cut(tail, []byte(`"`))
			if k.cursor = string(next); k.cursor == "" {
				if k.seen != s.Entries {
					return w.saw(fmt.Errorf("a walk saw %d entries of %d", k.seen, s.Entries))
				}
				k.seen = 0
			}
			return nil
		}
		before := func(ctx context.Context) error {
			return each(ctx, min(o.Clients, 16), 16, func(ctx context.Context, _, c int) error {
				return arrives(ctx, func() error {
					_, err := sessions[c].do(ctx, "GET", "/stat?path="+name+fmt.Sprintf("%%2Fe%08d", s.Entries-1), nil)
					return err
				})
			})
		}
		return Case{Spec: o.Spec(fmt.Sprintf("dir of %d", s.Entries), 0, op), Before: before, After: w.verdict}, nil
	})
}
