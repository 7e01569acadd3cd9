package mcp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Limits of a listing.
const (
	usualEntries = 200
	maxEntries   = 1000
	maxDirs      = 200 // that one answer looks into
	maxDeep      = 32  // levels below the first that it goes down
	deepPage     = 100 // entries that are held of each of them
)

type listIn struct {
	Path      string `json:"path"`
	Recursive bool   `json:"recursive,omitempty"`
	Limit     int    `json:"limit,omitempty" jsonschema:"entries, 1000 at most"`
	Cursor    string `json:"cursor,omitempty" jsonschema:"next of the answer before"`
}

type entry struct {
	Name     string     `json:"name"`
	Type     string     `json:"type" jsonschema:"file, dir, link, control, stream or consume"`
	Size     int64      `json:"size,omitempty"`
	Modified *time.Time `json:"modified,omitempty"`
	ETag     string     `json:"etag,omitempty"`
	Error    string     `json:"error,omitempty"`
}

type listOut struct {
	Path      string  `json:"path"`
	Entries   []entry `json:"entries"`
	Truncated bool    `json:"truncated,omitempty"`
	Next      string  `json:"next,omitempty"`
}

// list describes what is in a directory, or a file.
func (s *Server) list(ctx context.Context, in listIn) (*sdk.CallToolResult, listOut, error) {
	if in.Limit < 0 {
		return nil, listOut{}, hint(vfs.Invalid.With("limit must not be negative"), "Leave it out for %d entries", usualEntries)
	}
	p, err := s.found(ctx, in.Path, true)
	if err != nil {
		return nil, listOut{}, err
	}
	out := listOut{Path: string(p.named), Entries: []entry{}}
	if !p.info.IsDir {
		out.Entries = append(out.Entries, describe(*p.info, p.named.Base()))
		return nil, out, nil
	}
	of := fmt.Sprintf("list %s %t", p.named, in.Recursive)
	from, err := goOn(in.Cursor, of)
	if err != nil {
		return nil, out, err
	}
	l := lister{s: s, recursive: in.Recursive, limit: usualEntries, out: &out}
	if in.Limit > 0 {
		l.limit = min(in.Limit, maxEntries)
	}
	var after []string
	if from.After != "" {
		after = strings.Split(from.After, "/")
	}
	if err = l.dir(ctx, p.path, "", after); errors.Is(err, errFull) {
		out.Truncated = true
		out.Next = cursor{Of: of, After: out.Entries[len(out.Entries)-1].Name}.String()
		err = nil
	}
	return nil, out, err
}

// errFull ends what has collected enough.
var errFull = errors.New("full")

// lister walks directories by name, each before what is in it.
type lister struct {
	s           *Server
	recursive   bool
	limit, dirs int
	size        int // bytes of names
	out         *listOut
}

// dir adds the entries of a directory that come after one, which may be in a
// directory below. Links are not followed.
func (l *lister) dir(ctx context.Context, dir vfs.Path, prefix string, after []string) error {
	last := ""
	if len(after) > 0 {
		last = after[0]
		if err := l.rest(ctx, dir.Child(last), prefix+last+"/", after[1:]); err != nil {
			return err
		}
	} else if l.dirs++; l.dirs > maxDirs {
		return errFull
	}
	size := l.limit + 1
	if prefix != "" {
		size = min(size, deepPage)
	}
	for {
		page, err := l.s.cfg.Client.Page(ctx, string(dir), last, size)
		if err != nil {
			return err
		}
		for _, i := range page {
			if len(l.out.Entries) == l.limit || l.size > maxText {
				return errFull
			}
			l.out.Entries = append(l.out.Entries, describe(i, prefix+i.Name))
			l.size += len(prefix) + len(i.Name) + 80
			if err := l.below(ctx, dir.Child(i.Name), prefix+i.Name+"/", i); err != nil {
				return err
			}
			last = i.Name
		}
		if len(page) < size {
			return nil
		}
	}
}

// below adds what is in a directory that was just added.
func (l *lister) below(ctx context.Context, at vfs.Path, prefix string, i client.Info) error {
	if !l.recursive || !i.IsDir || i.IsLink() {
		return nil
	}
	mine := len(l.out.Entries) - 1
	if tooDeep(prefix) {
		l.out.Entries[mine].Error = "too deep: list it by itself"
		return nil
	}
	err := l.dir(ctx, at, prefix, nil)
	if err == nil || errors.Is(err, errFull) || ctx.Err() != nil {
		return err
	}
	l.out.Entries[mine].Error = codeOf(err)
	return nil
}

// rest adds what is left of a directory that the answer before has got into.
func (l *lister) rest(ctx context.Context, at vfs.Path, prefix string, after []string) error {
	if p, err := vfs.ParsePath(string(at)); !l.recursive || err != nil || p != at || tooDeep(prefix) {
		return nil // no list has got there
	}
	i, err := l.s.cfg.Client.Stat(ctx, string(at))
	if err != nil || !i.IsDir || i.IsLink() {
		return nil // it has gone meanwhile, or holds nothing
	}
	if err = l.dir(ctx, at, prefix, after); vfs.KindOf(err) == vfs.NotFound {
		return nil
	}
	return err
}

// tooDeep reports whether the directory whose entries have this prefix is not
// looked into: for each level above it a page is held.
func tooDeep(prefix string) bool { return strings.Count(prefix, "/") > maxDeep }

// describe is what a model is told of a file.
func describe(i client.Info, name string) entry {
	e := entry{Name: name, Type: "file", Size: i.Size, ETag: bare(i.ETag)}
	switch {
	case i.IsLink():
		e.Type = "link"
	case i.IsDir:
		e.Type, e.Size = "dir", 0
	case i.Consumes():
		e.Type = "consume"
	case i.Endless():
		e.Type = "stream"
	case i.Control():
		e.Type = "control"
	}
	if t := i.ModTime.UTC().Truncate(time.Second); t.Year() > 1970 {
		e.Modified = &t
	}
	return e
}
