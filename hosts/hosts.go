package hosts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"runtime"

	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/prochost"
	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/wasmhost"
)

// MaxCode is how long the code of a plugin may be, in bytes.
const MaxCode = wasmhost.MaxModule

// Form is what the first bytes of a file say that it is.
type Form string

// The forms of plugins.
const (
	Unknown Form = ""
	Module  Form = "module"  // of WebAssembly
	Library Form = "library" // native
	Program Form = "program" // a script, or an executable of this machine
)

// forms are the beginnings of files, as loaders tell them apart.
var forms = []struct {
	magic string
	form  Form
}{
	{"\x00asm", Module}, {"\x7fELF", Library}, {"MZ", Library},
	{"\xfe\xed\xfa\xce", Library}, {"\xfe\xed\xfa\xcf", Library}, {"\xce\xfa\xed\xfe", Library},
	{"\xcf\xfa\xed\xfe", Library}, {"\xca\xfe\xba\xbe", Library}, {"\xbe\xba\xfe\xca", Library},
}

// FormOf tells what code is, Unknown for what no host runs.
func FormOf(code []byte) Form {
	if prochost.IsProgram(code) {
		return Program
	}
	for _, f := range forms {
		if bytes.HasPrefix(code, []byte(f.magic)) {
			return f.form
		}
	}
	return Unknown
}

// Config is what the hosts need.
type Config struct {
	Compiled   string           // directory for compiled modules; "" keeps them in memory
	PluginHost string           // the program that loads native libraries; "" is the one beside this program
	Version    string           // of PFS, told to plugins that ask
	Change     wasmhost.Changer // makes the changes of the tree that modules are granted; nil refuses them
	Plan       supervise.Plan   // how processes are kept
	InProcess  ffi.Open         // loads native libraries into this process; nil: each has one of its own
	Log        *slog.Logger     // nil logs nothing
}

// What may stand between this process and a plugin.
const (
	IsolationSandbox = "sandbox" // of the module's memory
	IsolationProcess = "process"
	IsolationNone    = "none"
)

// Hosts runs plugins. It is safe for concurrent use.
type Hosts struct {
	wasm   *wasmhost.Host
	procs  *prochost.Host
	native *ffi.Host
	near   bool // native libraries run in this process
}

// New returns Hosts, which are to be closed.
func New(c Config) (*Hosts, error) {
	native, err := ffi.New(c.PluginHost, c.Log)
	if err != nil {
		return nil, err
	}
	if c.InProcess != nil {
		native.InProcess(c.InProcess)
	}
	wasm, err := wasmhost.New(c.Compiled, c.Change, c.Log)
	if err != nil {
		return nil, err
	}
	procs := prochost.New(c.Version, wasm.Run, c.Log)
	procs.Plan, native.Plan = c.Plan, c.Plan
	return &Hosts{wasm: wasm, procs: procs, native: native, near: c.InProcess != nil}, nil
}

// Processors returns how many threads the Go runtime should run at once, so that
// modules that never pause leave some to others.
func (h *Hosts) Processors() int { return h.wasm.Processors() }

// Close frees what the hosts have. No plugin may run any more.
func (h *Hosts) Close(ctx context.Context) error { return h.wasm.Close(ctx) }

// Inspect tells what the code of a plugin is. It runs it for that, without what is
// granted but processes. Invalid says what keeps it from being a plugin. Sum, Size, Source and the
// place of the code are the caller's to fill in.
func (h *Hosts) Inspect(ctx context.Context, code []byte, limits vfs.Limits, g vfs.Grants) (vfs.Library, error) {
	switch FormOf(code) {
	case Program:
		return h.procs.Inspect(ctx, code, limits, g)
	case Module:
		if wasmhost.IsProgram(code) {
			return h.procs.InspectModule(ctx, code, limits)
		}
		return h.wasm.Inspect(ctx, code, limits)
	case Library:
		return h.native.Inspect(ctx, code, limits, g)
	}
	return vfs.Library{}, vfs.Invalid.With("failed to detect plugin type: unsupported plugin type: unknown")
}

// Kinds returns the kinds of plugins that run here now.
func (h *Hosts) Kinds() []string {
	kinds := []string{wasmhost.Kind, prochost.Module}
	if runtime.GOOS == "linux" { // no processes of others are started elsewhere
		kinds = append(kinds, prochost.HTTP, prochost.MessagePack)
	}
	if h.near || runtime.GOOS == "linux" && h.native.Ready() == nil {
		kinds = append(kinds, ffi.Kind)
	}
	return kinds
}

// Isolation says what stands between this process and a plugin of a kind.
func (h *Hosts) Isolation(kind string) string {
	switch {
	case kind == wasmhost.Kind || kind == prochost.Module:
		return IsolationSandbox
	case kind == ffi.Kind && h.near:
		return IsolationNone
	}
	return IsolationProcess
}

// Plugin returns a library as a kind of filesystem. Its mounts read their code
// from it and their chunks.
func (h *Hosts) Plugin(lib vfs.Library) vfs.Plugin {
	switch {
	case prochost.Runs(lib.Kind):
		return h.procs.Plugin(lib, codeOf)
	case lib.Kind == ffi.Kind:
		return h.native.Plugin(lib, codeOf)
	}
	return h.wasm.Plugin(lib, codeOf)
}

// codeOf reads the code of a library, and checks that it is that.
func codeOf(ctx context.Context, c vfs.Chunks, lib vfs.Library) ([]byte, error) {
	code := append([]byte(nil), lib.Data...)
	for _, ref := range lib.Refs {
		b := make([]byte, ref.Len)
		if err := c.ReadChunk(ctx, ref, b, 0); err != nil {
			return nil, err
		}
		code = append(code, b...)
	}
	if Sum(code) != lib.Sum {
		return nil, vfs.Internal.Withf("the code of plugin %s is not what was loaded", lib.Name)
	}
	return code, nil
}

// Sum returns the SHA-256 of code in hex, as a Library has it.
func Sum(code []byte) string {
	sum := sha256.Sum256(code)
	return hex.EncodeToString(sum[:])
}
