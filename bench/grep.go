package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// The tree to search: 10 directories of 100 files of some 4 KiB, a word in each
// tenth file.
const (
	grepDirs  = 10
	grepFiles = 1000
	grepEach  = 10
)

// grepTree searches a tree for a word; one request is the whole tree.
func grepTree(ctx context.Context, s *stage) error {
	sessions := s.sessions()
	if err := each(ctx, grepDirs, 1, func(ctx context.Context, _, d int) error {
		return s.api.Mkdir(ctx, fmt.Sprintf("%s/d%d", s.server.Files, d), 0o755)
	}); err != nil {
		return err
	}
	v := newValues(64)
	err := each(ctx, grepFiles, len(sessions), func(ctx context.Context, w, i int) error {
		var text []byte
		for line := range 64 {
			text = append(append(text, v.write(nil, i, line)...), '\n')
		}
		if i%grepEach == 0 {
			text = append(text, "here is the NEEDLE\n"...)
		}
		_, err := sessions[w].do(ctx, "PUT", "/files?"+s.file(fmt.Sprintf("d%d/f%d", i%grepDirs, i)), text)
		return err
	})
	if err != nil {
		return err
	}
	ask, err := json.Marshal(map[string]any{"path": s.server.Files, "pattern": "NEEDLE", "recursive": true})
	if err != nil {
		return err
	}
	search := func(ctx context.Context, c int) error {
		body, err := sessions[c].do(ctx, "POST", "/grep", ask)
		if err != nil {
			return err
		}
		if n := bytes.Count(body, []byte("here is the NEEDLE")); n != grepFiles/grepEach {
			return fmt.Errorf("%d lines were found of %d", n, grepFiles/grepEach)
		}
		return nil
	}
	return s.perClients(ctx, func(o Options) (Case, error) {
		var w witness
		op := func(ctx context.Context, c, _ int) error {
			err := search(ctx, c)
			if err != nil && strings.Contains(err.Error(), "were found") {
				return w.saw(err)
			}
			return err
		}
		before := func(ctx context.Context) error {
			return each(ctx, min(o.Clients, 16), 16, func(ctx context.Context, _, c int) error {
				return arrives(ctx, func() error { return search(ctx, c) })
			})
		}
		return Case{Spec: o.Spec(fmt.Sprintf("grep %d files", grepFiles), grepFiles*65*64, op), Before: before, After: w.verdict}, nil
	})
}
