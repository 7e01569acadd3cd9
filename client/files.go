package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Info describes a file, as the API shows it.
type Info struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size"` // bytes
	Mode    uint32    `json:"mode"` // permission bits
	ModTime time.Time `json:"modTime"`
	IsDir   bool      `json:"isDir"`
	Meta    Meta      `json:"meta"`
}

// Meta is what the file's plugin says of it.
type Meta struct {
	Name    string            `json:"Name"`
	Type    string            `json:"Type"`
	Content map[string]string `json:"Content"`
}

// IsLink reports whether the file is a symbolic link.
func (i Info) IsLink() bool { return i.Meta.Type == "symlink" }

// Consumes reports whether reading the file takes something away.
func (i Info) Consumes() bool { return i.Meta.Content[vfs.ConsumeKey] == "true" }

// Written is what a node says of a write it has acknowledged.
type Written struct {
	Message string          `json:"message"`
	Index   uint64          `json:"index"` // raft index, for min_index
	ETag    string          `json:"-"`     // the file's new version
	Body    json.RawMessage `json:"-"`     // the whole answer
}

// WriteOption refines a write.
type WriteOption func(*call)

// IfMatch writes only if the file still has this ETag.
func IfMatch(etag string) WriteOption { return func(k *call) { k.header.Set("If-Match", etag) } }

// IfAbsent writes only if there is no such file.
func IfAbsent() WriteOption { return func(k *call) { k.header.Set("If-None-Match", "*") } }

// Key sets the idempotency key; a repeat with it has the first one's outcome.
func Key(key string) WriteOption { return func(k *call) { k.header.Set("Idempotency-Key", key) } }

// At writes at an offset in bytes and keeps the rest of the file.
func At(off int64) WriteOption {
	return func(k *call) { k.query.Set("offset", strconv.FormatInt(off, 10)) }
}

// Append writes behind the end.
func Append() WriteOption { return func(k *call) { k.query.Set("flags", "append,create") } }

// WriteFile replaces a file with data. It is repeated on temporary failures
// under one idempotency key.
func (c *Client) WriteFile(ctx context.Context, path string, data []byte, opts ...WriteOption) (Written, error) {
	k := c.put(path, opts)
	k.body = func() (io.Reader, error) { return bytes.NewReader(data), nil }
	k.size = int64(len(data))
	return c.write(ctx, k)
}

// Write streams r into a file; readers see the old content or the new. It is
// repeated only if r is an io.Seeker. Size in bytes, or -1 if not known.
func (c *Client) Write(ctx context.Context, path string, r io.Reader, size int64, opts ...WriteOption) (Written, error) {
	k := c.put(path, opts)
	k.size = size
	s, ok := r.(io.Seeker)
	k.once = !ok
	k.body = func() (io.Reader, error) {
		if ok {
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
		}
		return io.NopCloser(r), nil
	}
	return c.write(ctx, k)
}

func (c *Client) put(path string, opts []WriteOption) call {
	k := call{method: http.MethodPut, route: "/api/v1/files", query: pathQuery(path),
		header: http.Header{}, verb: "write", path: path}
	k.header.Set("Idempotency-Key", newKey())
	for _, o := range opts {
		o(&k)
	}
	return k
}

func (c *Client) write(ctx context.Context, k call) (Written, error) {
	var w Written
	resp, err := c.do(ctx, k)
	if err != nil {
		return w, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return w, err
	}
	w.ETag, w.Body = resp.Header.Get("ETag"), b
	return w, json.Unmarshal(b, &w)
}

// Range is a part of a file in bytes; Size -1 means to the end.
type Range struct{ Off, Size int64 }

// Open reads a file from the start; the caller closes it. Reading a consuming
// file takes from it.
func (c *Client) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.OpenRange(ctx, path, Range{0, -1})
}

// OpenRange reads a part of a file.
func (c *Client) OpenRange(ctx context.Context, path string, r Range) (io.ReadCloser, error) {
	k := call{method: http.MethodGet, route: "/api/v1/files", query: pathQuery(path), verb: "read", path: path}
	if r.Off != 0 {
		k.query.Set("offset", strconv.FormatInt(r.Off, 10))
	}
	if r.Size >= 0 {
		k.query.Set("size", strconv.FormatInt(r.Size, 10))
	}
	resp, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Stream follows a stream until it ends or the caller closes it.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	q := pathQuery(path)
	q.Set("stream", "true")
	resp, err := c.do(ctx, call{method: http.MethodGet, route: "/api/v1/files", query: q, verb: "read", path: path})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// ReadFile reads a whole file into memory.
func (c *Client) ReadFile(ctx context.Context, path string) ([]byte, error) {
	r, err := c.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Stat describes a file; a symbolic link is not followed.
func (c *Client) Stat(ctx context.Context, path string) (Info, error) {
	var i Info
	err := c.json(ctx, call{method: http.MethodGet, route: "/api/v1/stat", query: pathQuery(path), verb: "stat", path: path}, &i)
	return i, err
}

// pageSize is how many entries one request of List asks for.
const pageSize = 1000

// List returns the entries of a directory, by name. It asks page by page.
func (c *Client) List(ctx context.Context, path string) ([]Info, error) {
	var all []Info
	q := pathQuery(path)
	q.Set("limit", fmt.Sprint(pageSize))
	for {
		var page struct {
			Files []Info `json:"files"`
			Next  string `json:"next_cursor"`
		}
		err := c.json(ctx, call{method: http.MethodGet, route: "/api/v1/directories", query: q, verb: "list", path: path}, &page)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Files...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("cursor", page.Next)
	}
}

// change sends a mutation with a fresh idempotency key.
func (c *Client) change(ctx context.Context, method, route, verb, path string, q url.Values, body any) error {
	k := call{method: method, route: "/api/v1" + route, query: q, header: http.Header{}, verb: verb, path: path}
	k.header.Set("Idempotency-Key", newKey())
	if body != nil {
		k.body, k.size = object(body), -1
	}
	return c.json(ctx, k, nil)
}

// Create makes an empty file; fs.ErrExist if there is one.
func (c *Client) Create(ctx context.Context, path string) error {
	return c.change(ctx, http.MethodPost, "/files", "create", path, pathQuery(path), nil)
}

// Mkdir makes a directory. Its parent must exist.
func (c *Client) Mkdir(ctx context.Context, path string, mode uint32) error {
	q := pathQuery(path)
	q.Set("mode", strconv.FormatUint(uint64(mode), 8))
	return c.change(ctx, http.MethodPost, "/directories", "mkdir", path, q, nil)
}

// Remove deletes a file, a link or an empty directory.
func (c *Client) Remove(ctx context.Context, path string) error {
	return c.change(ctx, http.MethodDelete, "/files", "remove", path, pathQuery(path), nil)
}

// RemoveAll deletes a file, or a directory and all below it.
func (c *Client) RemoveAll(ctx context.Context, path string) error {
	q := pathQuery(path)
	q.Set("recursive", "true")
	return c.change(ctx, http.MethodDelete, "/files", "remove", path, q, nil)
}

// Rename moves a file or a directory, replacing a file at the new name.
func (c *Client) Rename(ctx context.Context, path, to string) error {
	return c.change(ctx, http.MethodPost, "/rename", "rename", path, pathQuery(path), map[string]string{"newPath": to})
}

// Chmod sets the permission bits.
func (c *Client) Chmod(ctx context.Context, path string, mode uint32) error {
	return c.change(ctx, http.MethodPost, "/chmod", "chmod", path, pathQuery(path), map[string]uint32{"mode": mode})
}

// Truncate cuts or grows a file to size bytes.
func (c *Client) Truncate(ctx context.Context, path string, size int64) error {
	q := pathQuery(path)
	q.Set("size", strconv.FormatInt(size, 10))
	return c.change(ctx, http.MethodPost, "/truncate", "truncate", path, q, nil)
}

// Touch sets the modification time to now, or makes an empty file.
func (c *Client) Touch(ctx context.Context, path string) error {
	return c.change(ctx, http.MethodPost, "/touch", "touch", path, pathQuery(path), nil)
}

// Symlink makes a link at path to target, relative or dangling as given.
func (c *Client) Symlink(ctx context.Context, target, path string) error {
	return c.change(ctx, http.MethodPost, "/symlink", "symlink", path, pathQuery(path), map[string]string{"target": target})
}

// Readlink returns a link's target as it was given.
func (c *Client) Readlink(ctx context.Context, path string) (string, error) {
	var out struct {
		Target string `json:"target"`
	}
	err := c.json(ctx, call{method: http.MethodGet, route: "/api/v1/readlink", query: pathQuery(path), verb: "readlink", path: path}, &out)
	return out.Target, err
}
