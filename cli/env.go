// Package cli is what all commands of pfs share: where one reads and writes, the
// flags that name servers and formats, output for people and for programs, errors
// with hints, and exit codes.
//
// Data goes to stdout, everything else to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
)

// Env is where one command runs: what it reads and writes, and the flags that all
// commands share.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(name string) string
	Dir            string                                       // what relative paths on the server start from
	TTY            bool                                         // Stderr is a person's terminal
	Screen         io.Writer                                    // what progress is drawn on; nil: Stderr
	Shell          func(ctx context.Context, args []string) int // runs a command of the shell; nil outside of it
	Script         bool                                         // a shell runs it: names are printed as POSIX has it, without a slash behind directories
	Started        bool                                         // the command line was understood

	URL     string // of nodes, separated by commas; "": see ServerNow
	Named   string // the context
	Format  string // "", text, json
	Timeout time.Duration
	Quiet   bool

	// Connect returns a client of a server, for all commands that have it in common;
	// nil makes one for each command.
	Connect func(Server, client.Config) (*client.Client, error)

	asJSON bool
	wrong  error     // in the variables
	in     io.Reader // Stdin as it was given
	out    *output
}

// New returns the environment of a program that was started with these.
func New(stdin io.Reader, stdout, stderr io.Writer) *Env {
	out := &output{w: stdout}
	return &Env{Stdin: stdin, Stdout: out, Stderr: &lines{w: stderr}, Getenv: os.Getenv, Dir: "/", TTY: Terminal(stderr), in: stdin, out: out}
}

// Flags gives a root command the flags that all commands share.
func (e *Env) Flags(root *cobra.Command) {
	f := root.PersistentFlags()
	from, _ := e.urlVariable()
	if from == "" {
		from = "PFS_URL"
	}
	f.StringVar(&e.URL, "url", "", "nodes to talk to, separated by commas ("+from+"; without: the current context, or "+client.DefaultURL+")")
	f.StringVar(&e.Named, "context", "", "the servers of this context, see \"pfs context\" (PFS_CONTEXT)")
	f.StringVarP(&e.Format, "output", "o", e.Getenv("PFS_OUTPUT"), "output format: text or json (PFS_OUTPUT)")
	f.BoolVar(&e.asJSON, "json", false, "the same as --output json")
	wait, err := time.ParseDuration(e.Getenv("PFS_TIMEOUT"))
	if err != nil && e.Getenv("PFS_TIMEOUT") != "" {
		e.wrong = fmt.Errorf("PFS_TIMEOUT: %q is no time such as 30s", e.Getenv("PFS_TIMEOUT"))
	}
	f.DurationVar(&e.Timeout, "timeout", wait, "give up after this time, as 30s; 0 waits (PFS_TIMEOUT)")
	f.BoolVarP(&e.Quiet, "quiet", "q", false, "no progress and no summary")
	root.SilenceUsage, root.SilenceErrors = true, true
	root.DisableSuggestions = true // see Report
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := e.start(); err != nil {
			return err
		}
		return e.unmark(cmd, args)
	}
}

// start checks what all commands share.
func (e *Env) start() error {
	if e.asJSON {
		e.Format = "json"
	}
	if e.wrong != nil {
		return e.wrong
	}
	switch e.Format {
	case "", "text", "json":
	default:
		return fmt.Errorf("--output %s is neither text nor json", e.Format)
	}
	e.Started = true
	return nil
}

// CountFlag in a command's Annotations names the flag that -N is short for, as in
// head -3.
const CountFlag = "count"

// counted spells -N out where the command takes it, also with letters behind it, as
// in tail -5f.
func counted(root *cobra.Command, args []string) []string {
	c, _, err := root.Find(args)
	if err != nil || c.Annotations[CountFlag] == "" {
		return args
	}
	c.InheritedFlags() // makes those of all commands known to Flags
	out := slices.Clone(args)
	value := false // of the flag before it
	for i, a := range out {
		switch {
		case value:
			value = false
			continue
		case a == "--":
			return out
		}
		if all := counting.FindStringSubmatch(a); all != nil && !takesNext(c, "-"+all[2]) {
			out[i] = "-" + all[2] + c.Annotations[CountFlag] + all[1]
			continue
		}
		value = takesNext(c, a)
	}
	return out
}

// counting is -N, with the letters of other flags behind it.
var counting = regexp.MustCompile(`^-([0-9]+)([a-zA-Z]*)$`)

// takesNext reports whether the argument after a is the value of a flag in a.
func takesNext(c *cobra.Command, a string) bool {
	if name, long := strings.CutPrefix(a, "--"); long {
		f := c.Flags().Lookup(name) // none with the value behind a =
		return f != nil && f.NoOptDefVal == ""
	}
	letters, short := strings.CutPrefix(a, "-")
	for i := range letters {
		f := c.Flags().ShorthandLookup(letters[i : i+1])
		if !short || f == nil {
			return false
		}
		if f.NoOptDefVal == "" {
			return i == len(letters)-1 // else the value is what follows
		}
	}
	return false
}

// Run does what args say, tells what fails, and returns the exit code. A shell itself
// wakes what waits for its input.
func (e *Env) Run(ctx context.Context, root *cobra.Command, args []string) int {
	if e.Shell == nil {
		e.Stdin = Interruptible(ctx, e.in)
	}
	root.SetArgs(counted(root, args))
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && e.out.err != nil {
		err, e.Started = e.out.err, true // the command was right; what it printed is lost
	}
	var told Exit
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &told):
		return int(told)
	case ctx.Err() != nil:
		return ExitInterrupted
	case !e.Started:
		err = UsageError{Err: err}
	}
	return e.Report(ctx, cmd, err)
}

// Clients returns one client for each named node, which tries the others after
// it. Copies spread their files over them.
func (e *Env) Clients() ([]*client.Client, error) {
	s, err := e.ServerNow()
	if err != nil {
		return nil, err
	}
	config, err := s.Config()
	if err != nil {
		return nil, err
	}
	out := make([]*client.Client, len(s.URLs))
	for i := range s.URLs {
		config.URLs = append(append([]string{}, s.URLs[i:]...), s.URLs[:i]...)
		c, err := e.connect(s, config)
		if err != nil {
			return nil, UsageError{Err: err}
		}
		out[i] = c
	}
	return out, nil
}

func (e *Env) connect(s Server, c client.Config) (*client.Client, error) {
	if e.Connect != nil {
		return e.Connect(s, c)
	}
	return client.New(c)
}

// URLs returns the nodes that are talked to.
func (e *Env) URLs() ([]string, error) {
	s, err := e.ServerNow()
	return s.URLs, err
}

// Context is that of a verb.
func (e *Env) Context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if e.Timeout > 0 {
		return context.WithTimeout(cmd.Context(), e.Timeout)
	}
	return context.WithCancel(cmd.Context())
}

// With runs do with a client, under the context of the verb.
func (e *Env) With(cmd *cobra.Command, do func(ctx context.Context, c *client.Client) error) error {
	cs, err := e.Clients()
	if err != nil {
		return err
	}
	ctx, cancel := e.Context(cmd)
	defer cancel()
	return do(ctx, cs[0])
}

// Each runs do on the path on the server that every argument names, reports failures
// and goes on; it fails with the only error, or says how many failed.
func (e *Env) Each(cmd *cobra.Command, args []string, do func(ctx context.Context, c *client.Client, p string) error) error {
	return e.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
		return do(ctx, c, e.Remote(arg))
	})
}

// EachArg is Each for commands that show paths as they were given.
func (e *Env) EachArg(cmd *cobra.Command, args []string, do func(ctx context.Context, c *client.Client, arg string) error) error {
	return e.With(cmd, func(ctx context.Context, c *client.Client) error {
		var failed Partial
		for _, arg := range args {
			err := Named(arg)
			if err == nil {
				err = do(ctx, c, arg)
			}
			if err != nil && (len(args) == 1 || ctx.Err() != nil) {
				return err
			}
			failed.Add(err)
			if err != nil {
				e.Say("pfs: %s", Explain(err))
			}
		}
		return failed.Result()
	})
}

// Named refuses an empty path, which is a variable that was not set rather than the
// directory that one is in.
func Named(arg string) error {
	if arg != "" && arg != "pfs:" {
		return nil
	}
	return &Hinted{Code: ExitNoFile, Text: strconv.Quote(arg) + ": not found: the path is empty", Hint: "a variable may not be set; the working directory is . and the root is /"}
}

// Path is Remote, and refuses what Named refuses.
func (e *Env) Path(arg string) (string, error) { return e.Remote(arg), Named(arg) }

// Remote returns the path on the server that an argument names: without the "pfs:"
// that may mark it, from Dir if it is relative, with its slash at the end.
func (e *Env) Remote(arg string) string {
	p := strings.TrimPrefix(arg, "pfs:")
	if strings.HasPrefix(p, "/") || e.Dir == "/" || e.Dir == "" {
		return p
	}
	whole := path.Join(e.Dir, p)
	if strings.HasSuffix(p, "/") {
		whole += "/"
	}
	return whole
}
