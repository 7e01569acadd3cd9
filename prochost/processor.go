package prochost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// What a mounted processor keeps: only here, and only as long as it is mounted.
const (
	maxData    = 8 << 20 // bytes of one value: base64 and JSON make seven times that of it
	maxResults = 100
	maxKept    = 64 << 20 // bytes of all results
)

// processorVerbs are what a mounted processor takes.
const processorVerbs = vfs.VerbSet(1<<vfs.Write | 1<<vfs.Remove | 1<<vfs.RemoveAll)

// The files of a mounted processor.
const (
	fileIn      = "/in"      // what is written here is processed
	fileOut     = "/out"     // the result of that
	fileFormats = "/formats" // one a line
	dirProcess  = "/process" // a file written here is read as its result
)

// results outlive the process: they are the mount's.
type results struct {
	mu   sync.Mutex
	all  map[string]result // by name; "" is /out
	size int
}

type result struct {
	data []byte
	at   time.Time
	meta map[string]string
}

// processor is a process with the contract dataProcessor.
type processor struct {
	*gpf
	format string            // as the settings have it; "": the first
	extra  map[string]string // config of each call
	kept   *results
}

var _ backend = processor{}

// formats asks which formats there are.
func (p processor) formats(ctx context.Context) ([]string, error) {
	b, err := p.ask(ctx, request{method: http.MethodGet, path: "/formats"})
	if err != nil {
		return nil, err
	}
	var said struct {
		Formats []string `json:"formats"`
	}
	if err := json.Unmarshal(b, &said); err != nil || len(said.Formats) > 1000 {
		return nil, vfs.Crashed.With("the plugin is wrong: /formats answers no list")
	}
	return said.Formats, nil
}

// process has data processed.
func (p processor) process(ctx context.Context, data []byte) (r result, err error) {
	if len(data) > maxData {
		return r, vfs.TooLarge.Withf("a processor takes at most %d bytes", maxData)
	}
	format := p.format
	if format == "" {
		list, err := p.formats(ctx)
		switch {
		case err != nil:
			return r, err
		case len(list) > 0:
			format = list[0]
		}
	}
	in := struct {
		Data   []byte            `json:"data"`
		Format string            `json:"format"`
		Config map[string]string `json:"config,omitempty"`
	}{data, format, p.extra}
	body, err := json.Marshal(in)
	if err != nil {
		return r, err
	}
	b, err := p.ask(ctx, request{method: http.MethodPost, path: "/process", body: body, change: true})
	if err != nil {
		return r, err
	}
	var out struct {
		Data     []byte         `json:"data"`
		Metadata map[string]any `json:"metadata"`
	}
	if err := json.Unmarshal(b, &out); err != nil || len(out.Data) > maxData || len(out.Metadata) > 100 {
		return r, vfs.Crashed.With("the plugin is wrong: /process answers no result")
	}
	return result{out.Data, time.Now().UTC(), texts(out.Metadata)}, nil
}

// texts makes texts of all values: of those that are none, their JSON.
func texts(m map[string]any) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m { // a map has no order either
		s, ok := v.(string)
		if b, err := json.Marshal(v); !ok && err == nil {
			s = string(b)
		}
		out[clip(k, maxErrorText)] = clip(s, maxErrorText)
	}
	delete(out, vfs.ConsumeKey) // nothing here can be consumed,
	delete(out, vfs.EndlessKey) // and all of it ends
	return out
}

// file returns what is at a path: a directory, or content.
func (p processor) file(ctx context.Context, path vfs.Path, began time.Time) (vfs.Info, []byte, error) {
	i := vfs.Info{Name: path.Base(), Mode: 0o644, ModTime: began}
	switch path {
	case vfs.Root, dirProcess:
		i.Mode = vfs.ModeDir | 0o755
		return i, nil, nil
	case fileIn:
		i.Mode, i.Meta.Type = 0o200, "control"
		return i, nil, nil
	case fileFormats:
		list, err := p.formats(ctx)
		text := ""
		for _, f := range list {
			text += clip(f, 200) + "\n"
		}
		i.Mode, i.Size = 0o444, int64(len(text))
		return i, []byte(text), err
	case fileOut:
		i.Mode = 0o444
	}
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	r, ok := p.kept.all[keyOf(path)]
	if !ok && path != fileOut {
		return i, nil, vfs.NotFound
	}
	if i.Size = int64(len(r.data)); ok {
		i.ModTime = r.at
		i.Meta.Content = r.meta
	}
	return i, r.data, nil
}

// keyOf returns the name of a result; no name has a slash at its beginning.
func keyOf(path vfs.Path) string {
	if path == fileOut {
		return ""
	}
	name, ok := strings.CutPrefix(string(path), dirProcess+"/")
	if !ok || strings.Contains(name, "/") {
		return "/"
	}
	return name
}

func (p processor) stat(ctx context.Context, path vfs.Path, began time.Time) (vfs.Info, error) {
	i, _, err := p.file(ctx, path, began)
	return i, err
}

func (p processor) listAfter(ctx context.Context, path vfs.Path, _ string, _ int, began time.Time) (out []vfs.Info, err error) {
	var names []string
	switch path {
	case vfs.Root:
		names = []string{fileFormats, fileIn, fileOut, dirProcess}
	case dirProcess:
		p.kept.mu.Lock()
		for name := range p.kept.all {
			if name != "" {
				names = append(names, dirProcess+"/"+name)
			}
		}
		p.kept.mu.Unlock()
		sort.Strings(names)
	default:
		if _, _, err := p.file(ctx, path, began); err != nil {
			return nil, err
		}
		return nil, vfs.NotDirectory
	}
	for _, name := range names {
		switch i, _, err := p.file(ctx, vfs.Path(name), began); {
		case errors.Is(err, vfs.NotFound): // removed meanwhile
		case err != nil:
			return nil, err
		default:
			out = append(out, i)
		}
	}
	return out, nil
}

func (p processor) read(ctx context.Context, path vfs.Path, b []byte, off int64, began time.Time) (int, error) {
	if path == fileIn {
		return 0, vfs.Permission.With("this file is written to: read " + fileOut)
	}
	i, data, err := p.file(ctx, path, began)
	switch {
	case err != nil:
		return 0, err
	case i.IsDir():
		return 0, vfs.IsDirectory
	}
	return bytes.NewReader(data).ReadAt(b, off)
}

// do takes what is written to /in and below /process.
func (p processor) do(ctx context.Context, op vfs.Op, began time.Time) (r vfs.Result, err error) {
	if op.Verb == vfs.Write {
		r.N, err = p.put(ctx, op, bytes.NewReader(op.Data), began)
		return r, err
	}
	i, err := p.stat(ctx, op.Path, began)
	switch {
	case err != nil:
		return r, err
	case i.IsDir() || keyOf(op.Path) == "" || keyOf(op.Path) == "/":
		return r, vfs.Permission
	}
	p.kept.put(keyOf(op.Path), nil)
	return r, nil
}

// put has a whole value processed.
func (p processor) put(ctx context.Context, op vfs.Op, r io.ReadSeeker, began time.Time) (int64, error) {
	key := keyOf(op.Path)
	i, err := p.stat(ctx, op.Path, began)
	missing := errors.Is(err, vfs.NotFound)
	switch {
	case err != nil && !missing:
		return 0, err
	case err == nil && i.IsDir():
		return 0, vfs.IsDirectory
	case op.Path == fileIn:
		key = ""
	case missing && key == "/":
		return 0, vfs.Permission.With("files are made below " + dirProcess)
	case missing && op.Flag&vfs.FlagCreate == 0:
		return 0, vfs.NotFound
	case key == "" || key == "/":
		return 0, vfs.Permission.With("write to " + fileIn)
	case !missing && op.Flag&vfs.FlagExclusive != 0:
		return 0, vfs.Exists
	}
	if op.Off > 0 || (op.Off == vfs.AtEnd || op.Flag&vfs.FlagTruncate == 0) && i.Size > 0 {
		return 0, vfs.Unsupported.With("a processor takes whole values")
	}
	data, err := io.ReadAll(io.LimitReader(r, maxData+1))
	if err != nil {
		return 0, err
	}
	res, err := p.process(ctx, data)
	if err != nil {
		return 0, err
	}
	if !p.kept.put(key, &res) {
		return 0, vfs.NoSpace.Withf("at most %d results of %d bytes in all are kept: remove some", maxResults, maxKept)
	}
	return int64(len(data)), nil
}

// put keeps a result, or forgets it; false: there are too many.
func (k *results) put(name string, r *result) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, there := k.all[name]
	if r == nil {
		delete(k.all, name)
		k.size -= len(old.data)
		return true
	}
	size := k.size - len(old.data) + len(r.data)
	if size > maxKept || !there && len(k.all) >= maxResults {
		return false
	}
	k.all[name], k.size = *r, size
	return true
}
