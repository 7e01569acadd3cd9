package mcp

import (
	"context"
	"path"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/vfs"
)

type moveIn struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type pathOut struct {
	Path string `json:"path"`
}

// move renames. Links at the ends are moved and replaced, not followed.
func (s *Server) move(ctx context.Context, in moveIn) (*sdk.CallToolResult, pathOut, error) {
	from, err := s.found(ctx, in.From, false)
	if err == nil {
		err = s.below(from)
	}
	if err != nil {
		return nil, pathOut{}, err
	}
	if strings.HasSuffix(in.To, "/") { // into a directory
		in.To += path.Base(string(from.named))
	}
	to, err := s.at(ctx, in.To, false)
	if err == nil {
		err = s.below(to)
	}
	if err != nil {
		return nil, pathOut{}, err
	}
	err = s.cfg.Client.Rename(ctx, string(from.path), string(to.path))
	switch vfs.KindOf(err) {
	case vfs.Unsupported:
		err = hint(err, "Write it at the new path, then remove the old one")
	case vfs.NotFound:
		err = hint(err, "Make the new directory first: write to %s/", to.named.Dir())
	}
	return nil, pathOut{string(to.named)}, err
}

type removeIn struct {
	Path      string `json:"path"`
	Recursive bool   `json:"recursive,omitempty"`
}

// remove removes; a link at the end is removed, not followed.
func (s *Server) remove(ctx context.Context, in removeIn) (*sdk.CallToolResult, pathOut, error) {
	p, err := s.found(ctx, in.Path, false)
	if err == nil {
		err = s.below(p)
	}
	if err != nil {
		return nil, pathOut{}, err
	}
	remove := s.cfg.Client.Remove
	if in.Recursive {
		remove = s.cfg.Client.RemoveAll
	}
	return nil, pathOut{string(p.named)}, remove(ctx, string(p.path), s.same(p)...)
}

// below refuses the root itself, which agents may not move, replace or remove.
func (s *Server) below(p place) error {
	if p.named == s.root {
		return hint(vfs.Permission.Withf("%s is the root", p.named), "Name what is below it")
	}
	return nil
}

// Times of waiting.
const (
	usualWait = 30 * time.Second
	maxWait   = 55 * time.Second // less than clients wait for an answer
	firstLook = 100 * time.Millisecond
	lastLook  = time.Second
)

type waitIn struct {
	Path    string `json:"path"`
	ETag    string `json:"etag,omitempty" jsonschema:"the version known; without it, the present one"`
	Seconds int    `json:"seconds,omitempty" jsonschema:"30, at most 55"`
}

type waitOut struct {
	Path    string `json:"path"`
	Changed bool   `json:"changed"`
	Exists  bool   `json:"exists"`
	ETag    string `json:"etag,omitempty"`
	Size    int64  `json:"size"`
}

// wait answers when a file is no longer as it was, or after a while.
func (s *Server) wait(ctx context.Context, in waitIn) (r *sdk.CallToolResult, out waitOut, err error) {
	ierr := idle(ctx, func() { r, out, err = s.waited(ctx, in) })
	if err == nil {
		err = ierr
	}
	return r, out, err
}

func (s *Server) waited(ctx context.Context, in waitIn) (*sdk.CallToolResult, waitOut, error) {
	if in.Seconds < 0 {
		return nil, waitOut{}, hint(vfs.Invalid.With("seconds must not be negative"), "Leave it out to wait %v", usualWait)
	}
	d := usualWait
	if in.Seconds > 0 {
		d = time.Duration(min(in.Seconds, int(maxWait/time.Second))) * time.Second
	}
	end := time.Now().Add(d)
	known, first := bare(in.ETag), true
	for look := firstLook; ; look = min(2*look, lastLook) {
		p, err := s.at(ctx, in.Path, true)
		if err != nil {
			return nil, waitOut{}, err
		}
		if first && known == "" {
			known = bare(version(p))
		}
		first = false
		out := waitOut{Path: string(p.named), Changed: bare(version(p)) != known}
		if p.info != nil {
			out.Exists, out.ETag, out.Size = true, bare(p.info.ETag), p.info.Size
		}
		if out.Changed || !time.Now().Before(end) {
			return nil, out, nil
		}
		if err := pause(ctx, min(look, time.Until(end))); err != nil {
			return nil, out, err
		}
	}
}

// version tells contents apart: the ETag, or what stands for it where the mount
// keeps none; "" if nothing is there.
func version(p place) string {
	switch {
	case p.info == nil:
		return ""
	case p.info.ETag != "":
		return p.info.ETag
	}
	return p.info.ModTime.String() + " " + time.Duration(p.info.Size).String()
}

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
