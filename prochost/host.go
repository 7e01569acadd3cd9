package prochost

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// The Kinds of the Libraries that this package runs.
const (
	HTTP        = "http"
	MessagePack = "msgpack"
)

// The limits of a plugin, and the most that can be asked for.
const (
	defaultMemory = 512 << 20
	leastMemory   = 16 << 20
	mostMemory    = 8 << 30
	defaultCall   = 8 * time.Second
	mostCall      = 8 * time.Second // the API gives up after 9 s
	startTime     = 10 * time.Second
	unknownDoc    = "A plugin from outside."
	maxName       = 64
)

// Host runs process plugins. It is safe for concurrent use.
type Host struct {
	Plan    supervise.Plan // how processes are kept, but for what limits say; not changed once there are mounts
	log     *slog.Logger
	version string    // of the server, for who asks
	lacks   sync.Once // what the machine does not let its processes be denied is told
}

// New returns a Host, and removes what programs have left behind of servers that
// were killed. nil logs nothing.
func New(version string, log *slog.Logger) *Host {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	supervise.Sweep(socketDir, idLead, socketEnd, socketEnd+lockEnd)
	return &Host{log: log, version: version}
}

// bounded fills in the defaults of l.
func bounded(l vfs.Limits) (vfs.Limits, error) {
	if l.Memory == 0 {
		l.Memory = defaultMemory
	}
	if l.Call == 0 {
		l.Call = defaultCall
	}
	if l.Instances == 0 {
		l.Instances = 1
	}
	switch {
	case l.Memory < leastMemory || l.Memory > mostMemory:
		return l, vfs.Invalid.Withf("limits: memory must be %d to %d bytes", leastMemory, int64(mostMemory))
	case l.Call < time.Millisecond || l.Call > mostCall:
		return l, vfs.Invalid.Withf("limits: call must be 1ms to %v", mostCall)
	case l.Idle < 0 || l.Idle > 0 && l.Idle < time.Second:
		return l, vfs.Invalid.With("limits: idle must be 1s or more; 0 is never")
	case l.Instances != 1:
		return l, vfs.Invalid.With("limits: instances must be 1: a process plugin serves many calls at once")
	}
	return l, nil
}

// Runs reports whether this package runs libraries of a kind.
func Runs(kind string) bool { return kind == HTTP || kind == MessagePack }

// Inspect tells what the program is: its protocol, its name and what it can do. It
// runs it for that: first with the argument of the one protocol, then with the
// first message of the other. Invalid says what keeps it from being a plugin.
func (h *Host) Inspect(ctx context.Context, code []byte, l vfs.Limits) (vfs.Library, error) {
	l, err := bounded(l)
	if err != nil {
		return vfs.Library{}, err
	}
	lib := vfs.Library{Place: vfs.Pinned, Limits: l, Doc: unknownDoc}
	env := vfs.Env{Log: h.log, Version: h.version}
	c := h.command(code, lib, env)
	o, err := capabilities(ctx, c)
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
	f, ferr := h.tryF4(ctx, c, env, l.Call)
	if ferr != nil {
		return lib, vfs.Invalid.Withf("the program is no plugin: %v, and it does not speak MessagePack (%v)", err, ferr)
	}
	defer f.Close()
	lib.Kind, lib.Name = MessagePack, nameOf(f.name, f.drive)
	if f.doc != "" {
		lib.Doc = clip(f.doc, 16<<10)
	}
	lib.Params = []vfs.Param{{Name: "drive", Type: "string", Default: f.drive, Description: "which of the plugin's drives is mounted"}}
	lib.Verbs, err = f.verbs(ctx)
	return lib, err
}

// tryF4 starts a program that may speak MessagePack.
func (h *Host) tryF4(ctx context.Context, c supervise.Command, env vfs.Env, call time.Duration) (*f4, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime/2)
	defer cancel()
	return newF4(ctx, c, env, call, "")
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
		Name: lib.Name, Code: code, Limits: supervise.Limits{Memory: lib.Limits.Memory}, Network: lib.Grants.Network, Log: env.Log,
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
				alone: lib.Kind == MessagePack, whole: lib.Kind == MessagePack,
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
	if f.lib.Kind == HTTP {
		return f.startHTTP(ctx, c)
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
		p, err := newF4(ctx, c, f.env, f.lib.Limits.Call, text)
		if err != nil {
			return nil, err
		}
		if err := p.pick(drive); err != nil {
			p.Close()
			return nil, err
		}
		f.told(p.child)
		return p, nil
	}, nil
}

// startHTTP asks the program once what it is, and checks the settings before it is
// started with them.
func (f *FS) startHTTP(ctx context.Context, c supervise.Command) (func(context.Context) (backend, error), error) {
	o, err := capabilities(ctx, c)
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

// told notes what the machine does not keep processes from, once.
func (f *FS) told(c *supervise.Child) {
	if lacks := c.Lacks(); len(lacks) > 0 {
		f.host.lacks.Do(func() {
			f.host.log.Warn("plugin runs with less around it than it should", "missing", lacks)
		})
	}
}
