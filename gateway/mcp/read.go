package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Limits of what is read, in bytes and lines.
const (
	maxText   = 48 << 10  // of one answer: some 14,000 tokens
	maxLines  = 2000      // of one answer
	maxScan   = 64 << 20  // of a file, to find lines and count them
	maxImage  = 256 << 10 // that is shown
	maxSniff  = 8 << 10   // that tell whether a file is text
	maxNumber = 1 << 40   // an offset that is still a number of lines
)

type readIn struct {
	Path   string `json:"path"`
	Offset int    `json:"offset,omitempty" jsonschema:"first line, from 1"`
	Limit  int    `json:"limit,omitempty" jsonschema:"lines, 2000 at most"`
}

type readOut struct {
	Path      string `json:"path"`
	Text      string `json:"text,omitempty" jsonschema:"each line after its number and a tab"`
	Lines     int    `json:"lines"`
	Total     int    `json:"total,omitempty" jsonschema:"lines of the file"`
	Size      int64  `json:"size"`
	ETag      string `json:"etag,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
	Next      int    `json:"next,omitempty" jsonschema:"offset to go on at"`
	Cut       bool   `json:"cut,omitempty" jsonschema:"the line was longer than an answer"`
	Link      string `json:"link,omitempty" jsonschema:"URI of a file that is not text"`
}

// read answers lines of a file.
func (s *Server) read(ctx context.Context, in readIn) (res *sdk.CallToolResult, out readOut, err error) {
	if in.Offset < 0 || in.Limit < 0 || in.Offset > maxNumber {
		return nil, out, hint(vfs.Invalid.With("offset and limit must not be negative or huge"), "Leave them out to read from the start")
	}
	err = settled(ctx, 0, func() error {
		res, out, err = s.readOnce(ctx, in)
		return err
	})
	return res, out, err
}

func (s *Server) readOnce(ctx context.Context, in readIn) (*sdk.CallToolResult, readOut, error) {
	p, err := s.readable(ctx, in.Path)
	if err != nil {
		return nil, readOut{}, err
	}
	out := readOut{Path: string(p.named), Size: p.info.Size, ETag: bare(p.info.ETag)}
	r, err := s.open(ctx, p)
	if err != nil {
		return nil, out, err
	}
	defer r.Close()
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(maxSniff)
	if err != nil && err != io.EOF {
		return nil, out, err
	}
	if !isText(head, len(head) == maxSniff) {
		return s.link(p, br, head, out)
	}
	l := lines{from: max(in.Offset, 1), limit: maxLines}
	if in.Limit > 0 {
		l.limit = min(in.Limit, maxLines)
	}
	if err := l.scan(br); err != nil {
		return nil, out, err
	}
	if in.Offset > 1 && l.taken == 0 && l.counted {
		return nil, out, hint(vfs.Range.Withf("%s has %d lines", p.named, l.line), "Give an offset of %d at most", max(l.line, 1))
	}
	out.Text, out.Lines, out.Next, out.Cut = l.text.String(), l.taken, l.next, l.cut
	out.Truncated = l.next > 0 || l.cut
	if l.counted {
		out.Total = l.line
	}
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: out.Text + out.footer()}}}, out, nil
}

// readable is found for a file whose content may be read as often as one likes.
func (s *Server) readable(ctx context.Context, given string) (place, error) {
	p, err := s.found(ctx, given, true)
	switch {
	case err != nil:
		return p, err
	case p.info.IsDir:
		return p, vfs.IsDirectory.Withf("%s is a directory", p.named)
	case p.info.Consumes():
		return p, hint(vfs.Invalid.Withf("%s: reading it takes something away", p.named), "Use the queue tool to take messages; peek shows the next one")
	case p.info.Endless():
		return p, hint(vfs.Invalid.Withf("%s is a stream without an end", p.named), "Follow it with the command line: pfs cat --stream")
	}
	return p, nil
}

// open reads a place from its start; a file that is consumed is refused.
func (s *Server) open(ctx context.Context, p place) (io.ReadCloser, error) {
	r, err := s.cfg.Client.OpenRange(ctx, string(p.path), client.Range{Size: -1}, s.same(p)...)
	if vfs.KindOf(err) == vfs.Invalid {
		err = hint(err, "A stream is followed with the command line: pfs cat --stream")
	}
	return r, err
}

// footer tells a reader of text where to go on.
func (o *readOut) footer() string {
	total := ""
	if o.Total > 0 {
		total = fmt.Sprintf(" of %d", o.Total)
	}
	switch {
	case o.Next > 0:
		return fmt.Sprintf("[truncated: %d lines%s; go on with offset %d]\n", o.Lines, total, o.Next)
	case o.Cut:
		return fmt.Sprintf("[truncated: line %d is longer than an answer]\n", o.Total)
	case o.Lines == 0:
		return "[the file is empty]\n"
	}
	return ""
}

// lines picks some lines of a text, and counts them all as far as that goes.
type lines struct {
	from, limit int
	text        strings.Builder
	line        int  // how many there were so far
	taken       int  // of them, into text
	next        int  // the first that no longer fitted; 0: none
	cut         bool // one line alone did not fit
	counted     bool // line is the number of all
}

func (l *lines) scan(r *bufio.Reader) error {
	in, fresh := 0, true
	for {
		part, err := r.ReadSlice('\n')
		in += len(part)
		if len(part) > 0 {
			if fresh {
				l.line++
			}
			fresh = part[len(part)-1] == '\n'
			l.take(part, fresh)
		}
		switch {
		case err == io.EOF:
			if !fresh && l.text.Len() > 0 && l.next == 0 && !l.cut {
				l.text.WriteByte('\n') // which the last line lacks
			}
			l.counted = true
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		case in >= maxScan:
			if l.line < l.from {
				return hint(vfs.TooLarge.Withf("line %d is not within the first %d MiB", l.from, maxScan>>20), "Search it instead")
			}
			if l.next == 0 {
				l.next = l.line + 1
			}
			return nil
		}
	}
}

// take adds a part of the current line; end: it is its last.
func (l *lines) take(part []byte, end bool) {
	if l.line < l.from || l.next > 0 || l.cut && l.line < l.from+l.taken {
		return
	}
	begun := l.line < l.from+l.taken
	if !begun && l.taken == l.limit {
		l.next = l.line
		return
	}
	room := maxText - l.text.Len() - 8
	if len(part) > room && l.taken > 0 && !begun {
		l.next = l.line
		return
	}
	if !begun {
		fmt.Fprintf(&l.text, "%d\t", l.line)
		l.taken++
	}
	if len(part) > room {
		part, end, l.cut = part[:max(room, 0)], true, true
	}
	shown := strings.ToValidUTF8(string(part), "\uFFFD")
	if end {
		shown = strings.TrimRight(shown, "\r\n") + "\n"
	}
	l.text.WriteString(shown)
}

// isText reports whether a file that begins with head looks like text; cut: there
// is more of it, and head may end within a character.
func isText(head []byte, cut bool) bool {
	if bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	for n := 0; cut && n < utf8.UTFMax && len(head) > 0 && !utf8.Valid(head); n++ {
		head = head[:len(head)-1]
	}
	return utf8.Valid(head)
}

// link answers a file that is not text: as a link, or as an image if it is a small
// one that models know.
func (s *Server) link(p place, r io.Reader, head []byte, out readOut) (*sdk.CallToolResult, readOut, error) {
	kind := kindOf(p.named, head)
	out.Link = uri(p.named)
	l := &sdk.ResourceLink{URI: out.Link, Name: p.named.Base(), MIMEType: kind, Size: &out.Size}
	res := &sdk.CallToolResult{Content: []sdk.Content{l}}
	switch kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		if p.info.Size > maxImage {
			break
		}
		b, err := io.ReadAll(io.LimitReader(r, maxImage+1))
		if err != nil {
			return nil, out, err
		}
		if len(b) <= maxImage {
			res.Content = append(res.Content, &sdk.ImageContent{Data: b, MIMEType: kind})
		}
	}
	return res, out, nil
}

// kindOf guesses the media type of a file, without parameters.
func kindOf(p vfs.Path, head []byte) string {
	kind := mime.TypeByExtension(path.Ext(string(p)))
	if sniffed := http.DetectContentType(head); kind == "" || strings.HasPrefix(sniffed, "image/") {
		kind = sniffed
	}
	kind, _, _ = strings.Cut(kind, ";")
	return kind
}
