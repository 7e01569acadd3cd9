package shell

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/verbs"
)

// exitBroken is the exit code of a command that a closed pipe has ended: 128 and
// the number of SIGPIPE.
const exitBroken = 141

const exitNotFound = 127

// exec runs a command that the interpreter does not know itself.
func (s *Shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	out := &watched{w: hc.Stdout}
	io := stdio{closed(hc.Stdin), out, &tells{w: hc.Stderr, out: out}}
	if args[0] == commit {
		return s.commit(hc, args[1:])
	}
	if do := s.own[strings.TrimPrefix(args[0], own)]; do != nil {
		err := s.builtin(ctx, hc, io, do, args)
		if out.broken.Load() {
			return s.result(ctx, hc, out, 0)
		}
		return err
	}
	return s.result(ctx, hc, out, attended(ctx, hc.Stdin, func() int { return s.command(ctx, hc, io, args) }))
}

// result is what the interpreter takes an exit code from.
func (s *Shell) result(ctx context.Context, hc interp.HandlerContext, out *watched, code int) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case out.broken.Load():
		return hc.Builtin(ctx, []string{"exit", "141"}) // of the stage of the pipeline, as a signal does
	case code != 0:
		return interp.ExitStatus(code)
	}
	return nil
}

// stdio are the standard files of a command.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// builtin runs a command of the shell itself.
func (s *Shell) builtin(ctx context.Context, hc interp.HandlerContext, io stdio, do builtin, args []string) (err error) {
	code := cli.ExitOK
	defer func() {
		if code != cli.ExitOK {
			err = status(code)
		}
	}()
	defer survive(io, args[0], &code)
	return do(ctx, hc, io, args[1:])
}

// survive lets a fault of a command end the command, not the shell.
func survive(io stdio, name string, code *int) {
	if p := recover(); p != nil {
		say(io.err, "pfs: %s: internal error: %v", strings.TrimPrefix(name, own), p)
		_, _ = io.err.Write(debug.Stack()) // there is nobody else to tell
		*code = cli.ExitUsage
	}
}

// command runs a command by its name, and returns its exit code.
func (s *Shell) command(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) (code int) {
	defer survive(io, args[0], &code)
	if name, ok := local(args[0]); ok {
		return s.localCommand(ctx, hc, io, name, args[1:])
	}
	if name, ok := strings.CutPrefix(args[0], "!"); ok && name != "" {
		return s.localCommand(ctx, hc, io, name, args[1:])
	}
	if strings.Contains(args[0], "/") {
		return s.script(ctx, hc, io, args)
	}
	if args[0] == "pfs" && len(args) > 1 {
		args = args[1:]
	}
	if do := s.own[strings.TrimPrefix(args[0], own)]; do != nil {
		return builtinCode(s.builtin(ctx, hc, io, do, args))
	}
	if do := s.tools[args[0]]; do != nil {
		return s.tool(ctx, hc, io, do, args)
	}
	args = s.habit(args)
	if s.names[args[0]] == nil {
		return s.notFound(io.err, args[0])
	}
	return s.verb(ctx, hc, io, args)
}

// verb runs one of the commands of pfs.
func (s *Shell) verb(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) int {
	e := cli.New(io.in, io.out, io.err)
	e.Getenv, e.Dir, e.Connect = exported(hc), hc.Dir, s.clients.connect
	e.Screen = plainFile(io.err)
	e.TTY = s.base.TTY && e.Screen == s.stderr
	e.Script = !cli.Terminal(plainFile(io.out))
	e.Shell = func(ctx context.Context, args []string) int { return s.command(ctx, hc, io, args) }
	root := s.root(e)
	e.Timeout, e.Quiet = s.base.Timeout, s.base.Quiet
	if e.Format == "" {
		e.Format = s.base.Format
	}
	return e.Run(ctx, root, args)
}

// root has all commands of pfs, each to be run once.
func (s *Shell) root(e *cli.Env) *cobra.Command {
	root := &cobra.Command{Use: "pfs", CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}}
	e.Flags(root)
	root.AddCommand(verbs.All(e)...)
	root.AddCommand(s.more(e)...)
	return root
}

// habit translates what users of other shells of this kind type, unless there is
// such a command.
func (s *Shell) habit(args []string) []string {
	if args[0] == "mount" && len(args) == 1 {
		return []string{"mounts"}
	}
	if s.names[args[0]] != nil {
		return args
	}
	var operands int
	for _, a := range args[1:] {
		if !strings.HasPrefix(a, "-") {
			operands++
		}
	}
	side := func(n int) []string { // the n-th operand is on the local machine
		out := []string{"cp"}
		for _, a := range args[1:] {
			if !strings.HasPrefix(a, "-") {
				if n--; n == 0 && !strings.HasPrefix(a, "local:") {
					a = "local:" + a
				}
			}
			out = append(out, a)
		}
		return out
	}
	switch {
	case args[0] == "upload" && operands == 2:
		return side(1)
	case args[0] == "download" && operands == 2:
		return side(2)
	case args[0] == "plugins":
		return append([]string{"plugin"}, args[1:]...)
	case args[0] == "fsgrep" && s.names["grep"] != nil:
		return append([]string{"grep"}, args[1:]...)
	}
	return args
}

// notFound tells that there is no such command, and which one may be meant.
func (s *Shell) notFound(w io.Writer, name string) int {
	say(w, "pfs: %s: not found", name)
	switch {
	case missing[name] != "":
		say(w, "hint: %s", missing[name])
	default:
		if near := cli.Nearest(name, s.Names()); near != "" {
			say(w, "hint: did you mean: %s", near)
		}
	}
	return exitNotFound
}

// missing says why there is no such command here, and what to do instead.
var missing = map[string]string{
	"chroot": "the shell always sees the whole tree; go somewhere with: cd DIR",
	"http":   "run it on the local machine, as: !curl URL",
	"llm":    "run it on the local machine, as: cat FILE | !llm PROMPT",
	"jobs":   "wait waits for what runs in the background",
}

// watched is stdout; it remembers that nobody reads it any more.
type watched struct {
	w      io.Writer
	broken atomic.Bool
}

// Write writes through.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		w.broken.Store(true)
	}
	return n, err
}

// tells is stderr of a command; nothing is told of a closed pipe.
type tells struct {
	w   io.Writer
	out *watched
}

// Write writes through.
func (t *tells) Write(b []byte) (int, error) {
	if t.out.broken.Load() {
		return len(b), nil
	}
	return t.w.Write(b)
}

// file returns what is written to, if that is a file of the local machine.
func (w *watched) file() io.Writer {
	if f, ok := w.w.(*os.File); ok {
		return f
	}
	return w
}
