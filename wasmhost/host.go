package wasmhost

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/pfs-project/pfs/vfs"
)

// Kind is the Kind of the Libraries that this package runs.
const Kind = "wasm"

// MaxModule is how long a module may be, in bytes.
const MaxModule = 16 << 20

// The limits of a plugin, and the most that can be asked for.
const (
	defaultMemory    = 64 << 20
	mostMemory       = 1 << 30
	defaultCall      = 5 * time.Second
	mostCall         = 8 * time.Second // the API gives up after 9 s
	mostInstances    = 64
	pageSize         = 64 << 10
	startTime        = 10 * time.Second // for a module to be initialised
	shutdownTime     = time.Second
	unknownPluginDoc = "A plugin from outside."
)

// Host runs modules. It is safe for concurrent use.
type Host struct {
	cache     wazero.CompilationCache
	compiling sync.Mutex // one at a time: a module that is hard to compile holds one core
	log       *slog.Logger
	turns     chan struct{} // one in it for each module that computes
	programs  chan struct{} // the same for those that are programs: nothing ends those soon
	change    Changer
	crowd     *crowd
}

// New returns a Host that keeps compiled code in dir; "" keeps it in memory.
// change makes what modules are granted to change; nil refuses all of it. A nil
// log logs nothing.
func New(dir string, change Changer, log *slog.Logger) (*Host, error) {
	h := &Host{cache: wazero.NewCompilationCache(), log: log, change: change, turns: make(chan struct{}, guests()), programs: make(chan struct{}, guests()), crowd: newCrowd()}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if !mayCompile() {
		h.log.Warn("WASM modules are interpreted and slow: the system forbids this process to make code")
	}
	if dir == "" {
		return h, nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		h.crowd.close()
		return nil, err
	}
	h.cache = cache
	return h, nil
}

// Close frees compiled code. No plugin may run any more.
func (h *Host) Close(ctx context.Context) error {
	h.crowd.close()
	return h.cache.Close(ctx)
}

// Inspect tells what the module is: its name, its page, its settings and what it
// can do. It runs the module for that, without a grant. Invalid says what keeps
// it from being a plugin. Sum, Size, Source and the place of the code are the
// caller's to fill in.
func (h *Host) Inspect(ctx context.Context, module []byte, l vfs.Limits) (vfs.Library, error) {
	l, err := bounds().Fill(l)
	if err != nil {
		return vfs.Library{}, err
	}
	p, err := h.open(ctx, module, l, guestEnv{log: h.log})
	if err != nil {
		return vfs.Library{}, err
	}
	defer p.close()
	ctx, cancel := context.WithTimeout(ctx, startTime) // what the compiler took is not the module's
	defer cancel()
	if err := p.turns.take(ctx.Done()); err != nil {
		return vfs.Library{}, err
	}
	i, err := p.make(ctx, pace{})
	defer i.close()
	defer i.giveTurn()
	if err != nil {
		return vfs.Library{}, vfs.Invalid.Withf("the module does not start: %v", err)
	}
	lib := vfs.Library{Kind: Kind, Place: vfs.Pinned, Verbs: p.abi.verbs(), Limits: l}
	if lib.Name, err = i.ask(ctx, "plugin_name", maxNameText); err != nil {
		return lib, err
	}
	if lib.Name == "" {
		lib.Name = "wasm-plugin"
	}
	if lib.Doc, err = i.ask(ctx, "plugin_get_readme", maxDocText); err != nil {
		return lib, err
	}
	if lib.Doc == "" {
		lib.Doc = unknownPluginDoc
	}
	params, err := i.ask(ctx, "plugin_get_config_params", maxDocText)
	if err != nil {
		return lib, err
	}
	lib.Params, err = parseParams(params)
	return lib, err
}

// Plugin returns the library as a kind of filesystem. code reads its module.
func (h *Host) Plugin(lib vfs.Library, code func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error)) vfs.Plugin {
	return vfs.Plugin{
		Type: lib.Name, Doc: lib.Doc, Verbs: lib.Verbs, Params: lib.Params, Open: true,
		Place: func(vfs.Config) (vfs.Placement, error) { return lib.Place, nil },
		New: func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			f := &FS{host: h, lib: lib, env: env, config: c, write: make(chan struct{}, 1)}
			f.code = func(ctx context.Context) ([]byte, error) { return code(ctx, env.Chunks, lib) }
			return f, nil
		},
	}
}

// bounds is what a module is given.
func bounds() vfs.Bounds {
	return vfs.Bounds{Memory: defaultMemory, LeastMemory: pageSize, MostMemory: mostMemory,
		Call: defaultCall, MostCall: mostCall, MostInstances: mostInstances}
}
