// Package shell is the shell of PFS: the language of POSIX shells, and most of
// bash's, over the tree of a server.
//
// Files of the script are files of the server: what is opened, listed, tested and
// executed. Of the local machine it touches only what is marked so: paths that
// begin with "local:" and commands that begin with "local:" or "!".
//
// What a redirection writes with > appears whole when the command has ended, or
// not at all; what >> writes, and what goes to a stream, appears piece by piece. An
// error of the server that comes then is the exit code of the command.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/shell/text"
)

// Config says what a Shell works with.
type Config struct {
	// Env has the standard files, the nodes and the formats.
	Env *cli.Env
	// Stdin is what commands read; nil: that of Env.
	Stdin io.Reader
	// Environ are the variables at the start, as os.Environ returns them.
	Environ []string
	// Signals are what the terminal or the system sends; nil if only the context
	// ends a script.
	Signals <-chan os.Signal
	// Options are set at the start.
	Options Options
	// More returns commands besides those of package verbs, each to be run once.
	More func(*cli.Env) []*cobra.Command
}

// Options are those of the set command.
type Options struct {
	ErrExit, NoUnset, Trace bool // -e, -u, -x
}

// args are the options for the interpreter.
func (o Options) args() []string {
	var out []string
	for flag, on := range map[string]bool{"-e": o.ErrExit, "-u": o.NoUnset, "-x": o.Trace} { // in any order
		if on {
			out = append(out, flag)
		}
	}
	return out
}

// Shell runs scripts. It is not for several goroutines.
type Shell struct {
	base    *cli.Env
	environ []string
	more    func(*cli.Env) []*cobra.Command
	stdout  io.Writer
	stderr  io.Writer
	signals <-chan os.Signal
	names   map[string]*cobra.Command // that are commands; to look at, not to run
	own     map[string]builtin
	tools   map[string]text.Command
	lines   []func() // end what runs in the background, by line that was typed
	depth   int      // of shells in shells

	run     *interp.Runner
	traps   traps
	kept    map[uintptr][]*output // by runner: files that exec has redirected to
	mu      sync.Mutex            // guards what follows
	faults  map[uintptr]int       // by runner: exit codes of files that failed as they were closed
	open    map[*output]bool
	custom  map[string]bool // functions that were declared
	clients *pool
}

// New returns a Shell. It asks no server anything.
func New(c Config) (*Shell, error) {
	s := &Shell{base: c.Env, environ: c.Environ, more: c.More, signals: c.Signals, clients: &pool{by: map[string]*client.Client{}}}
	if s.more == nil {
		s.more = func(*cli.Env) []*cobra.Command { return nil }
	}
	s.stdout, s.stderr = c.Env.Files()
	if _, ok := s.stdout.(*os.File); !ok {
		s.stdout = &locked{w: s.stdout}
	}
	if _, ok := s.stderr.(*os.File); !ok {
		s.stderr = &locked{w: s.stderr}
	}
	s.own, s.tools, s.traps = s.builtins(), text.Commands(), traps{}
	s.learn()
	if c.Stdin == nil {
		c.Stdin = c.Env.Input()
	}
	if err := s.start(readable(c.Stdin), s.variables(), c.Env.Dir); err != nil {
		return nil, err
	}
	return s, interp.Params(c.Options.args()...)(s.run)
}

// start makes the interpreter.
func (s *Shell) start(stdin io.Reader, env expand.Environ, dir string) error {
	s.kept, s.faults = map[uintptr][]*output{}, map[uintptr]int{}
	s.open, s.custom = map[*output]bool{}, map[string]bool{}
	run, err := interp.New(
		interp.Env(env), interp.Dir("/"), interp.Interactive(true),
		interp.StdIO(stdin, s.stdout, s.stderr),
		interp.OpenHandler(s.openFile), interp.ReadDirHandler2(s.readDir),
		interp.StatHandler(s.statFile), interp.AccessHandler(s.access),
		interp.CallHandler(s.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
	)
	if err != nil {
		return err
	}
	run.Dir = dir // of the server: interp.Dir looks at the local machine
	s.run = run
	run.Reset()
	file, err := parse(strings.NewReader("unset TMPDIR"), "") // the interpreter has seen it
	if err != nil {
		return err
	}
	return run.Run(context.Background(), file.Stmts[0])
}

// hidden are variables of the local machine that mean nothing on the server.
const hidden = " HOME PWD OLDPWD TMPDIR SHLVL _ PS1 PS2 PS4 IFS OPTIND CDPATH ENV BASH_ENV "

// variables are those at the start. HOME is the root of the tree.
func (s *Shell) variables() expand.Environ {
	env := []string{"HOME=/", "TMPDIR=" + nowhere}
	for _, kv := range s.environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.Contains(hidden, " "+name+" ") && syntax.ValidName(name) {
			env = append(env, kv)
		}
	}
	if s.base.URL != "" {
		env = append(env, "PFS_URL="+s.base.URL)
	} else if s.base.Named != "" {
		env = append(env, "PFS_URL=", "AGFS_API_URL=", "AGFS_SERVER_URL=", "PFS_CONTEXT="+s.base.Named)
	}
	return expand.ListEnviron(env...)
}

// nowhere is a path that the system refuses before it looks anything up.
const nowhere = "/\x00"

// Script is a program to run.
type Script struct {
	Name string   // $0, and what errors begin with
	Args []string // $1 and on
	Text io.Reader
}

// Run runs a script to its end and returns its exit code. What fails is told.
func (s *Shell) Run(ctx context.Context, c Script) int {
	ctx, _, stop := s.interruptible(ctx)
	defer stop()
	s.run.Params = c.Args
	file, err := parse(c.Text, c.Name)
	if err != nil {
		s.say("pfs: %s", scriptError(err))
		return cli.ExitUsage
	}
	s.noteFunctions(file)
	guard(file)
	return s.ended(ctx, s.code(s.run.Run(ctx, file)), true)
}

// Feed runs commands as they come, until their end or one that ends the shell, and
// returns the exit code. They read nothing: what comes are commands.
func (s *Shell) Feed(ctx context.Context, r io.Reader) int {
	ctx, _, stop := s.interruptible(ctx)
	defer stop()
	code := 0
	p := syntax.NewParser()
	r = io.MultiReader(cli.Interruptible(ctx, r), strings.NewReader("\n")) // the last line may not end
	for stmts, err := range p.InteractiveSeq(r) {
		if ctx.Err() != nil { // what has come of a line is no command
			return s.ended(ctx, code, true)
		}
		if err != nil {
			s.say("pfs: %s", scriptError(err))
			return s.ended(ctx, cli.ExitUsage, true)
		}
		if p.Incomplete() || len(stmts) == 0 {
			continue
		}
		file := &syntax.File{Stmts: stmts}
		if err := check(file); err != nil {
			s.say("pfs: %s", scriptError(err))
			return s.ended(ctx, cli.ExitUsage, true)
		}
		s.noteFunctions(file)
		guard(file)
		var exited bool
		if code, exited = s.runAll(ctx, stmts); exited {
			return s.ended(ctx, code, true)
		}
	}
	code, _ = s.runText(ctx, "exit") // runs the trap of EXIT
	return s.ended(ctx, code, true)
}

// code is the exit code that a result of the interpreter means.
func (s *Shell) code(err error) int {
	var status interp.ExitStatus
	switch {
	case err == nil:
		return cli.ExitOK
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, context.Canceled):
		return cli.ExitInterrupted
	}
	s.say("pfs: %s", cli.Explain(err))
	return cli.Code(err)
}

// ended does what is left to do when a script is at its end. What still runs in the
// background would end with it, so that it is waited for.
func (s *Shell) ended(ctx context.Context, code int, wait bool) int {
	code = s.interrupted(ctx, code)
	if wait {
		_, _ = s.runText(ctx, "wait") // its exit code is 0
	}
	s.mu.Lock()
	left := make([]*output, 0, len(s.open))
	for o := range s.open { // they have nothing to do with each other
		left = append(left, o)
	}
	s.mu.Unlock()
	for _, o := range left {
		_ = o.Close() // it tells, and leaves its code
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.faults { // any of them
		if code == cli.ExitOK {
			code = c
		}
	}
	return code
}

// Close gives connections back.
func (s *Shell) Close() { s.clients.close() }

// say writes a line to stderr, without what could steer a terminal.
func (s *Shell) say(format string, args ...any) { say(s.stderr, format, args...) }

func say(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, cli.Plain(fmt.Sprintf(format, args...)))
}

// locked lets several goroutines write.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes through.
func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// learn fills in which commands there are.
func (s *Shell) learn() {
	s.names = map[string]*cobra.Command{}
	for _, c := range s.root(cli.New(strings.NewReader(""), io.Discard, io.Discard)).Commands() {
		s.names[c.Name()] = c
		for _, alias := range c.Aliases {
			s.names[alias] = c
		}
	}
}

// Names are all commands, sorted.
func (s *Shell) Names() []string {
	var all []string
	for name := range s.names { // sorted below
		all = append(all, name)
	}
	for name := range s.own { // sorted below
		all = append(all, name)
	}
	for name := range s.tools { // sorted below
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}
