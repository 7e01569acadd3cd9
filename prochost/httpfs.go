package prochost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// maxPiece is how much one request carries, in bytes: servers of the framework give
// up what takes longer than 15 s.
const maxPiece = 1 << 20

// httpFS is a process with the contract fileSystem. Every call names a path: there
// are no handles that a restart would take away.
type httpFS struct{ *gpf }

var (
	_ backend = httpFS{}
	_ placer  = httpFS{}
)

// fileJSON is one file as the plugin tells it; both spellings are in use.
type fileJSON struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Mode     uint32 `json:"mode"`
	IsDir    bool   `json:"isDir"`
	IsDir2   bool   `json:"is_dir"`
	ModTime  string `json:"modTime"`
	ModTime2 string `json:"mod_time"`
	Next     string `json:"next"` // the last line of a page: where the next one begins
}

// info returns the file as clients see it.
func (f fileJSON) info(name string, began time.Time) (vfs.Info, error) {
	i := vfs.Info{Size: f.Size, Mode: vfs.Mode(f.Mode) & 0o777}
	dir := f.IsDir || f.IsDir2
	if f.Mode == 0 {
		i.Mode = 0o644
		if dir {
			i.Mode = 0o755
		}
	}
	if dir {
		i.Mode |= vfs.ModeDir
	}
	if t, err := time.Parse(time.RFC3339Nano, f.ModTime+f.ModTime2); err == nil {
		i.ModTime = t
	}
	return vfs.Told(i, name, began)
}

// post asks with a JSON object and reads one into out, if that is not nil.
func (h httpFS) post(ctx context.Context, path string, in any, out any, change bool) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	b, err := h.ask(ctx, request{method: http.MethodPost, path: "/v1/fs/" + path, body: body, change: change})
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return vfs.Crashed.Withf("the plugin is wrong: %s answers no JSON: %v", path, err)
	}
	return nil
}

type pathJSON struct {
	Path string `json:"path"`
}

func (h httpFS) stat(ctx context.Context, p vfs.Path, began time.Time) (vfs.Info, error) {
	var f fileJSON
	err := h.post(ctx, "stat", pathJSON{string(p)}, &f, false)
	if p.IsRoot() && vfs.KindOf(err) == vfs.NotFound {
		return vfs.Info{Name: p.Base(), Mode: vfs.ModeDir | 0o755, ModTime: began}, nil // not all think of it
	}
	if err != nil {
		return vfs.Info{}, err
	}
	i, err := f.info(p.Base(), began)
	if err == nil && p.IsRoot() && !i.IsDir() {
		err = vfs.Crashed.With("the plugin is wrong: its root is no directory")
	}
	return i, err
}

// listAfter asks for pages until there are enough. A plugin without pages answers
// all at once.
func (h httpFS) listAfter(ctx context.Context, p vfs.Path, after string, limit int, began time.Time) ([]vfs.Info, error) {
	var out []vfs.Info
	seen := map[string]bool{}
	for from := after; ; {
		page, next, err := h.page(ctx, p, from, limit, began)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			if seen[i.Name] {
				return nil, vfs.Crashed.Withf("the plugin is wrong: it lists %.40q twice", i.Name)
			}
			if seen[i.Name] = true; i.Name > after {
				out = append(out, i)
			}
		}
		switch {
		case next != "" && next <= from:
			return nil, vfs.Crashed.With("the plugin is wrong: its pages do not go on")
		case len(seen) > maxEntries:
			return nil, vfs.Crashed.Withf("the plugin is wrong: it lists more than %d files", maxEntries)
		case next == "" || limit > 0 && len(out) >= limit:
			sort.Slice(out, func(a, b int) bool { return out[a].Name < out[b].Name })
			return out, nil
		}
		from = next
	}
}

// page asks for one: a line of JSON for each file.
func (h httpFS) page(ctx context.Context, p vfs.Path, after string, limit int, began time.Time) (out []vfs.Info, next string, err error) {
	in := struct {
		Path  string `json:"path"`
		After string `json:"after"`
		Limit int    `json:"limit"`
	}{string(p), after, limit}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, "", err
	}
	b, err := h.ask(ctx, request{method: http.MethodPost, path: "/v1/fs/list", body: body})
	if err != nil {
		return nil, "", err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	for {
		var f fileJSON
		switch err := d.Decode(&f); {
		case errors.Is(err, io.EOF):
			return out, next, nil
		case err != nil:
			return nil, "", vfs.Crashed.Withf("the plugin is wrong: list answers no JSON: %v", err)
		case f.Next != "":
			next = f.Next
			continue
		case !vfs.ValidName(f.Name):
			return nil, "", vfs.Crashed.Withf("the plugin is wrong: it names a file %.40q", f.Name)
		}
		i, err := f.info(f.Name, began)
		if err != nil {
			return nil, "", err
		}
		if out = append(out, i); len(out) > maxEntries {
			return nil, "", vfs.Crashed.Withf("the plugin is wrong: it lists more than %d files", maxEntries)
		}
	}
}

// read fills b: what is shorter than asked for is the end.
func (h httpFS) read(ctx context.Context, p vfs.Path, b []byte, off int64, _ time.Time) (n int, err error) {
	for {
		piece := min(len(b)-n, maxPiece)
		q := url.Values{"path": {string(p)}, "off": {strconv.FormatInt(off+int64(n), 10)}, "len": {strconv.Itoa(piece)}}
		got, err := h.ask(ctx, request{method: http.MethodGet, path: "/v1/fs/read", query: q, most: int64(piece)})
		if err != nil {
			return n, err
		}
		n += copy(b[n:], got)
		switch {
		case len(got) < piece:
			return n, io.EOF
		case n == len(b):
			return n, nil
		}
	}
}

// do makes one change.
func (h httpFS) do(ctx context.Context, op vfs.Op, _ time.Time) (r vfs.Result, err error) {
	if (op.Path.IsRoot() || op.Verb == vfs.Rename && op.To.IsRoot()) && (op.Verb == vfs.Remove || op.Verb == vfs.RemoveAll || op.Verb == vfs.Rename) {
		return r, vfs.Permission.With("mount point")
	}
	if op.Verb == vfs.Write {
		r.N, err = h.writeOp(ctx, op)
		return r, err
	}
	type m = map[string]any
	path := string(op.Path)
	calls := map[vfs.Verb]struct {
		name string
		in   m
	}{
		vfs.Create:    {"create", m{"path": path, "mode": op.Mode.Perm()}},
		vfs.Mkdir:     {"mkdir", m{"path": path, "mode": op.Mode.Perm()}},
		vfs.Remove:    {"remove", m{"path": path, "recursive": false}},
		vfs.RemoveAll: {"remove", m{"path": path, "recursive": true}},
		vfs.Rename:    {"rename", m{"path": path, "to": string(op.To)}},
		vfs.Truncate:  {"setattr", m{"path": path, "size": op.Off}},
		vfs.Chmod:     {"setattr", m{"path": path, "mode": op.Mode.Perm()}},
		vfs.Touch:     {"setattr", m{"path": path, "touch": true}},
	}
	c, ok := calls[op.Verb]
	if !ok {
		return r, vfs.Unsupported
	}
	return r, h.post(ctx, c.name, c.in, nil, true)
}

// put replaces a whole file in one request: readers see the old one or the new.
func (h httpFS) put(ctx context.Context, op vfs.Op, r io.ReadSeeker, _ time.Time) (int64, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	op.Off, op.Flag = 0, op.Flag&^vfs.FlagAppend|vfs.FlagTruncate
	q := request{path: "/v1/fs/put", file: r}
	if size <= maxShort {
		q.body, q.file = make([]byte, size), nil
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(r, q.body); err != nil {
			return 0, err
		}
	}
	return h.send(ctx, op, q, size)
}

// writeOp writes as the Op says, in one request.
func (h httpFS) writeOp(ctx context.Context, op vfs.Op) (int64, error) {
	return h.send(ctx, op, request{path: "/v1/fs/write", body: op.Data}, int64(len(op.Data)))
}

// send sends size bytes that are written as the Op says.
func (h httpFS) send(ctx context.Context, op vfs.Op, r request, size int64) (int64, error) {
	q := url.Values{"path": {string(op.Path)}}
	var flags []string
	for _, f := range []struct {
		flag vfs.Flag
		name string
	}{{vfs.FlagCreate, "create"}, {vfs.FlagExclusive, "exclusive"}, {vfs.FlagTruncate, "truncate"}} {
		if op.Flag&f.flag != 0 {
			flags = append(flags, f.name)
		}
	}
	if op.Appends() {
		flags = append(flags, "append")
	} else {
		q.Set("off", strconv.FormatInt(op.Off, 10))
	}
	if len(flags) > 0 {
		q.Set("flags", strings.Join(flags, ","))
	}
	if mode := op.Mode.Perm(); mode != 0 {
		q.Set("mode", strconv.FormatUint(uint64(mode), 8))
	}
	r.method, r.query, r.kind, r.change = http.MethodPut, q, "application/octet-stream", true
	b, err := h.ask(ctx, r)
	if err != nil {
		return 0, err
	}
	var done struct {
		Bytes int64 `json:"bytes"`
	}
	if err := json.Unmarshal(b, &done); err != nil || done.Bytes < 0 || done.Bytes > size {
		return 0, vfs.Crashed.With("the plugin is wrong: write does not answer how many bytes it has taken")
	}
	if done.Bytes < size {
		return done.Bytes, vfs.NoSpace.Withf("the plugin took %d of %d bytes", done.Bytes, size)
	}
	return done.Bytes, nil
}
