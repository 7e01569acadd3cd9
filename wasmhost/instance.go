package wasmhost

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/pfs-project/pfs/vfs"
)

// Limits of what a module says, in bytes.
const (
	maxNameText  = 256
	maxErrorText = 4 << 10
	maxDocText   = 8 << 10
	maxJSON      = 16 << 20
)

// program is a compiled module with a runtime of its own.
type program struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	abi     *abi
	limits  vfs.Limits
	env     guestEnv
	output  *output
	turns   turns
	web     *web // nil: no request is granted
	starts  bool // and a start function of their own, which has not run
}

// guestEnv is what a module may use, as the host sees it.
type guestEnv struct {
	log    *slog.Logger
	name   string   // of the plugin
	tree   vfs.Tree // nil: none
	change Changer  // nil: nothing is changed
	mount  vfs.Path
	grants vfs.Grants
}

// open compiles a module that has the functions of a file system, and makes what
// it imports. Invalid tells what is wrong with it.
func (h *Host) open(ctx context.Context, module []byte, l vfs.Limits, env guestEnv) (_ *program, err error) {
	p, err := h.compile(ctx, module, l, env)
	if err != nil {
		return nil, err
	}
	if p.abi, err = readABI(p.module); err == nil && len(env.grants.HTTP) > 0 {
		p.web, err = newWeb(env.grants.HTTP)
	}
	if err == nil {
		err = p.link(ctx)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// compile compiles a module in a runtime of its own.
func (h *Host) compile(ctx context.Context, module []byte, l vfs.Limits, env guestEnv) (*program, error) {
	module, err := tamed(module)
	if err != nil {
		return nil, err
	}
	p := &program{limits: l, env: env, output: newOutput(env.log), turns: h.newTurns()}
	s, err := stoppable(module)
	if err != nil {
		return nil, err
	}
	p.starts = s.starts
	ctx = experimental.WithFunctionListenerFactory(ctx, &leaving{s.pause, h.crowd.look})
	config := wazero.NewRuntimeConfig().WithCompilationCache(h.cache).WithMemoryLimitPages(uint32(l.Memory / pageSize))
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := h.alone(func() (err error) {
		p.module, err = p.runtime.CompileModule(ctx, s.module)
		return err
	}); err != nil {
		p.close()
		return nil, vfs.Invalid.Withf("the module cannot be used: %s", firstLine(err))
	}
	return p, nil
}

// alone compiles beside nothing else. A panic of the compiler is an error.
func (h *Host) alone(compile func() error) (err error) {
	h.compiling.Lock()
	defer h.compiling.Unlock()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it breaks the compiler: %v", r)
		}
	}()
	return compile()
}

// link makes what the module imports.
func (p *program) link(ctx context.Context) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return err
	}
	return p.provide(ctx)
}

func (p *program) close() {
	p.web.close()
	_ = p.runtime.Close(context.Background()) // frees memory: there is nothing to fail
}

// instance is one run of a module with a memory of its own.
type instance struct {
	p        *program
	module   api.Module
	memory   api.Memory
	in, out  uint32  // shared buffers
	shared   uint32  // their length; 0: there are none
	broken   bool    // it must not be called again
	lent     []block // what the host gave in the call under way
	asks     int     // what it has asked of the host in it
	written  int64   // bytes
	requests int
	stop     atomic.Pointer[<-chan struct{}]
	mine     bool          // it has a turn
	took     time.Duration // to make it
	pace     pace
	exports  map[string]*export // that were called
	free     func()             // its memory
	stack    [maxParams]uint64  // what is passed, and what comes back
}

// export is a function of an instance. One that runs cannot be called again by what
// it has called.
type export struct {
	api.Function
	answers bool
	busy    bool
}

// maxParams is how many parameters a function of the ABI has at most.
const maxParams = 5

// make starts an instance, which takes over the turn of its caller: its own
// beginning, then plugin_new. What it returns is never nil, and has the turn if mine
// is set, also with an error.
func (p *program) make(ctx context.Context, pace pace) (i *instance, err error) {
	i = &instance{p: p, exports: map[string]*export{}, mine: true, pace: pace}
	ctx = i.during(ctx)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(p.output).WithStderr(p.output).WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().WithNanosleep(i.sleep)
	var room context.Context
	room, i.free = roomy(ctx)
	if i.module, err = p.runtime.InstantiateModule(room, p.module, config); err != nil {
		return i, i.failure(ctx, err)
	}
	defer func() {
		if err != nil {
			i.close()
		}
	}()
	i.memory = i.module.ExportedMemory("memory")
	defer p.until(ctx, i.module)()
	if p.starts {
		if _, err := i.call(ctx, startExport); err != nil {
			return i, err
		}
	}
	for _, name := range []string{"_initialize", "_start"} {
		if !p.abi.has[name] {
			continue
		}
		if _, err := i.call(ctx, name); err != nil {
			return i, err
		}
		break
	}
	if p.abi.has["plugin_new"] {
		if _, err := i.call(ctx, "plugin_new"); err != nil {
			return i, err
		}
	}
	return i, i.findBuffers(ctx)
}

// findBuffers asks where the shared buffers are.
func (i *instance) findBuffers(ctx context.Context) error {
	if !i.p.abi.buffers {
		return nil
	}
	var at [3]uint32
	for n, name := range []string{"get_input_buffer_ptr", "get_output_buffer_ptr", "get_shared_buffer_size"} {
		v, err := i.call(ctx, name)
		if err != nil {
			return err
		}
		at[n] = uint32(v)
	}
	_, inside := i.memory.Read(at[0], at[2])
	if _, also := i.memory.Read(at[1], at[2]); !inside || !also {
		return i.wrong("its shared buffers are outside of its memory")
	}
	if apart := max(at[0], at[1])-min(at[0], at[1]) >= at[2]; i.p.abi.has["malloc"] && (at[0] == 0 || at[1] == 0 || !apart) {
		return nil // they are not there yet, or one
	}
	i.in, i.out, i.shared = at[0], at[1], at[2]
	return nil
}

// during makes what sleeps in the instance end with ctx, and returns the context of
// its calls.
func (i *instance) during(ctx context.Context) context.Context {
	done := ctx.Done()
	i.stop.Store(&done)
	return context.WithValue(ctx, instanceKey{}, i)
}

// until has an instance trap once ctx is over, until it is let go: then a call that
// came to its end in that moment is taken for one that did.
func (p *program) until(ctx context.Context, m api.Module) (letGo func()) {
	stop := m.ExportedGlobal(stopExport).(api.MutableGlobal)
	set := make(chan struct{})
	over := context.AfterFunc(ctx, func() {
		stop.Set(1)
		close(set)
	})
	return func() {
		if !over() {
			<-set
			stop.Set(0)
		}
	}
}

// sleep lets the module sleep, until its call has to end.
func (i *instance) sleep(ns int64) {
	i.outside(func() {
		t := time.NewTimer(time.Duration(ns))
		defer t.Stop()
		select {
		case <-t.C:
		case <-*i.stop.Load():
		}
	})
}

// stackTime is how long a call may take before what it has grown is let go: a
// stack of megabytes is not made in less.
const stackTime = 200 * time.Microsecond

// export returns a function of the module, which is kept, since to make one takes a
// stack; nil if it has none of that name.
func (i *instance) export(name string) *export {
	f, ok := i.exports[name]
	if ok && !f.busy {
		return f
	}
	bare := i.module.ExportedFunction(name)
	if bare == nil {
		return nil
	}
	fresh := &export{Function: bare, answers: len(bare.Definition().ResultTypes()) > 0}
	if !ok {
		i.exports[name] = fresh
	}
	return fresh
}

// call calls an export, in a context of during. After an error the instance is
// broken.
func (i *instance) call(ctx context.Context, name string, args ...uint64) (uint64, error) {
	f := i.export(name)
	if f == nil {
		return 0, vfs.Unsupported.With(name + " not implemented")
	}
	n := copy(i.stack[:], args)
	began := time.Now()
	i.pace.begin(began)
	f.busy = true
	err := f.CallWithStack(ctx, i.stack[:max(n, 1)])
	f.busy = false
	if time.Since(began) > stackTime {
		delete(i.exports, name)
	}
	switch {
	case err != nil:
		return 0, i.failure(ctx, err)
	case i.module.IsClosed():
		return 0, i.wrong("it exited")
	case !f.answers:
		return 0, nil
	}
	return i.stack[0], nil
}

// failure says how a call ended that did not return.
func (i *instance) failure(ctx context.Context, err error) error {
	i.broken = true
	var exit *sys.ExitError
	switch {
	case ctx.Err() != nil:
		return vfs.Timeout.With("the plugin did not answer in time and was stopped")
	case errors.As(err, &exit):
		return vfs.Crashed.Withf("the plugin exited with code %d", exit.ExitCode())
	}
	i.p.env.log.Warn("plugin crashed", "error", clip(err.Error(), maxErrorText))
	return vfs.Crashed.Withf("the plugin crashed: %s", strings.TrimPrefix(firstLine(err), "wasm error: "))
}

// wrong is the answer to what no plugin may do. The instance is broken.
func (i *instance) wrong(what string) error {
	i.broken = true
	return vfs.Crashed.With("the plugin is wrong: " + what)
}

func (i *instance) close() {
	if i.module != nil {
		_ = i.module.Close(context.Background()) // frees memory
	}
	i.free()
}

// firstLine is err without the stack that the runtime shows.
func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	s, _, _ = strings.Cut(s, " (recovered by wazero)")
	return clip(s, maxErrorText)
}

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "?")
}

// The bounds of what a module writes to its standard output.
const (
	outputRate  = 64 << 10 // bytes a minute
	outputEvery = time.Minute
	outputLine  = 1 << 10
)

// output puts what modules print into the log, as much as is bearable.
type output struct {
	log  *slog.Logger
	mu   sync.Mutex
	line []byte
	left int
	next time.Time // when more is taken
}

func newOutput(log *slog.Logger) *output { return &output{log: log} }

// Write takes all of b; it never fails.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.After(o.next) {
		o.left, o.next = outputRate, now.Add(outputEvery)
	}
	take := b[:min(len(b), o.left)]
	if len(take) < len(b) && o.left > 0 {
		defer o.log.Warn("plugin prints too much", "limit", outputRate)
	}
	o.left -= len(take)
	for _, c := range take {
		if c == '\n' || len(o.line) >= outputLine {
			o.log.Info("plugin prints", "line", clip(string(o.line), outputLine))
			o.line = o.line[:0]
		}
		if c != '\n' {
			o.line = append(o.line, c)
		}
	}
	return len(b), nil
}
