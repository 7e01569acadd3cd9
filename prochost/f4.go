package prochost

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// The methods of the protocol that the host calls. Names and the keys of their
// parameters are case-sensitive.
const (
	methodInit   = "Plugin.Init"
	methodStat   = "VFS.Stat"
	methodList   = "VFS.ReadDir"
	methodOpen   = "VFS.Open"
	methodRead   = "VFS.ReadAt"
	methodCreate = "VFS.Create"
	methodWrite  = "VFS.Write"
	methodClose  = "VFS.CloseFile"
	methodMkdir  = "VFS.MkDir"
	methodRemove = "VFS.Remove"
	methodRename = "VFS.Rename"
)

// Methods of ours, of plugins that name them in what Plugin.Init answers: one question
// instead of three or four. PutFile makes a file of the bytes that it gets.
const (
	methodReadFile = "VFS.ReadFile"
	methodPutFile  = "VFS.PutFile"
)

// noFile is a handle that no plugin has given out.
const noFile = 1<<32 - 1

// f4 is a process, or a module, that speaks MessagePack and has answered Plugin.Init.
type f4 struct {
	proc supervise.Process
	rpc  *rpc
	env  vfs.Env
	call time.Duration // for one call
	all  time.Duration // for those of one reading or change

	drives []string
	name   string // what it calls itself, if it does; an addition of ours
	doc    string
	drive  string // the one that is mounted
	reads  bool   // it has VFS.ReadFile
	puts   bool   // it has VFS.PutFile

	end    sync.Once
	asked  bool // its end was asked for
	askedM sync.Mutex
	lacks  struct {
		sync.Mutex
		methods map[string]bool
	}
}

var _ supervise.Instance = (*f4)(nil)

// launch starts what speaks MessagePack.
type launch func(ctx context.Context) (supervise.Process, error)

// newF4 starts a program and its handshake, which ends within a time of its own:
// to compile a module may take longer. Settings, as JSON, go along with
// Plugin.Init, which has no parameters in what is published: there they are not
// looked at.
func newF4(ctx context.Context, start launch, within time.Duration, env vfs.Env, call time.Duration, settings string) (*f4, error) {
	proc, err := start(ctx)
	if err != nil {
		return nil, vfs.Invalid.With(err.Error())
	}
	f := &f4{proc: proc, env: env, call: call, all: patience * call}
	f.lacks.methods = map[string]bool{}
	f.rpc = newRPC(proc, call, f.serve)
	var params []field
	if settings != "" {
		params = []field{{"Config", settings}}
	}
	first, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	d, err := f.rpc.call(first, methodInit, params)
	switch vfs.KindOf(err) {
	case 0:
		err = f.introduced(d)
	case vfs.Crashed, vfs.Timeout:
	default:
		err = vfs.Invalid.Withf("the plugin does not start: %v", err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// introduced reads what Plugin.Init answers: a map, or only the list of drives.
func (f *f4) introduced(d any) error {
	list, ok := d.([]any)
	if m, isMap := d.(map[string]any); isMap {
		list, _ = m["Drives"].([]any)
		f.name, _ = m["Name"].(string)
		f.doc, _ = m["Doc"].(string)
		more, _ := m["Methods"].([]any)
		f.reads, f.puts = slices.Contains(more, any(methodReadFile)), slices.Contains(more, any(methodPutFile))
		ok = true
	}
	if !ok {
		return vfs.Invalid.With("the plugin's Plugin.Init answers neither a map nor a list")
	}
	for _, v := range list {
		if s, ok := v.(string); ok && s != "" {
			f.drives = append(f.drives, clip(s, 200))
		}
	}
	if len(f.drives) == 0 {
		return vfs.Invalid.With("the plugin has no drives")
	}
	f.drive = f.drives[0]
	return nil
}

// pick chooses the drive to mount; "" is the first.
func (f *f4) pick(drive string) error {
	if drive == "" {
		return nil
	}
	if !slices.Contains(f.drives, drive) {
		return vfs.Invalid.Withf("drive: the plugin has %q, not %q", f.drives, drive)
	}
	f.drive = drive
	return nil
}

// errNoOne is the answer to what only a person could answer.
var errNoOne = errors.New("nobody is there to ask")

// serve answers what the plugin asks of the host. Nothing stays without an answer.
func (f *f4) serve(method string, d any) (any, error) {
	name, _ := strings.CutPrefix(method, "Host.")
	switch name {
	case "Log", "Message":
		if text, ok := d.(string); ok {
			f.proc.Say(strings.ReplaceAll(text, "\n", " "))
		}
		return nil, nil
	case "GetVersion":
		return f.env.Version, nil
	case "RegisterHighlighter", "RegisterGlobalHotkey", "UpdateProgress":
		return nil, nil
	case "IsProgressCancelled", "RunAction":
		return false, nil
	case "AskOverwrite", "AskError", "InputBox", "Menu", "Language", "RunProgressTask":
		return nil, errNoOne
	}
	return nil, errors.New(`method "` + clip(method, 80) + `" not found`)
}

// Done is closed once the process has ended.
func (f *f4) Done() <-chan struct{} { return f.proc.Done() }

// Err says why it has ended.
func (f *f4) Err() error {
	f.askedM.Lock()
	asked := f.asked
	f.askedM.Unlock()
	if asked {
		return nil
	}
	return vfs.Crashed.With(f.rpc.why().Error())
}

// Probe asks for what every process answers, if only with an error.
func (f *f4) Probe(ctx context.Context) error {
	if f.rpc.stuck() {
		f.rpc.fail(errLate)
		return errLate
	}
	_, err := f.rpc.call(ctx, methodClose, []field{{"ID", noFile}})
	if k := vfs.KindOf(err); k == vfs.Timeout || k == vfs.Crashed || k == vfs.Throttled {
		return err
	}
	return nil
}

// closeTime is how long a process may take to end once it is asked to.
const closeTime = 2 * time.Second

// Close ends the process: it is told by the end of its standard input.
func (f *f4) Close() {
	f.end.Do(func() {
		f.askedM.Lock()
		f.asked = true
		f.askedM.Unlock()
		in, _ := f.proc.Pipes()
		_ = in.Close() // it may have gone
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		f.proc.End(ctx)
		<-f.rpc.done
	})
}

// ask calls a method within the time of a call. A client that goes away does not
// end it: what was sent is answered.
func (f *f4) ask(ctx context.Context, method string, d ...field) (any, error) {
	f.lacks.Lock()
	lacks := f.lacks.methods[method]
	f.lacks.Unlock()
	if lacks {
		return nil, errMethod
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.call)
	defer cancel()
	v, err := f.rpc.call(ctx, method, d)
	if errors.Is(err, errMethod) {
		f.lacks.Lock()
		f.lacks.methods[method] = true
		f.lacks.Unlock()
	}
	return v, err
}

// patience is how many times that of one call all calls of one reading or change may
// take together: a plugin that answers each in time, and never much, is not waited for
// without an end.
const patience = 20

// errSlow is such a plugin.
var errSlow = vfs.Timeout.Withf("the plugin takes more than %d times the time of one call for this; what a change has done so far is done", patience)

// within bounds one reading, or one change, which a client that goes away does not
// end: half of one is worse than none.
func (f *f4) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, f.all, errSlow)
}

// going is asked between two calls of which there may be many.
func going(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// at are the parameters of a call on a path: texts only, as two of the methods
// want it.
func (f *f4) at(p vfs.Path) []field {
	return []field{{"Drive", f.drive}, {"Path", string(p)}}
}

// verbs finds out what the plugin can do without changing anything: a handle that
// nobody has is refused by those that have the method.
func (f *f4) verbs(ctx context.Context) (vfs.VerbSet, error) {
	switch _, err := f.ask(ctx, methodWrite, field{"ID", noFile}, field{"Data", []byte{}}); {
	case errors.Is(err, errMethod):
		return 0, nil
	case vfs.KindOf(err) == vfs.Crashed, vfs.KindOf(err) == vfs.Timeout:
		return 0, err
	}
	return vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Remove, vfs.RemoveAll, vfs.Rename), nil
}

// wrong is an answer that the protocol does not have. The process is given up.
func (f *f4) wrong(why string) error {
	err := errors.New("the plugin is wrong: " + why)
	f.rpc.fail(err)
	return vfs.Crashed.With(err.Error())
}

// open opens a file and returns its handle and its size.
func (f *f4) open(ctx context.Context, method string, p vfs.Path) (id, size int64, err error) {
	d, err := f.ask(ctx, method, f.at(p)...)
	if err != nil {
		if errors.Is(err, io.EOF) { // a decoder of its own has not found what it wants
			err = vfs.Internal.With("EOF")
		}
		return 0, 0, err
	}
	m, _ := d.(map[string]any)
	id, ok := whole(m["ID"])
	size, sized := whole(m["Size"])
	if !ok || id < 0 || id > noFile || sized && size < 0 {
		return 0, 0, f.wrong(method + " answers no handle")
	}
	return id, size, nil
}

// shut closes a file. What a plugin has to say about one that was read is of no
// use.
func (f *f4) shut(ctx context.Context, id int64) error {
	_, err := f.ask(ctx, methodClose, field{"ID", id})
	if errors.Is(err, errMethod) {
		err = nil
	}
	return err
}
