package mcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Limits of what is written, in bytes.
const (
	maxContent = 512 << 10 // of one write
	maxEdited  = 4 << 20   // of a file that is edited
)

type writeIn struct {
	Path    string `json:"path"`
	Content string `json:"content,omitempty"`
	Mode    string `json:"mode,omitempty" jsonschema:"replace (default), create (must be new) or append"`
	IfMatch string `json:"if_match,omitempty" jsonschema:"etag that it must still have"`
}

type writeOut struct {
	Path string `json:"path"`
	ETag string `json:"etag,omitempty"`
	Size int64  `json:"size" jsonschema:"bytes written"`
}

// write changes a whole file, or makes a directory.
func (s *Server) write(ctx context.Context, in writeIn) (res *sdk.CallToolResult, out writeOut, err error) {
	dir := strings.HasSuffix(in.Path, "/")
	switch {
	case len(in.Content) > maxContent:
		return nil, out, hint(vfs.TooLarge.Withf("content has %d bytes, at most %d", len(in.Content), maxContent), "Write a first part, then append the others")
	case dir && (in.Content != "" || in.Mode != "" || in.IfMatch != ""):
		return nil, out, hint(vfs.Invalid.With("a path that ends in / makes a directory, which has no content"), "Leave the / out to write a file")
	case in.Mode != "" && in.Mode != "replace" && in.Mode != "create" && in.Mode != "append":
		return nil, out, hint(vfs.Invalid.Withf("mode %q", clip(in.Mode, 50)), "It is replace, create or append")
	case in.IfMatch != "" && in.Mode != "" && in.Mode != "replace":
		return nil, out, hint(vfs.Invalid.With("if_match goes with mode replace alone"), "Leave one of them out")
	}
	try := func() error {
		out, err = s.writeOnce(ctx, in, dir)
		return err
	}
	if in.IfMatch != "" || in.Mode == "create" {
		return nil, out, try()
	}
	patience := time.Duration(0)
	if in.Mode == "append" {
		patience = appendTime
	}
	return nil, out, settled(ctx, patience, try)
}

func (s *Server) writeOnce(ctx context.Context, in writeIn, dir bool) (writeOut, error) {
	p, err := s.at(ctx, in.Path, true)
	if err != nil {
		return writeOut{}, err
	}
	out := writeOut{Path: string(p.named), Size: int64(len(in.Content))}
	switch {
	case dir && p.info != nil && !p.info.IsDir:
		return out, vfs.Exists.Withf("%s is a file", p.named)
	case dir:
		return out, s.mkdirs(ctx, p.path)
	case p.info != nil && p.info.IsDir:
		return out, vfs.IsDirectory.Withf("%s is a directory", p.named)
	case in.Mode == "create" && p.info != nil:
		return out, vfs.Exists.Withf("%s already exists", p.named)
	}
	w, err := s.fill(ctx, p, in)
	if p.info == nil && vfs.KindOf(err) == vfs.NotFound {
		if err = s.mkdirs(ctx, p.path.Dir()); err == nil {
			w, err = s.fill(ctx, p, in)
		}
	}
	if in.Mode == "create" && vfs.KindOf(err) == vfs.Stale {
		err = vfs.Exists.Withf("%s already exists", p.named)
	}
	out.ETag = bare(w.ETag)
	return out, err
}

// fill writes to the file that was found at p, or makes one where there was none.
// Under a root, what has come there since, such as a link, is Stale; a mount that
// knows no conditions writes what is there then.
func (s *Server) fill(ctx context.Context, p place, in writeIn) (client.Written, error) {
	var opts []client.Option
	flags := "create,truncate,exclusive"
	switch {
	case in.IfMatch != "":
		opts = []client.Option{client.IfMatch(quoted(in.IfMatch))}
	case in.Mode == "append":
		opts, flags = append(s.same(p), client.Append()), "append,create,exclusive"
	case in.Mode == "create":
		opts = []client.Option{client.IfAbsent()}
	case p.info != nil && !p.info.Control():
		opts = s.same(p)
	}
	if in.IfMatch == "" && p.info == nil && !s.root.IsRoot() {
		// What is exclusive follows no link at the end, which the condition alone would.
		w, err := s.cfg.Client.WriteFile(ctx, string(p.path), []byte(in.Content), client.Flags(flags), client.IfAbsent())
		switch vfs.KindOf(err) {
		case vfs.Unsupported:
		case vfs.Exists:
			return w, vfs.Stale.Withf("%s has come meanwhile", p.named)
		default:
			return w, err
		}
	}
	return s.cfg.Client.WriteFile(ctx, string(p.path), []byte(in.Content), opts...)
}

// mkdirs makes a directory and those above it that are missing.
func (s *Server) mkdirs(ctx context.Context, dir vfs.Path) error {
	err := s.cfg.Client.Mkdir(ctx, string(dir), 0o755)
	if vfs.KindOf(err) == vfs.NotFound && !dir.IsRoot() {
		if err = s.mkdirs(ctx, dir.Dir()); err == nil {
			err = s.cfg.Client.Mkdir(ctx, string(dir), 0o755)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

type editIn struct {
	Path string `json:"path"`
	Old  string `json:"old" jsonschema:"exact text, without line numbers"`
	New  string `json:"new"`
	All  bool   `json:"all,omitempty"`
}

type editOut struct {
	Path     string `json:"path"`
	Replaced int    `json:"replaced"`
	Line     int    `json:"line" jsonschema:"of the first one"`
	ETag     string `json:"etag"`
}

// edit replaces text in a file, if nobody else changes it meanwhile.
func (s *Server) edit(ctx context.Context, in editIn) (*sdk.CallToolResult, editOut, error) {
	switch {
	case in.Old == "":
		return nil, editOut{}, hint(vfs.Invalid.With("old is empty"), "Give the text to replace, or use write")
	case in.Old == in.New:
		return nil, editOut{}, hint(vfs.Invalid.With("old and new are the same"), "Nothing was changed")
	case len(in.New) > maxContent:
		return nil, editOut{}, vfs.TooLarge.Withf("new has %d bytes, at most %d", len(in.New), maxContent)
	}
	p, err := s.readable(ctx, in.Path)
	if err != nil {
		return nil, editOut{}, err
	}
	out := editOut{Path: string(p.named)}
	text, err := s.editable(ctx, p)
	if err != nil {
		return nil, out, err
	}
	old := []byte(in.Old)
	out.Replaced = bytes.Count(text, old)
	switch {
	case out.Replaced == 0:
		return nil, out, hint(vfs.Conflict.Withf("%s: old was found 0 times", p.named), "Nothing was changed. Read the file and give the text exactly, with its white space")
	case out.Replaced > 1 && !in.All:
		return nil, out, hint(vfs.Conflict.Withf("%s: old was found %d times", p.named, out.Replaced), "Nothing was changed. Give more of the text around it, or set all")
	case int64(len(text))+int64(out.Replaced)*int64(len(in.New)-len(in.Old)) > maxEdited:
		return nil, out, hint(vfs.TooLarge.Withf("%s would be longer than %d bytes", p.named, maxEdited), "Nothing was changed")
	}
	out.Line = 1 + bytes.Count(text[:bytes.Index(text, old)], []byte{'\n'})
	w, err := s.cfg.Client.WriteFile(ctx, string(p.path), bytes.ReplaceAll(text, old, []byte(in.New)), client.IfMatch(p.info.ETag))
	out.ETag = bare(w.ETag)
	return nil, out, err
}

// editable reads a file as it was when p was found.
func (s *Server) editable(ctx context.Context, p place) ([]byte, error) {
	switch {
	case p.info.Control():
		return nil, hint(vfs.Unsupported.Withf("%s is a control file", p.named), "Write it instead")
	case p.info.ETag == "":
		return nil, hint(vfs.Unsupported.Withf("%s: its mount keeps no versions, so a change by others could be lost", p.named), "Read it, then write it whole")
	case p.info.Size > maxEdited:
		return nil, hint(vfs.TooLarge.Withf("%s has %d bytes, at most %d are edited", p.named, p.info.Size, maxEdited), "Write it in parts to a new file")
	}
	r, err := s.cfg.Client.OpenRange(ctx, string(p.path), client.Range{Size: -1}, client.IfMatch(p.info.ETag))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxEdited+1))
	switch {
	case err != nil:
		return nil, err
	case bytes.IndexByte(text, 0) >= 0 || !utf8.Valid(text):
		return nil, hint(vfs.Invalid.Withf("%s is not text", p.named), "Only UTF-8 text is edited")
	}
	return text, nil
}
