package prochost

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// The Kinds of the Libraries that this package runs.
const (
	HTTP        = "http"
	MessagePack = "msgpack"
	Module      = "wasi" // a WASM module that is a program and speaks MessagePack
)

// The limits of a plugin, and the most that can be asked for.
const (
	defaultMemory = 512 << 20
	leastMemory   = 16 << 20
	mostMemory    = 8 << 30
	moduleMemory  = 64 << 20 // by default, of one that is a module
	mostModule    = 1 << 30
	defaultCall   = 8 * time.Second
	mostCall      = 8 * time.Second // the API gives up after 9 s
	startTime     = 10 * time.Second
	moduleTime    = 2 * time.Minute // to start, with the time to compile it
	unknownDoc    = "A plugin from outside."
	maxName       = 64
)

// Host runs process plugins. It is safe for concurrent use.
type Host struct {
	Plan    supervise.Plan // how processes are kept, but for what limits say; not changed once there are mounts
	log     *slog.Logger
	version string // of the server, for who asks
	modules RunModule
	lacks   supervise.Notices
}

// RunModule starts a module that is a program: with its pipes, so much memory in
// bytes, its standard error in a log, and nothing of the machine.
type RunModule func(ctx context.Context, code []byte, memory int64, log *slog.Logger) (supervise.Process, error)

// New returns a Host, and removes what programs have left behind of servers that
// were killed. A nil log logs nothing; without modules none are run.
func New(version string, modules RunModule, log *slog.Logger) *Host {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	supervise.Sweep(socketDir, idLead, socketEnd, socketEnd+lockEnd)
	return &Host{log: log, version: version, modules: modules}
}

// bounded fills in the defaults of l.
func bounded(kind string, l vfs.Limits) (vfs.Limits, error) {
	b := vfs.Bounds{Memory: defaultMemory, LeastMemory: leastMemory, MostMemory: mostMemory,
		Call: defaultCall, MostCall: mostCall, MostInstances: 1}
	if kind == Module {
		b.Memory, b.MostMemory = moduleMemory, mostModule
	}
	switch {
	case l.Idle < 0 || l.Idle > 0 && l.Idle < time.Second:
		return l, vfs.Invalid.With("limits: idle must be 1s or more; 0 is never")
	case l.Instances > 1:
		return l, vfs.Invalid.With("limits: instances must be 1: a process plugin serves many calls at once")
	}
	return b.Fill(l)
}

// Runs reports whether this package runs libraries of a kind.
func Runs(kind string) bool { return kind == HTTP || messages(kind) }

// messages reports whether what is of a kind speaks MessagePack.
func messages(kind string) bool { return kind == MessagePack || kind == Module }

// Inspect tells what the program is: its protocol, its name and what it can do. It
// runs it for that, first with the argument of the one protocol, then with the first
// message of the other; of what is granted it may start processes. Invalid says what
// keeps it from being a plugin.
func (h *Host) Inspect(ctx context.Context, code []byte, l vfs.Limits, g vfs.Grants) (vfs.Library, error) {
	l, err := bounded("", l)
	if err != nil {
		return vfs.Library{}, err
	}
	lib := vfs.Library{Place: vfs.Pinned, Limits: l, Doc: unknownDoc}
	env := vfs.Env{Log: h.log, Version: h.version}
	c := h.command(code, lib, env)
	c.Processes = g.Processes
	o, err := capabilities(ctx, c, startTime)
	switch {
	case err == nil:
		lib.Kind, lib.Name, lib.Verbs, lib.Params = HTTP, nameOf(o.name), o.verbs, o.params
		if o.doc != "" {
			lib.Doc = o.doc
		}
		return lib, nil
	case vfs.KindOf(err) == vfs.Invalid:
		return lib, err
	}
	lib.Kind = MessagePack
	lib, ferr := h.introduce(ctx, lib, h.starts(c), env)
	if ferr != nil {
		return lib, vfs.Invalid.Withf("the program is no plugin: %v, and it does not speak MessagePack (%v)", err, ferr)
	}
	return lib, nil
}

// InspectModule is Inspect for a module that is a program.
func (h *Host) InspectModule(ctx context.Context, code []byte, l vfs.Limits) (vfs.Library, error) {
	l, err := bounded(Module, l)
	if err != nil {
		return vfs.Library{}, err
	}
	lib := vfs.Library{Kind: Module, Place: vfs.Pinned, Limits: l, Doc: unknownDoc}
	lib, err = h.introduce(ctx, lib, h.startsModule(code, lib, h.log), vfs.Env{Log: h.log, Version: h.version})
	if err != nil {
		return lib, vfs.Invalid.Withf("the module is no plugin: it exports no functions of a file system, and does not speak MessagePack (%v)", err)
	}
	return lib, nil
}

// introduce starts what may speak MessagePack, once, to learn what it is.
func (h *Host) introduce(ctx context.Context, lib vfs.Library, start launch, env vfs.Env) (vfs.Library, error) {
	f, err := newF4(ctx, start, startTime, env, lib.Limits.Call, "")
	if err != nil {
		return lib, err
	}
	defer f.Close()
	lib.Name = nameOf(f.name, f.drive)
	if f.doc != "" {
		lib.Doc = clip(f.doc, 16<<10)
	}
	lib.Params = []vfs.Param{{Name: "drive", Type: "string", Default: f.drive, Description: "which of the plugin's drives is mounted"}}
	lib.Verbs, err = f.verbs(ctx)
	return lib, err
}

// starts returns what starts a program.
func (h *Host) starts(c supervise.Command) launch {
	return func(context.Context) (supervise.Process, error) { return supervise.Start(c) }
}

// startsModule returns what starts a module.
func (h *Host) startsModule(code []byte, lib vfs.Library, log *slog.Logger) launch {
	return func(ctx context.Context) (supervise.Process, error) {
		if h.modules == nil {
			return nil, vfs.Unsupported.With("modules are not run here")
		}
		return h.modules(ctx, code, lib.Limits.Memory, log)
	}
}

// nameOf makes a name for a type of the first text that is one.
func nameOf(texts ...string) string {
	for _, text := range texts {
		name := strings.Trim(strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
				return r
			case r >= 'A' && r <= 'Z':
				return r - 'A' + 'a'
			}
			return '-'
		}, text), "-.")
		if name = name[:min(len(name), maxName)]; name != "" {
			return name
		}
	}
	return "process-plugin"
}

// command is how a plugin is run.
func (h *Host) command(code []byte, lib vfs.Library, env vfs.Env) supervise.Command {
	return supervise.Command{
		Name: lib.Name, Code: code, Limits: supervise.Limits{Memory: lib.Limits.Memory}, Log: env.Log,
		Network: lib.Grants.Network, Processes: lib.Grants.Processes,
	}
}

// Plugin returns the library as a kind of filesystem. code reads its program.
func (h *Host) Plugin(lib vfs.Library, code func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error)) vfs.Plugin {
	return vfs.Plugin{
		Type: lib.Name, Doc: lib.Doc, Verbs: lib.Verbs, Params: lib.Params, Open: true,
		Place: func(vfs.Config) (vfs.Placement, error) { return lib.Place, nil },
		New: func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			f := &FS{
				host: h, lib: lib, env: env, config: c,
				alone: messages(lib.Kind), whole: messages(lib.Kind),
				write: make(chan struct{}, 1), reads: make(chan struct{}, readers), spool: make(chan struct{}, maxSpools),
			}
			f.code = func(ctx context.Context) ([]byte, error) { return code(ctx, env.Chunks, lib) }
			return f, nil
		},
	}
}

// starter returns what starts the process of a mount, and how it is kept.
func (f *FS) starter(ctx context.Context, code []byte) (func(context.Context) (backend, error), error) {
	c := f.host.command(code, f.lib, f.env)
	launch := f.host.starts(c)
	switch f.lib.Kind {
	case HTTP:
		return f.startHTTP(ctx, c)
	case Module:
		launch = f.host.startsModule(code, f.lib, f.env.Log)
	}
	drive, err := f.config.String("drive", "")
	if err != nil {
		return nil, err
	}
	settings := maps.Clone(map[string]any(f.config))
	delete(settings, "drive")
	text := ""
	if len(settings) > 0 {
		b, err := json.Marshal(settings)
		if err != nil {
			return nil, vfs.Invalid.With(err.Error())
		}
		text = string(b)
	}
	return func(ctx context.Context) (backend, error) {
		p, err := newF4(ctx, launch, startTime, f.env, f.lib.Limits.Call, text)
		if err != nil {
			return nil, err
		}
		if err := p.pick(drive); err != nil {
			p.Close()
			return nil, err
		}
		f.told(p.proc)
		return p, nil
	}, nil
}

// startHTTP asks the program once what it is, and checks the settings before it is
// started with them.
func (f *FS) startHTTP(ctx context.Context, c supervise.Command) (func(context.Context) (backend, error), error) {
	o, err := capabilities(ctx, c, capabilitiesTime)
	if err != nil {
		return nil, err
	}
	f.whole = o.contract == contractProcessor || o.puts
	settings := maps.Clone(map[string]any(f.config))
	p := processor{kept: &results{all: map[string]result{}}}
	if o.contract == contractProcessor {
		if p.format, err = f.config.String("format", ""); err != nil {
			return nil, err
		}
		if p.extra, err = f.config.Map("config"); err != nil {
			return nil, err
		}
		for _, name := range []string{"format", "config"} { // ours, unless the program names them, too
			if !slices.ContainsFunc(o.params, func(p vfs.Param) bool { return p.Name == name }) {
				delete(settings, name)
			}
		}
	}
	if settings == nil {
		settings = map[string]any{}
	}
	if err := o.vet(settings); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (backend, error) {
		g, err := newGPF(ctx, c, o, settings, f.lib.Limits.Call)
		if err != nil {
			return nil, err
		}
		f.told(g.child)
		if o.contract == contractFiles {
			return httpFS{g}, nil
		}
		with := p
		with.gpf = g
		return with, nil
	}, nil
}

// told notes what the machine does not keep processes from.
func (f *FS) told(p supervise.Process) {
	if c, ok := p.(*supervise.Child); ok {
		f.host.lacks.Tell(f.host.log, c)
	}
}
