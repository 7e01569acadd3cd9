package mcp

import (
	"context"
	"fmt"
	"path"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Limits of a search.
const (
	usualMatches = 100
	maxMatches   = 500
	maxMatch     = 300 // bytes of a line that are shown
)

type searchIn struct {
	Path       string `json:"path"`
	Pattern    string `json:"pattern" jsonschema:"RE2"`
	Glob       string `json:"glob,omitempty" jsonschema:"of file names, as *.go"`
	IgnoreCase bool   `json:"ignore_case,omitempty"`
	Limit      int    `json:"limit,omitempty" jsonschema:"matches, 500 at most"`
	Cursor     string `json:"cursor,omitempty" jsonschema:"next of the answer before"`
}

type searchOut struct {
	Matches   []match `json:"matches"`
	Truncated bool    `json:"truncated,omitempty"`
	Next      string  `json:"next,omitempty"`
	Note      string  `json:"note,omitempty"`
}

type match struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// search finds lines.
func (s *Server) search(ctx context.Context, in searchIn) (*sdk.CallToolResult, searchOut, error) {
	out := searchOut{Matches: []match{}}
	if in.Limit < 0 {
		return nil, out, hint(vfs.Invalid.With("limit must not be negative"), "Leave it out for %d matches", usualMatches)
	}
	if _, err := path.Match(in.Glob, ""); err != nil {
		return nil, out, hint(vfs.Invalid.Withf("glob %q: %v", clip(in.Glob, 100), err), "Use * ? and [a-z] in it")
	}
	p, err := s.found(ctx, in.Path, true)
	if err != nil {
		return nil, out, err
	}
	of := fmt.Sprintf("search %s %q %q %t", p.named, in.Pattern, in.Glob, in.IgnoreCase)
	from, err := goOn(in.Cursor, of)
	if err != nil {
		return nil, out, err
	}
	limit, seen, size := usualMatches, 0, 0
	if in.Limit > 0 {
		limit = min(in.Limit, maxMatches)
	}
	find := client.GrepOptions{Recursive: p.info.IsDir, IgnoreCase: in.IgnoreCase}
	for m, err := range s.cfg.Client.Grep(ctx, string(p.path), in.Pattern, find) {
		switch {
		case vfs.KindOf(err) == vfs.Timeout && ctx.Err() == nil:
			out.Truncated, out.Note = true, "the server gave up after some seconds: search a directory below, or a narrower glob"
			return nil, out, nil
		case err != nil:
			return nil, out, err
		}
		if ok, _ := path.Match(in.Glob, path.Base(m.File)); in.Glob != "" && !ok {
			continue
		}
		if seen++; seen <= from.Skip {
			continue
		}
		if len(out.Matches) == limit || size > maxText {
			out.Truncated, out.Next = true, cursor{Of: of, Skip: from.Skip + len(out.Matches)}.String()
			return nil, out, nil
		}
		file := p.named.Join(vfs.Path(m.File).Rel(p.path)) // as the agent knows it
		out.Matches = append(out.Matches, match{string(file), m.Line, clip(m.Content, maxMatch)})
		size += len(file) + min(len(m.Content), maxMatch) + 40
	}
	return nil, out, nil
}
