package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Notices tells what machines do not let processes be denied: each of it once.
type Notices struct {
	mu   sync.Mutex
	told map[string]bool
}

// Tell logs what p lacks, unless that was told.
func (n *Notices) Tell(log *slog.Logger, p *Child) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told == nil {
		n.told = map[string]bool{}
	}
	var missing []string
	for _, what := range p.Lacks() {
		if !n.told[what] {
			n.told[what], missing = true, append(missing, what)
		}
	}
	if len(missing) > 0 {
		log.Warn("plugin runs with less around it than it should", "missing", missing)
	}
}

// Command is a program to run.
type Command struct {
	Code      []byte     // the program: an executable of this machine, or a script with its #! line
	Path      string     // where the program is, if Code is nil: one that came with the server
	Name      string     // what it is called among the processes of the machine; "": where it is
	Args      []string   // without that
	Env       []string   // NAME=VALUE, beside PATH, HOME, TMPDIR and LANG
	Files     []*os.File // what it has open from 3 on; they stay the caller's
	Limits    Limits
	Network   bool         // it may use the network of the machine
	Processes bool         // it may start processes, and not only threads
	Log       *slog.Logger // where its standard error goes; never nil

	without []string // controls that are left out, as by a machine that refuses them
	groups  string   // below which its control group is made; "": where the server may make some
}

// Limits bound a process. A zero field takes the default.
type Limits struct {
	Memory    int64 // bytes of private memory; 512 MiB
	Files     int   // open at once; 256
	Processes int   // and threads, where it has a user of its own; 128
	FileSize  int64 // bytes of a file that it writes; 1 GiB
}

// bounded fills in the defaults.
func (l Limits) bounded() Limits {
	if l.Memory == 0 {
		l.Memory = 512 << 20
	}
	if l.Files == 0 {
		l.Files = 256
	}
	if l.Processes == 0 {
		l.Processes = 128
	}
	if l.FileSize == 0 {
		l.FileSize = 1 << 30
	}
	return l
}

// killWait is how long the end of a killed process is waited for. One that is
// in the hands of the system, on a dead disk, is left to it.
const killWait = 10 * time.Second

// Child is a running process.
type Child struct {
	In  *os.File // its standard input; the caller may close it
	Out *os.File // its standard output

	dir   string // its own: working directory, HOME and TMPDIR
	owner int    // of dir
	user  uint32 // nobody else has it
	group int    // process id, and that of its group
	said  *Tail
	done  chan struct{} // closed once it has ended
	state *os.ProcessState
	clean sync.Once
	lacks []string
	cage  interface{ remove() error } // its control group; nil: none

	mu     sync.Mutex
	reaped bool // its id is no longer its own
}

// Start runs a program. It returns once the program is there; what it says of
// itself is the caller's to wait for.
func Start(c Command) (*Child, error) {
	dir, user, err := ownDir()
	if err != nil {
		return nil, err
	}
	p := &Child{dir: dir, owner: os.Getuid(), user: user, said: NewTail(c.Log), done: make(chan struct{})}
	if err := p.start(c); err != nil {
		return nil, errors.Join(err, removeTree(dir))
	}
	return p, nil
}

// Users of plugins are in a range that distributions leave free.
const (
	firstUser = 62000
	users     = 2000
)

// ownDir makes the directory of a program. Its name ends with the user that the
// program gets, so that no two on a machine have the same: they could stop each other,
// and would share a limit of processes. Who may write to TMPDIR cannot take names away.
func ownDir() (dir string, user uint32, err error) {
	for range users {
		user = firstUser + rand.N[uint32](users)
		if os.Getuid() == 0 && taken(user) { // others give no users
			continue
		}
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-%08x-%d", dirLead, os.Getpid(), rand.Uint32(), user))
		if err = os.Mkdir(dir, 0o700); !errors.Is(err, fs.ErrExist) {
			return dir, user, err
		}
	}
	return "", 0, errors.New("too many plugins run on this machine")
}

// taken reports whether a program has a user, if only one of a server that keeps its
// temporary files elsewhere.
func taken(user uint32) bool {
	entries, err := os.ReadDir(os.TempDir())
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return isOf(e, user) }) ||
		len(processesOf(user)) > 0
}

// isOf reports whether a directory is that of a program with a user: so it is named,
// and so it belongs to it, or still to us.
func isOf(e fs.DirEntry, user uint32) bool {
	if !strings.HasPrefix(e.Name(), dirLead) || !strings.HasSuffix(e.Name(), fmt.Sprintf("-%d", user)) {
		return false
	}
	i, err := e.Info()
	if err != nil || !i.IsDir() {
		return false
	}
	owner, ok := ownerUser(i)
	return ok && (owner == user || int(owner) == os.Getuid())
}

// start makes the pipes and has the program launched.
func (p *Child) start(c Command) error {
	var ours, theirs []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close() // a pipe: nothing is lost
		}
	}
	pipe := func(childReads bool) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		if childReads {
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
		return nil
	}
	defer func() { closeAll(theirs) }()
	for _, reads := range []bool{true, false, false} {
		if err := pipe(reads); err != nil {
			closeAll(ours)
			return err
		}
	}
	env := append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + p.dir, "TMPDIR=" + p.dir, "LANG=C.UTF-8"}, c.Env...)
	path, files := c.Path, slices.Clone(c.Files)
	if c.Code != nil {
		code, err := codeFile(c.Code)
		if err != nil {
			closeAll(ours)
			return err
		}
		defer code.Close()
		path = fmt.Sprintf("/proc/self/fd/%d", 3+len(files))
		files = append(files, code)
	}
	name := path
	if c.Name != "" {
		name = c.Name
	}
	fresh := func() *exec.Cmd {
		return &exec.Cmd{
			Path: path, Args: append([]string{name}, c.Args...), Dir: p.dir, Env: env,
			Stdin: theirs[0], Stdout: theirs[1], Stderr: theirs[2], ExtraFiles: files,
		}
	}
	p.In, p.Out = ours[0], ours[1]
	if err := p.launch(fresh, c); err != nil {
		closeAll(ours)
		return err
	}
	drained := make(chan struct{})
	go func() { // ends with the pipe, which closes a while after the process at the latest
		defer close(drained)
		p.said.drain(ours[2])
	}()
	go func() {
		<-p.done
		select {
		case <-drained:
		case <-time.After(time.Second): // held open by what it has left behind
		}
		ours[2].Close()
	}()
	return nil
}

// Pid returns the id of the process.
func (p *Child) Pid() int { return p.group }

// Dir returns the directory of its own.
func (p *Child) Dir() string { return p.dir }

// Done is closed once the process has ended.
func (p *Child) Done() <-chan struct{} { return p.done }

// Lacks names the controls that this machine does not let us have.
func (p *Child) Lacks() []string { return p.lacks }

// Report says how the process has ended, with the last lines that it wrote to
// its standard error, once Done is closed.
func (p *Child) Report() string {
	p.said.settle()
	how := ""
	select {
	case <-p.done:
		if p.state != nil {
			how = p.state.String()
		}
	default: // it was killed, and the system does not let it go
	}
	return p.said.Report(how)
}

// End lets the process end by itself, as it was asked to, until ctx is over; then
// it and all that it has started is killed. Nothing of it is left after it.
func (p *Child) End(ctx context.Context) {
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	p.Kill()
	select {
	case <-p.done:
	case <-time.After(killWait):
	}
	p.clean.Do(func() {
		p.In.Close()
		p.Out.Close()
		removed := make(chan struct{})
		go func() { // goes on by itself if there is much
			defer close(removed)
			_ = removeTree(p.dir) // a temporary directory: what cannot be removed harms nobody
		}()
		select {
		case <-removed:
		case <-time.After(killWait):
		}
	})
}
