package wasmhost

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/pfs-project/pfs/vfs"
)

// What a module may ask of the host during one call.
const (
	maxAsks   = 100
	maxNested = 4
	maxRead   = 4 << 20 // bytes
	maxNames  = 10_000  // of a directory
)

var errAsks = vfs.Throttled.Withf("a call may ask the host %d times", maxAsks)

// ask is a question of a module on its way.
type ask struct {
	ctx  context.Context
	i    *instance
	args []uint64
}

// hostFuncs are the functions of the module "env". The others that a module
// imports do nothing and answer zero.
var hostFuncs = map[string]struct {
	sign string // as in signatures
	do   func(*ask) uint64
}{
	"host_fs_read":       {"iII:I", (*ask).read},
	"host_fs_write":      {"iii:I", (*ask).write},
	"host_fs_stat":       {"i:I", (*ask).stat},
	"host_fs_readdir":    {"i:I", (*ask).list},
	"host_fs_create":     {"i:i", changes(vfs.Create, false)},
	"host_fs_remove":     {"i:i", changes(vfs.Remove, false)},
	"host_fs_remove_all": {"i:i", changes(vfs.RemoveAll, false)},
	"host_fs_mkdir":      {"ii:i", changes(vfs.Mkdir, true)},
	"host_fs_chmod":      {"ii:i", changes(vfs.Chmod, true)},
	"host_fs_rename":     {"ii:i", (*ask).rename},
	"host_http_request":  {"i:I", (*ask).http},
}

// provide makes what the module imports.
func (p *program) provide(ctx context.Context) error {
	if len(p.module.ImportedMemories()) > 0 {
		return vfs.Invalid.With("the module imports a memory; it must export one")
	}
	wanted := map[string][]api.FunctionDefinition{}
	for _, f := range p.module.ImportedFunctions() {
		if from, _, _ := f.Import(); !strings.HasPrefix(from, "wasi_") {
			wanted[from] = append(wanted[from], f)
		}
	}
	for from, functions := range wanted { // modules do not know of each other
		b := p.runtime.NewHostModuleBuilder(from)
		for _, f := range functions {
			_, name, _ := f.Import()
			b.NewFunctionBuilder().WithGoModuleFunction(p.function(from, f), f.ParamTypes(), f.ResultTypes()).Export(name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return vfs.Invalid.Withf("the module's imports cannot be met: %s", firstLine(err))
		}
	}
	return nil
}

// instanceKey finds in a context the instance whose call is under way.
type instanceKey struct{}

// function returns what stands for one import.
func (p *program) function(from string, def api.FunctionDefinition) api.GoModuleFunc {
	_, name, _ := def.Import()
	results := len(def.ResultTypes())
	h, known := hostFuncs[name]
	known = known && from == "env"
	if !known || signature(def) != h.sign {
		return func(_ context.Context, _ api.Module, stack []uint64) { clear(stack[:results]) }
	}
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		i, ok := ctx.Value(instanceKey{}).(*instance)
		if !ok || i.module == nil {
			stack[0] = 0 // it asks before it has begun
			return
		}
		i.asks++
		stack[0] = h.do(&ask{ctx, i, stack})
		if err := ctx.Err(); err != nil {
			panic(err) // the runtime ends the call with it
		}
	}
}

// text reads the text that a parameter points to; it is a view of the memory.
func (a *ask) text(n, most int) ([]byte, error) {
	ptr := uint32(a.args[n])
	m := a.i.memory
	if ptr == 0 || ptr >= m.Size() {
		return nil, vfs.Invalid.With("a text outside of memory")
	}
	b, _ := m.Read(ptr, min(m.Size()-ptr, uint32(most)+1))
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return nil, vfs.Invalid.Withf("a text without an end, or of more than %d bytes", most)
	}
	return b[:end], nil
}

// path reads the path that a parameter points to.
func (a *ask) path(n int) (vfs.Path, error) {
	b, err := a.text(n, vfs.MaxPath)
	if err != nil {
		return "", err
	}
	return vfs.ParsePath(string(b))
}

// granted resolves the path of the first parameter and checks that it, and what
// it leads to, may be read. The caller releases the image.
func (a *ask) granted() (img vfs.Image, info vfs.Info, real vfs.Path, err error) {
	env := a.i.p.env
	p, err := a.path(0)
	switch {
	case err != nil:
		return nil, info, "", err
	case a.i.asks > maxAsks:
		err = errAsks
	case env.tree == nil || !env.grants.MayRead(p):
		err = vfs.Permission.With("no grant to read it")
	}
	if err != nil {
		return nil, info, "", vfs.At(err, "read", p)
	}
	img = env.tree.Image()
	a.i.outside(func() { info, real, err = img.Lookup(a.ctx, "read", p) })
	if err == nil && !env.grants.MayRead(real) {
		err = vfs.Permission.With("no grant to read what it leads to")
	}
	if err == nil && info.Consumes() {
		err = vfs.Permission.With("a read would take something away")
	}
	if err != nil {
		img.Release()
		return nil, info, "", vfs.At(err, "read", p)
	}
	return img, info, real, nil
}

// give hands bytes to the module: where they are, and their length. They are
// freed when the call ends, as the SDKs copy and forget them.
func (a *ask) give(b []byte) (at, n uint32) {
	m := a.i.module.ExportedFunction("malloc")
	if m == nil {
		return 0, 0
	}
	size := uint32(max(len(b), 1))
	out, err := m.Call(a.ctx, uint64(size))
	if err != nil || uint32(out[0]) == 0 || !a.i.memory.Write(uint32(out[0]), b) {
		return 0, 0
	}
	at = uint32(out[0])
	a.i.lent = append(a.i.lent, block{at, size})
	return at, uint32(len(b))
}

func (a *ask) giveText(s string) uint64 {
	at, _ := a.give(append([]byte(s), 0))
	return uint64(at)
}

// read answers host_fs_read. The end of a file is no error.
func (a *ask) read() uint64 {
	img, _, p, err := a.granted()
	if err != nil {
		return 0
	}
	defer img.Release()
	off, size := int64(a.args[1]), int64(a.args[2])
	if off < 0 {
		return 0
	}
	if size < 0 || size > maxRead {
		size = maxRead
	}
	b := make([]byte, size)
	n := 0
	a.i.outside(func() { n, err = img.ReadAt(a.ctx, p, b, off) })
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	at, length := a.give(b[:n])
	return uint64(length)<<32 | uint64(at)
}

// described is a file as modules are told of it.
type described struct {
	Name    string
	Size    int64
	Mode    vfs.Mode
	ModTime time.Time
	IsDir   bool
	Meta    describedMeta
}

type describedMeta struct {
	Name, Type string
	Content    map[string]string
}

func describe(i vfs.Info) described {
	return described{i.Name, i.Size, i.Mode.Perm(), i.ModTime, i.IsDir(), describedMeta{i.Meta.Name, i.Meta.Type, i.Meta.Content}}
}

// json answers v, or the text of err, as host_fs_stat and host_fs_readdir do.
func (a *ask) json(v any, err error) uint64 {
	var b []byte
	if err == nil {
		b, err = json.Marshal(v)
	}
	if err != nil {
		return a.giveText(err.Error()) << 32
	}
	return a.giveText(string(b))
}

func (a *ask) stat() uint64 {
	img, info, _, err := a.granted()
	if err == nil {
		img.Release()
	}
	return a.json(describe(info), err)
}

func (a *ask) list() uint64 {
	img, _, p, err := a.granted()
	if err != nil {
		return a.json(nil, err)
	}
	defer img.Release()
	var infos []vfs.Info
	a.i.outside(func() { infos, err = img.List(a.ctx, p, "", maxNames) })
	out := make([]described, len(infos))
	for i, info := range infos {
		out[i] = describe(info)
	}
	return a.json(out, err)
}

// mark names a mount among those that a request has come through: they wait for
// it. What is asked of other nodes carries it along.
func mark(cluster string, mount vfs.Path) string {
	sum := sha256.Sum256([]byte(cluster + " " + string(mount)))
	return markLead + hex.EncodeToString(sum[:8])
}

const markLead = "plugin-"

// enter notes that the module with a mark is called. One that waits for itself,
// or too many that wait for each other, is refused.
func enter(ctx context.Context, mark string) (context.Context, error) {
	via, depth := vfs.Via(ctx), 0
	for _, m := range via {
		if strings.HasPrefix(m, markLead) {
			depth++
		}
	}
	if depth == maxNested || slices.Contains(via, mark) {
		return nil, vfs.Conflict.With("plugins ask each other in a circle")
	}
	// Its questions are its own: not those that a node has sent on to this one.
	return vfs.WithoutHop(vfs.WithVia(ctx, append(via[:len(via):len(via)], mark))), nil
}
