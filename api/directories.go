package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// page is how many entries of a directory are held at a time.
const page = 512

// entryBytes is about what an entry takes as JSON.
const entryBytes = 256

// mkdir answers POST /directories.
func (c *call) mkdir() error {
	if _, err := c.path(); err != nil {
		return err
	}
	mode, err := c.octal("mode", 0o755, "invalid mode")
	if err != nil {
		return err
	}
	return c.simple(201, "directory created", vfs.Op{Verb: vfs.Mkdir, Mode: mode})
}

// list answers GET /directories: sorted by the bytes of the names, whole, those
// with a prefix, or a page of it. A long listing is streamed.
func (c *call) list() error {
	p, err := c.dir()
	if err != nil {
		return err
	}
	limit, err := c.integer("limit", 0, "invalid limit parameter")
	if _, given := c.query.get("limit"); err == nil && given && limit < 1 {
		err = vfs.Invalid.With("limit must be at least 1")
	}
	if err != nil {
		return err
	}
	after := ""
	from, _ := c.query.get("cursor")
	if from != "" { // an empty one is that of the first page
		ok := false
		if after, ok = readCursor(p, from); !ok {
			return vfs.Invalid.With("invalid cursor")
		}
	}
	if v, ok := c.query.get("after"); ok {
		if from != "" {
			return vfs.Invalid.With("cursor and after exclude each other")
		}
		after = v
	}
	prefix, _ := c.query.get("prefix")
	img, err := c.image()
	if err != nil {
		return err
	}
	l := &listing{s: c.life(), img: img, path: p, prefix: prefix, after: max(after, before(prefix)), limit: limit}
	whole := true
	defer func() {
		if whole {
			img.Release()
		}
	}()
	ctx := c.within()
	defer ctx.End()
	if err := l.next(ctx); err != nil {
		return err
	}
	if l.end {
		c.raw(200, l.buf.Bytes())
		return nil
	}
	whole = false
	c.fc.SetStatusCode(200)
	c.fc.Response.Header.SetContentType("application/json")
	c.fc.Response.SetBodyStream(l, -1)
	return nil
}

// listing writes a directory as JSON, a page at a time, from one image.
type listing struct {
	s      life
	img    *fsm.Image
	path   vfs.Path
	prefix string // of all names; "": all
	after  string
	limit  int64 // entries; 0: all
	sent   int64
	buf    bytes.Buffer // encoded, not yet sent
	end    bool
}

// before returns a text that sorts behind all names that sort before those with
// the prefix, and before these: names are UTF-8, which has no byte 0xff.
func before(prefix string) string {
	last := len(prefix) - 1
	switch {
	case last < 0:
		return ""
	case prefix[last] == 0:
		return prefix[:last]
	}
	return prefix[:last] + string([]byte{prefix[last] - 1, 0xff})
}

// next encodes one more page.
func (l *listing) next(ctx context.Context) error {
	want := int64(page)
	if l.limit > 0 {
		want = min(want, l.limit-l.sent)
	}
	// One more tells whether there is a next page.
	entries, err := l.img.Table.List(ctx, l.img.View, l.path, l.after, int(want)+1)
	if err != nil {
		return err
	}
	for n := range entries {
		if !strings.HasPrefix(entries[n].Name, l.prefix) {
			entries = entries[:n] // no name behind it has the prefix
			break
		}
	}
	more := int64(len(entries)) > want
	if more {
		entries = entries[:want]
	}
	if l.sent == 0 && l.buf.Len() == 0 {
		l.buf.WriteString(`{"files":[`)
	}
	var out info
	for _, i := range entries {
		if l.sent > 0 {
			l.buf.WriteByte(',')
		}
		if out = infoOf(i); i.Mode.IsLink() {
			out = describe(ctx, l.img, l.path.Child(i.Name), i)
		}
		l.buf.Grow(entryBytes)
		b, err := appendInfo(l.buf.AvailableBuffer(), &out)
		if err != nil {
			return err
		}
		l.buf.Write(b)
		l.sent++
		l.after = i.Name
	}
	full := l.limit > 0 && l.sent >= l.limit
	if more && !full {
		return nil
	}
	l.end = true
	l.buf.WriteByte(']')
	if more {
		l.buf.WriteString(`,"next_cursor":"` + cursor(l.path, l.after) + `"`)
	}
	l.buf.WriteString("}\n")
	return nil
}

// Read is never used: the body is written.
func (l *listing) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo makes fasthttp use WriteTo.
func (l *listing) SupportsBodyWriteTo() bool { return true }

// WriteTo sends page after page.
func (l *listing) WriteTo(w io.Writer) (sent int64, err error) {
	defer l.s.faults(&err)
	for {
		n, err := l.buf.WriteTo(w)
		sent += n
		if err != nil || l.end {
			return sent, err
		}
		if err := l.next(l.s.context()); err != nil {
			return sent, err
		}
	}
}

// Close gives the image back.
func (l *listing) Close() error {
	if l.img != nil {
		l.img.Release()
		l.img = nil
	}
	return nil
}

// cursor names the place after an entry of a directory. It carries a checksum
// of both, so that one of another directory is told apart.
func cursor(dir vfs.Path, name string) string {
	sum := hash(string(dir) + "\x00" + name)
	return base64.RawURLEncoding.EncodeToString(append(sum[:8:8], name...))
}

func readCursor(dir vfs.Path, s string) (name string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) <= 8 || !utf8.Valid(b[8:]) {
		return "", false
	}
	name = string(b[8:])
	sum := hash(string(dir) + "\x00" + name)
	return name, strings.HasPrefix(string(b), string(sum[:8]))
}

func hash(s string) [32]byte { return sha256.Sum256([]byte(s)) }
