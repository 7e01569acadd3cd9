// Package text is the text tools of the pfs shell: sort, sed, awk, jq and their
// like, as functions that reach files and other commands only through their Call.
// None of them touches the local machine, but that sort keeps what does not fit
// into its memory in a temporary file without a name.
//
// Names, flags, output and exit statuses are those of POSIX, and of GNU where POSIX
// says nothing and scripts rely on it. Text is bytes: what is not UTF-8 passes
// unchanged, and what compares compares bytes, as in the C locale.
//
// A tool ends at once when its context ends (130) or when nobody reads its output
// any more (141). Lines are at most 16 MiB long.
package text

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/cli"
)

// Call is one run of a command: what it was given, and all that it can reach.
type Call struct {
	Args           []string // Args[0] is the name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(name string) string
	Environ        func() []string // of "name=value"

	// Open opens a file to read.
	Open func(ctx context.Context, name string) (io.ReadCloser, error)
	// Create opens a file to write, from its start or at its end; Close commits.
	Create func(ctx context.Context, name string, appendTo bool) (io.WriteCloser, error)
	// Run runs a command of the shell and returns its exit status; 127 if there is
	// no such command. env holds more variables, "name=value".
	Run func(ctx context.Context, args []string, env []string, stdin io.Reader, stdout io.Writer) int
}

// Command runs a tool and returns its exit status.
type Command func(ctx context.Context, c *Call) int

// Exit statuses that all tools share.
const (
	exitUsage       = 2
	exitInterrupted = 130 // as of a shell after Ctrl-C
	exitNoReader    = 141 // as of a process that SIGPIPE ended
)

// Commands returns all tools by their names, in a new map.
func Commands() map[string]Command {
	out := map[string]Command{}
	for name, t := range tools() {
		out[name] = t.run
	}
	return out
}

// tools lists what there is. What a tool prints goes to out, which is flushed
// behind it and whenever it waits for input.
func tools() map[string]tool {
	return map[string]tool{
		"awk": awk, "base64": base64Tool, "basename": basename, "cmp": cmpTool, "comm": comm,
		"cut": cut, "date": date, "dirname": dirname, "env": env, "expr": expr, "fold": fold,
		"join": join, "jq": jq, "md5sum": md5sum, "nl": nl, "paste": paste, "printenv": printenv,
		"rev": rev, "sed": sed, "seq": seq, "sha1sum": sha1sum, "sha256sum": sha256sum,
		"sha512sum": sha512sum, "sleep": sleep, "sort": sortTool, "tac": tac, "tee": tee,
		"timeout": timeout, "tr": tr, "uniq": uniq, "xargs": xargs, "yes": yes,
	}
}

// tool is a command that returns why it failed: nil is status 0, a status is that
// one without a message, a failure has both, any other error is a message and 1.
type tool func(ctx context.Context, c *Call, out *bufio.Writer) error

// status is an exit status that needs no message.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// failure is a message with an exit status.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

// fail returns an error with a status of its own.
func fail(status int, format string, args ...any) error {
	return &failure{status, fmt.Sprintf(format, args...)}
}

// bufSize is what tools read and write at once, in bytes.
const bufSize = 64 << 10

// run is the tool as a Command.
func (t tool) run(ctx context.Context, c *Call) int {
	call := *c
	out := bufio.NewWriterSize(c.Stdout, bufSize)
	call.Stdin = &source{ctx: ctx, r: c.Stdin, out: out}
	defer wake(ctx, c.Stdin)()
	err := t(ctx, &call, out)
	if flushed := out.Flush(); flushed != nil && (err == nil || !gone(err)) {
		err = fmt.Errorf("write error: %w", flushed)
	}
	return call.result(ctx, err)
}

// result tells an error and returns its exit status.
func (c *Call) result(ctx context.Context, err error) int {
	var s status
	var f *failure
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return exitInterrupted
	case gone(err):
		return exitNoReader
	case errors.As(err, &s):
		return int(s)
	case errors.As(err, &f):
		c.say("%s", f.text)
		return f.status
	}
	c.say("%s", err)
	return 1
}

// say prints a line to Stderr, with the name of the tool and without what could steer
// a terminal.
func (c *Call) say(format string, args ...any) {
	fmt.Fprintln(c.Stderr, cli.Plain(c.Args[0]+": "+fmt.Sprintf(format, args...)))
}

// gone reports whether an error means that nobody reads the output any more.
func gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// wake lets a blocked read of r return when ctx ends, if r can; the function it
// returns undoes that.
func wake(ctx context.Context, r io.Reader) func() {
	d, ok := r.(interface{ SetReadDeadline(time.Time) error })
	if !ok {
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() { _ = d.SetReadDeadline(time.Unix(1, 0)) }) // not all files can
	return func() { stop() }
}

// source is standard input: it shows what was printed before it waits for more, and
// ends with its context.
type source struct {
	ctx context.Context
	r   io.Reader
	out *bufio.Writer
}

// Read reads.
func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.out.Flush(); err != nil {
		return 0, err
	}
	if s.r == nil {
		return 0, io.EOF
	}
	return s.r.Read(p)
}

// reason is an error without the verb and path that an *fs.PathError repeats.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("No such file or directory")
	}
	return err
}
