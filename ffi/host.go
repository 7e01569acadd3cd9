package ffi

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// Kind is the Kind of the Libraries that this package runs.
const Kind = "native"

// Program is the file name of the program that loads libraries.
const Program = "pfs-plugin-host"

// The limits of a plugin, and the most that can be asked for.
const (
	defaultMemory = 256 << 20
	leastMemory   = 1 << 20
	mostMemory    = 16 << 30
	defaultCall   = 5 * time.Second
	mostCall      = 8 * time.Second // the API gives up after 9 s
	mostInstances = 64
	startTime     = 10 * time.Second // for a library to be loaded and initialised
	stopTime      = 2 * time.Second  // for it to shut down
	maxName       = 64               // bytes of its name
	maxDoc        = 8 << 10          // bytes of its page
	noDoc         = "A plugin from outside."
)

// Host runs native plugins. It is safe for concurrent use.
type Host struct {
	Plan    supervise.Plan // how processes are kept, but for what limits say; not changed once there are mounts
	program string
	log     *slog.Logger
	inspect chan struct{} // holds one: a library that does not end holds one process
	start   time.Duration // for a library to be loaded and initialised
	quick   atomic.Int32  // calls that keep a thread waiting
	socket  bool          // all calls take the socket
	open    Open          // loads a library into this process; nil: mounts have processes
	lacks   supervise.Notices

	mu      sync.Mutex
	loading map[string]int // into this process, by the hash of the library
}

// New returns a Host that runs program; "" is pfs-plugin-host in the directory of
// this program. That it is there is seen when it is needed. nil logs nothing.
func New(program string, log *slog.Logger) (*Host, error) {
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program = filepath.Join(filepath.Dir(self), Program)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Host{program: program, log: log, inspect: make(chan struct{}, 1), start: startTime, loading: map[string]int{}}, nil
}

// Ready returns nil if there is a program to run plugins with.
func (h *Host) Ready() error {
	_, err := exec.LookPath(h.program)
	return err
}

// Inspect tells what the library is: its name, its page and what it can do. It
// loads the library for that, in a process that ends with it and, of what is granted,
// may start others. Invalid says what
// keeps it from being a plugin. Sum, Size, Source, ABI and the place of the code are
// the caller's to fill in.
func (h *Host) Inspect(ctx context.Context, code []byte, l vfs.Limits, g vfs.Grants) (vfs.Library, error) {
	l, err := bounds().Fill(l)
	if err != nil {
		return vfs.Library{}, err
	}
	select {
	case h.inspect <- struct{}{}:
		defer func() { <-h.inspect }()
	case <-ctx.Done():
		return vfs.Library{}, ctx.Err()
	}
	c, d, err := h.spawn(ctx, code, Settings{Describe: true}, vfs.Library{Limits: l, Grants: vfs.Grants{Processes: g.Processes}}, h.log)
	if err != nil {
		if k := vfs.KindOf(err); k == vfs.Crashed || k == vfs.Timeout {
			err = vfs.Invalid.Withf("the library does not load: %v", err)
		}
		return vfs.Library{}, err
	}
	c.Close()
	lib := vfs.Library{Kind: Kind, Place: vfs.Pinned, Name: d.Name, Doc: d.Doc, Verbs: d.Verbs & allVerbs(), Limits: l}
	if lib.Name == "" {
		lib.Name = "native-plugin"
	}
	if len(lib.Name) > maxName {
		return lib, vfs.Invalid.Withf("the plugin's name has more than %d bytes", maxName)
	}
	if lib.Doc = clip(lib.Doc, maxDoc); lib.Doc == "" {
		lib.Doc = noDoc
	}
	return lib, nil
}

// allVerbs are those that a native plugin may have.
func allVerbs() vfs.VerbSet {
	return vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Chmod, vfs.Remove, vfs.RemoveAll, vfs.Rename)
}

// Plugin returns the library as a kind of filesystem. code reads its bytes.
func (h *Host) Plugin(lib vfs.Library, code func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error)) vfs.Plugin {
	return vfs.Plugin{
		Type: lib.Name, Doc: lib.Doc, Verbs: lib.Verbs, Params: lib.Params, Open: true,
		Place: func(vfs.Config) (vfs.Placement, error) { return lib.Place, nil },
		New: func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			f := &FS{host: h, lib: lib, env: env, config: c}
			f.code = func(ctx context.Context) ([]byte, error) { return code(ctx, env.Chunks, lib) }
			return f, nil
		},
	}
}

// reach returns how the instance of a mount is reached.
func (h *Host) reach(f *FS) reach {
	if h.open != nil {
		return newNear(f)
	}
	return newFar(f)
}

// InProcess has mounts load their libraries into this process from now on, with
// open: that saves most of what a call costs, and a library that faults ends the
// process. What is inspected is loaded in a process of its own all the same.
func (h *Host) InProcess(open Open) { h.open = open }

// lanesFor makes n lanes for a process; nil: the machine has none, or no room for
// them, and all calls take the socket.
func (h *Host) lanesFor(n int) *lanes {
	if h.socket {
		return nil
	}
	l, err := newLanes(n, &h.quick)
	if err != nil {
		h.log.Debug("native plugin has no memory in common", "error", err)
		return nil
	}
	return l
}

// bounds is what a library is given.
func bounds() vfs.Bounds {
	return vfs.Bounds{Memory: defaultMemory, LeastMemory: leastMemory, MostMemory: mostMemory,
		Call: defaultCall, MostCall: mostCall, MostInstances: mostInstances}
}
