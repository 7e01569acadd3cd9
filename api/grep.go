package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// Limits of a search, in bytes.
const (
	maxPattern = 1 << 10
	maxLine    = 1 << 20  // a longer line is searched in parts
	overlap    = 4 << 10  // of such parts
	maxFound   = 32 << 20 // matches of one answer that is not streamed
)

// grepRequest is the body of POST /grep.
type grepRequest struct {
	Path            string `json:"path"`
	Pattern         string `json:"pattern"`
	Recursive       bool   `json:"recursive"`
	CaseInsensitive bool   `json:"case_insensitive"`
	Stream          bool   `json:"stream"`
	Limit           int    `json:"limit"`
}

// match is one line that matched.
type match struct {
	File    vfs.Path `json:"file"`
	Line    int      `json:"line"` // from 1
	Content string   `json:"content"`
}

// errFull ends a search that has found enough.
var errFull = errors.New("limit reached")

// search is one search in one image.
type search struct {
	s         life
	img       *fsm.Image
	re        *regexp.Regexp
	asked, at vfs.Path // as the client named it; without links
	recursive bool
	limit     int // matches; 0: all
	found     int
	emit      func(match) error
}

// grep answers POST /grep.
func (c *call) grep() error {
	var in grepRequest
	if err := c.decode(&in, "invalid request body: %v"); err != nil {
		return err
	}
	re, p, err := in.parse()
	if err != nil {
		return err
	}
	c.asked = p
	img, err := c.image()
	if err != nil {
		return err
	}
	x := &search{s: c.life(), img: img, re: re, asked: p, recursive: in.Recursive, limit: in.Limit}
	streams := false
	defer func() {
		if !streams {
			img.Release()
		}
	}()
	i, at, err := img.Table.Lookup(c.context(), img.View, "stat", p)
	if err != nil {
		return prefixed("failed to stat path", err)
	}
	x.at = at
	dir := i.IsDir() && !in.Recursive
	switch {
	case i.Consumes():
		return vfs.Invalid.Withf("grep failed: %s: reading it takes something away", p)
	case i.Endless():
		return vfs.Invalid.Withf("grep failed: %s has no end", p)
	case in.Stream:
		streams = true
		c.fc.SetStatusCode(200)
		c.fc.Response.Header.SetContentType("application/x-ndjson")
		c.fc.Response.ImmediateHeaderFlush = true
		c.fc.Response.SetBodyStream(&searchBody{x, dir}, -1)
		return nil
	case dir:
		return errGrepDir
	}
	return c.found(x)
}

var errGrepDir = vfs.Invalid.With("path is a directory, use recursive=true to search")

func (in *grepRequest) parse() (*regexp.Regexp, vfs.Path, error) {
	switch {
	case in.Path == "":
		return nil, "", vfs.Invalid.With("path is required")
	case in.Pattern == "":
		return nil, "", vfs.Invalid.With("pattern is required")
	case len(in.Pattern) > maxPattern:
		return nil, "", vfs.Invalid.Withf("invalid regex pattern: longer than %d bytes", maxPattern)
	case in.Limit < 0:
		return nil, "", vfs.Invalid.With("limit must not be negative")
	}
	pattern := in.Pattern
	if in.CaseInsensitive {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, "", vfs.Invalid.Withf("invalid regex pattern: %v", err)
	}
	p, err := parsePath(in.Path)
	return re, p, err
}

// grepResult is the answer that is not streamed.
type grepResult struct {
	Matches []match `json:"matches"`
	Count   int     `json:"count"`
	Partial bool    `json:"partial,omitempty"` // it was cut short
	Error   string  `json:"error,omitempty"`
	Code    string  `json:"code,omitempty"`
	Request string  `json:"request_id,omitempty"`
}

// found runs the search and answers all of it at once.
func (c *call) found(x *search) error {
	out := grepResult{Matches: []match{}}
	size := 0
	x.emit = func(m match) error {
		n := len(m.Content) + len(m.File) + 64
		if size += n; size > maxFound || c.hold(n) != nil {
			out.Partial = true
			return errFull
		}
		out.Matches = append(out.Matches, m)
		return nil
	}
	ctx, cancel := context.WithTimeout(c.context(), c.s.limits.Grep)
	defer cancel()
	err := x.run(ctx)
	out.Count = len(out.Matches)
	switch {
	case ctx.Err() != nil:
		out.Partial, out.Request = true, c.id
		out.Error, out.Code = "grep: timed out", vfs.Timeout.Code()
		return c.json(408, out)
	case err != nil:
		return prefixed("grep failed", err)
	}
	return c.json(200, out)
}

// searchBody streams matches as lines of JSON, each at once, and a summary.
type searchBody struct {
	x   *search
	dir bool // the path is a directory and the search is not recursive
}

// Read is never used: the body is written.
func (b *searchBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo makes fasthttp use WriteTo.
func (b *searchBody) SupportsBodyWriteTo() bool { return true }

// WriteTo searches while it sends.
func (b *searchBody) WriteTo(w io.Writer) (sent int64, err error) {
	defer b.x.s.faults(&err)
	n := &counter{w: w}
	line := func(v any) error {
		j, err := json.Marshal(v)
		if err == nil {
			_, err = n.Write(append(j, '\n'))
		}
		return err
	}
	if b.dir {
		return n.n, line(map[string]string{"error": errGrepDir.Error()})
	}
	var gone error
	b.x.emit = func(m match) error { gone = line(m); return gone }
	ctx, cancel := context.WithTimeout(b.x.s.context(), b.x.s.limits.Grep)
	defer cancel()
	err = b.x.run(ctx)
	if gone != nil {
		return n.n, gone
	}
	sum := struct {
		Count int    `json:"count"`
		Error string `json:"error,omitempty"`
		Type  string `json:"type"`
	}{Count: b.x.found, Type: "summary"}
	if ctx.Err() != nil {
		sum.Error = "grep: timed out"
	} else if err != nil {
		sum.Error = "grep failed: " + err.Error()
	}
	return n.n, line(sum)
}

// Close gives the image back.
func (b *searchBody) Close() error {
	b.x.img.Release()
	return nil
}

// run searches. In a recursive search, what cannot be read is passed over.
func (x *search) run(ctx context.Context) error {
	if !x.recursive {
		return enough(x.file(ctx, x.at))
	}
	err := vfs.Walk(ctx, x.img.Table, x.img.View, x.at, func(p vfs.Path, i vfs.Info, err error) error {
		if err != nil || i.IsDir() || i.Mode.IsLink() {
			return nil
		}
		err = x.file(ctx, p)
		var k *vfs.Error
		if errors.As(err, &k) && ctx.Err() == nil {
			return nil
		}
		if err == errFull {
			return fs.SkipAll
		}
		return err
	})
	return enough(err)
}

func enough(err error) error {
	if err == errFull {
		return nil
	}
	return err
}

// file searches one file, window by window, so that neither its length nor
// that of its lines matters.
func (x *search) file(ctx context.Context, p vfs.Path) error {
	f := &fileBody{s: x.s, img: x.img, file: x.img.Table.File(x.img.View, p), asked: p}
	buf := x.s.windows.get(0)
	defer x.s.windows.put(buf)
	l := lineScanner{x: x, name: x.asked.Join(p.Rel(x.at)), line: 1}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.readAt(ctx, buf)
		if err != nil && err != io.EOF {
			return err
		}
		if serr := l.add(buf[:n], err == io.EOF); serr != nil || err == io.EOF {
			return serr
		}
	}
}

// lineScanner cuts a file into lines and tries each once.
type lineScanner struct {
	x    *search
	name vfs.Path
	rest []byte // of a line that is not complete yet
	line int
	hit  bool // the line has matched already
}

func (l *lineScanner) add(b []byte, end bool) error {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.rest = append(l.rest, b...)
			break
		}
		line := b[:i]
		if len(l.rest) > 0 {
			l.rest = append(l.rest, line...)
			line = l.rest
		}
		if err := l.try(line); err != nil {
			return err
		}
		l.rest, l.hit, b = l.rest[:0], false, b[i+1:]
		l.line++
	}
	if end && len(l.rest) > 0 {
		return l.try(l.rest)
	}
	if len(l.rest) >= maxLine {
		if err := l.try(l.rest); err != nil {
			return err
		}
		l.rest = append(l.rest[:0], l.rest[len(l.rest)-overlap:]...)
	}
	return nil
}

func (l *lineScanner) try(line []byte) error {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if l.hit || !l.x.re.Match(line) {
		return nil
	}
	l.hit = true
	l.x.found++
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	if err := l.x.emit(match{l.name, l.line, text}); err != nil {
		return err
	}
	if l.x.limit > 0 && l.x.found >= l.x.limit {
		return errFull
	}
	return nil
}
