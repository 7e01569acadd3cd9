package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Range is a part of a file in bytes; Size -1 means to the end.
type Range struct{ Off, Size int64 }

func readCall(path string, r *Range) call {
	k := newCall("read", http.MethodGet, "/files", path)
	if r == nil {
		return k.keyed() // if it takes something, a repeat gets the same
	}
	// Even an offset of 0 is sent: no file is consumed in parts.
	k.query.Set("offset", strconv.FormatInt(r.Off, 10))
	if r.Size >= 0 {
		k.query.Set("size", strconv.FormatInt(r.Size, 10))
	}
	return k
}

// Open reads a file from the start; the caller closes it. Reading a consuming
// file takes from it, once, even where the request had to be repeated. A
// content that is cut off ends in io.ErrUnexpectedEOF.
func (c *Client) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.open(ctx, readCall(path, nil))
}

// OpenRange is Open for a part of a file. A consuming file is refused with
// vfs.Invalid, so that nothing is taken by what walks a tree.
func (c *Client) OpenRange(ctx context.Context, path string, r Range, opts ...Option) (io.ReadCloser, error) {
	return c.open(ctx, readCall(path, &r).with(opts))
}

// Places in a stream to follow it from; the others are offsets in bytes.
const (
	Oldest = "oldest" // the first byte that is kept
	Now    = "now"    // the next one to come
)

// Follow follows a stream from a place on until it ends or the caller closes it,
// and returns the offset of the first byte: -1 if the server does not say. An
// offset that is not there is vfs.Range, and the Error names the oldest. A
// content that is cut off, in io.ErrUnexpectedEOF, has more behind it.
func (c *Client) Follow(ctx context.Context, path, from string) (io.ReadCloser, int64, error) {
	k := newCall("read", http.MethodGet, "/files", path)
	k.query.Set("stream", "true")
	if from != Oldest {
		k.query.Set("from", from)
	}
	k.stream, k.slow = true, true // older servers send no head before the first byte
	a, err := c.do(ctx, k)
	if err != nil {
		return nil, -1, err
	}
	off, err := strconv.ParseInt(a.header.Get("X-Pfs-Offset"), 10, 64)
	if err != nil {
		off = -1
	}
	return a.body, off, nil
}

func (c *Client) open(ctx context.Context, k call) (io.ReadCloser, error) {
	k.stream = true
	a, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// ReadFile reads a whole file into memory. What Open says of consuming files
// holds; a content that was cut off is asked for again.
func (c *Client) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return c.readFile(ctx, readCall(path, nil))
}

// ReadAsked is ReadFile of a file that gives something away, with what is asked
// of it in the query: wait, max and lease of a queue.
func (c *Client) ReadAsked(ctx context.Context, path string, asks map[string]string, opts ...Option) ([]byte, error) {
	k := readCall(path, nil)
	for name, value := range asks {
		k.query.Set(name, value)
	}
	for _, o := range opts {
		o(&k)
	}
	return c.readFile(ctx, k)
}

func (c *Client) readFile(ctx context.Context, k call) ([]byte, error) {
	a, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	return a.data, nil
}

// Stat describes a file; a symbolic link is not followed.
func (c *Client) Stat(ctx context.Context, path string) (Info, error) {
	var i Info
	h, err := c.json(ctx, newCall("stat", http.MethodGet, "/stat", path), &i)
	if err == nil && i.ETag == "" {
		i.ETag = h.Get("ETag")
	}
	return i, err
}

// Readlink returns a link's target as it was given.
func (c *Client) Readlink(ctx context.Context, path string) (string, error) {
	var out struct {
		Target string `json:"target"`
	}
	_, err := c.json(ctx, newCall("readlink", http.MethodGet, "/readlink", path), &out)
	return out.Target, err
}

// Page returns entries of a directory by name: those after `after`, at most
// limit of them, 0 for all.
func (c *Client) Page(ctx context.Context, path, after string, limit int) ([]Info, error) {
	k := newCall("list", http.MethodGet, "/directories", path)
	if after != "" {
		k.query.Set("after", after)
	}
	if limit > 0 {
		k.query.Set("limit", strconv.Itoa(limit))
	}
	var page struct {
		Files []Info `json:"files"`
	}
	if _, err := c.json(ctx, k, &page); err != nil {
		return nil, err
	}
	// Older servers know neither order nor pages.
	files := slices.DeleteFunc(page.Files, func(i Info) bool { return i.Name <= after })
	slices.SortFunc(files, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	if limit > 0 && len(files) > limit {
		files = files[:limit]
	}
	return files, nil
}

// pageSize is how many entries one request of Entries asks for.
const pageSize = 1000

// Entries goes through a directory by name, page by page; an error ends it.
// Entries that come or go meanwhile may be seen or not.
func (c *Client) Entries(ctx context.Context, path string) iter.Seq2[Info, error] {
	return c.entries(ctx, path, "")
}

// entries is Entries of the names with a prefix; older servers give all.
func (c *Client) entries(ctx context.Context, path, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for cursor := ""; ; {
			var page struct {
				Files []Info `json:"files"`
				Next  string `json:"next_cursor"`
			}
			k := newCall("list", http.MethodGet, "/directories", path)
			k.query.Set("limit", strconv.Itoa(pageSize))
			if cursor != "" {
				k.query.Set("cursor", cursor)
			}
			if prefix != "" {
				k.query.Set("prefix", prefix)
			}
			if _, err := c.json(ctx, k, &page); err != nil {
				yield(Info{}, err)
				return
			}
			for _, i := range page.Files {
				if !yield(i, nil) {
					return
				}
			}
			if page.Next == "" || page.Next == cursor {
				return
			}
			cursor = page.Next
		}
	}
}

// List returns all entries of a directory, by name.
func (c *Client) List(ctx context.Context, path string) ([]Info, error) {
	var all []Info
	for i, err := range c.Entries(ctx, path) {
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}
