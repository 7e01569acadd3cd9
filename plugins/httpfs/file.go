package httpfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// filePolicy is for content of the tree: nothing in it runs, is fetched from
// elsewhere, or acts as this server's own page.
const filePolicy = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'"

// maxUnsized is how many bytes are sent of a file that does not know its length.
const maxUnsized = 1 << 20

// file answers a file, or a part of it.
func (v *visit) file(info vfs.Info) error {
	if info.Consumes() {
		return vfs.Permission.With("a read of this file takes something away: use the API")
	}
	if info.Endless() {
		return vfs.Permission.With("this file has no end: use the API, with a size")
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", filePolicy)
	h.Set("Content-Type", contentType(info.Name))
	if info.Version > 0 {
		h.Set("ETag", fmt.Sprintf(`"%x"`, info.Version))
	}
	c := &content{v: v, path: v.source.Join(v.at), size: info.Size}
	if info.Size == 0 {
		return v.unsized(c)
	}
	// The first bytes are read before anything is answered: what cannot be read
	// is an error, and not an answer that breaks off.
	if err := c.probe(); err != nil {
		h.Del("ETag")
		h.Set("Content-Security-Policy", pagePolicy)
		return err
	}
	http.ServeContent(v.w, v.r, info.Name, info.ModTime, c)
	if c.err != nil {
		v.log.Warn("request of the web server failed", "path", string(c.path), "error", c.err)
		panic(http.ErrAbortHandler) // the client is to see that something is missing
	}
	return nil
}

// unsized answers a file of length 0, which may be one that makes its content
// when it is read.
func (v *visit) unsized(c *content) error {
	b := make([]byte, maxUnsized)
	n, err := c.at(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	v.w.Header().Set("Content-Length", fmt.Sprint(n))
	if v.r.Method == http.MethodGet {
		_, _ = v.w.Write(b[:n]) // the client may have gone
	}
	return nil
}

// content is a file of an image as http.ServeContent wants it.
type content struct {
	v    *visit
	path vfs.Path
	size int64
	off  int64
	err  error // why it could not be read to its end
}

// at reads, and gives the client time to take what was read before.
func (c *content) at(b []byte, off int64) (int, error) {
	ctx, cancel := context.WithTimeout(c.v.r.Context(), opTime)
	defer cancel()
	_ = http.NewResponseController(c.v.w).SetWriteDeadline(time.Now().Add(opTime + stallTime))
	return c.v.im.ReadAt(ctx, c.path, b, off)
}

// probe reads one byte.
func (c *content) probe() error {
	var b [1]byte
	if _, err := c.at(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (c *content) Read(b []byte) (int, error) {
	left := c.size - c.off
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := c.at(b[:min(int64(len(b)), left)], c.off)
	c.off += int64(n)
	switch {
	case errors.Is(err, io.EOF) && c.off < c.size:
		err = io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		err = nil
	}
	if err != nil && c.v.r.Context().Err() == nil {
		c.err = err
	}
	return n, err
}

func (c *content) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += c.off
	case io.SeekEnd:
		off += c.size
	}
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	c.off = off
	return off, nil
}

// contentType guesses from a name; nobody sniffs.
func contentType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t, ok := types[ext]; ok {
		return t
	}
	if strings.EqualFold(strings.TrimSuffix(name, path.Ext(name)), "README") || ext == "" {
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

// types are those that systems do not agree on.
var types = map[string]string{
	".md": "text/markdown; charset=utf-8", ".txt": "text/plain; charset=utf-8", ".log": "text/plain; charset=utf-8",
	".json": "application/json", ".ndjson": "application/x-ndjson", ".jsonl": "application/x-ndjson",
	".yaml": "application/yaml", ".yml": "application/yaml", ".toml": "application/toml", ".csv": "text/csv; charset=utf-8",
	".go": "text/plain; charset=utf-8", ".py": "text/plain; charset=utf-8", ".rs": "text/plain; charset=utf-8",
	".c": "text/plain; charset=utf-8", ".h": "text/plain; charset=utf-8", ".sh": "text/plain; charset=utf-8",
	".ts": "text/plain; charset=utf-8", ".sql": "text/plain; charset=utf-8",
}
