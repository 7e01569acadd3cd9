package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"time"
)

// Written is what a node says of a write that it has acknowledged.
type Written struct {
	Message string          `json:"message"`
	Index   uint64          `json:"index"` // raft index, for min_index
	ETag    string          `json:"-"`     // the file's new version
	Body    json.RawMessage `json:"-"`     // the whole answer
}

// Option refines a call.
type Option func(*call)

// IfMatch changes or reads the file only if it still has this ETag; errors are
// vfs.Stale.
func IfMatch(etag string) Option { return func(k *call) { k.header.Set("If-Match", etag) } }

// IfAbsent writes only if there is no such file; errors are vfs.Stale.
func IfAbsent() Option { return func(k *call) { k.header.Set("If-None-Match", "*") } }

// Key sets the idempotency key, 1 to 128 printable ASCII characters. A repeat
// with it, even by another process, has the first one's outcome. Without it
// every change gets one of its own, except where the mount keeps none.
func Key(key string) Option {
	return func(k *call) {
		k.header.Set(keyHeader, key)
		k.ownKey = false
	}
}

// Header sends a header along.
func Header(name, value string) Option { return func(k *call) { k.header.Set(name, value) } }

// NoKey sends no idempotency key, to mounts that keep none.
func NoKey() Option {
	return func(k *call) {
		k.header.Del(keyHeader)
		k.ownKey = false
	}
}

// At writes at an offset in bytes and keeps the rest of the file.
func At(off int64) Option {
	return func(k *call) { k.query.Set("offset", strconv.FormatInt(off, 10)) }
}

// Flags names how to write, as the API does: some of append, create, exclusive,
// truncate and sync, separated by commas. "" says nothing.
func Flags(names string) Option {
	return func(k *call) {
		if names != "" {
			k.query.Set("flags", names)
		}
	}
}

// Append writes behind the end; the file is made where there is none.
func Append() Option { return func(k *call) { k.query.Set("flags", "append,create") } }

// TTL has a key of kvfs end after a while: 1 ms to ten years; 0 keeps it for
// ever, as a write without it does.
func TTL(d time.Duration) Option { return func(k *call) { k.header.Set("X-Pfs-Ttl", d.String()) } }

func (k call) with(opts []Option) call {
	for _, o := range opts {
		o(&k)
	}
	return k
}

// WriteFile replaces a file with data, or as the options say. It is repeated
// on temporary failures, under one idempotency key.
func (c *Client) WriteFile(ctx context.Context, path string, data []byte, opts ...Option) (Written, error) {
	k := newCall("write", http.MethodPut, "/files", path).keyed().with(opts)
	k.body = func() (*upload, error) { return &upload{r: bytes.NewReader(data), size: int64(len(data))}, nil }
	return c.write(ctx, k)
}

// Write streams r into a file: all of it, or its first size bytes unless size
// is -1. Readers see the old content or the new. It is repeated, from where r
// stands now, only if r can seek. If r cannot, and the write fails, some of r is
// read and lost, and a Read of it may still be under way.
func (c *Client) Write(ctx context.Context, path string, r io.Reader, size int64, opts ...Option) (Written, error) {
	k := newCall("write", http.MethodPut, "/files", path)
	if s, ok := r.(io.Seeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil { // a pipe says it can, and fails
			k = k.keyed().with(opts)
			k.body = func() (*upload, error) {
				_, err := s.Seek(start, io.SeekStart)
				return &upload{r: r, size: size}, err
			}
			return c.write(ctx, k)
		}
	}
	k = k.with(opts)
	k.once = true
	k.body = func() (*upload, error) { return &upload{r: r, size: size}, nil }
	return c.write(ctx, k)
}

func (c *Client) write(ctx context.Context, k call) (Written, error) {
	a, err := c.do(ctx, k)
	if err != nil {
		return Written{}, err
	}
	w := Written{ETag: a.header.Get("ETag"), Body: a.data}
	if err := json.Unmarshal(a.data, &w); err != nil {
		return w, &fs.PathError{Op: k.verb, Path: k.path, Err: err}
	}
	return w, nil
}

// change sends a change that has no content.
func (c *Client) change(ctx context.Context, k call, opts []Option) error {
	_, err := c.do(ctx, k.keyed().with(opts))
	return err
}

// Create makes an empty file; fs.ErrExist if there is one.
func (c *Client) Create(ctx context.Context, path string, opts ...Option) error {
	return c.change(ctx, newCall("create", http.MethodPost, "/files", path), opts)
}

// Mkdir makes a directory; mode has permission bits. Its parent must exist.
func (c *Client) Mkdir(ctx context.Context, path string, mode uint32, opts ...Option) error {
	k := newCall("mkdir", http.MethodPost, "/directories", path)
	k.query.Set("mode", strconv.FormatUint(uint64(mode), 8))
	return c.change(ctx, k, opts)
}

// Remove deletes a file, a link or an empty directory.
func (c *Client) Remove(ctx context.Context, path string, opts ...Option) error {
	return c.change(ctx, newCall("remove", http.MethodDelete, "/files", path), opts)
}

// RemoveAll deletes a file, or a directory and all below it.
func (c *Client) RemoveAll(ctx context.Context, path string, opts ...Option) error {
	k := newCall("remove", http.MethodDelete, "/files", path)
	k.query.Set("recursive", "true")
	return c.change(ctx, k, opts)
}

// Rename moves a file or a directory, replacing a file at the new name.
func (c *Client) Rename(ctx context.Context, path, to string, opts ...Option) error {
	k := newCall("rename", http.MethodPost, "/rename", path)
	return c.change(ctx, k.withJSON(map[string]string{"newPath": to}), opts)
}

// Chmod sets the permission bits.
func (c *Client) Chmod(ctx context.Context, path string, mode uint32, opts ...Option) error {
	k := newCall("chmod", http.MethodPost, "/chmod", path)
	return c.change(ctx, k.withJSON(map[string]uint32{"mode": mode}), opts)
}

// Truncate cuts or grows a file to size bytes.
func (c *Client) Truncate(ctx context.Context, path string, size int64, opts ...Option) error {
	k := newCall("truncate", http.MethodPost, "/truncate", path)
	k.query.Set("size", strconv.FormatInt(size, 10))
	return c.change(ctx, k, opts)
}

// Touch sets the modification time to now, or makes an empty file.
func (c *Client) Touch(ctx context.Context, path string, opts ...Option) error {
	return c.change(ctx, newCall("touch", http.MethodPost, "/touch", path), opts)
}

// Symlink makes a link at path to target, relative or dangling as given.
func (c *Client) Symlink(ctx context.Context, target, path string, opts ...Option) error {
	k := newCall("symlink", http.MethodPost, "/symlink", path)
	return c.change(ctx, k.withJSON(map[string]string{"target": target}), opts)
}
