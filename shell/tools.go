package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/shell/text"
)

// grace is how long a command may take to end when its context has.
const grace = 2 * time.Second

// attended runs a command until it ends, or its context does and it does not follow,
// as while it waits for what no deadline can wake. Then it is left.
func attended(ctx context.Context, stdin io.Reader, run func() int) int {
	done := make(chan int, 1)
	go func() { done <- run() }()
	select {
	case code := <-done:
		return code
	case <-ctx.Done():
	}
	if f, ok := stdin.(*os.File); ok && f.SetReadDeadline(time.Now()) == nil {
		defer func() { _ = f.SetReadDeadline(time.Time{}) }() // it could be set
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case code := <-done:
		return code
	case <-t.C:
		return cli.ExitInterrupted
	}
}

// tool runs one of the text tools.
func (s *Shell) tool(ctx context.Context, hc interp.HandlerContext, std stdio, do text.Command, args []string) int {
	return do(ctx, &text.Call{Args: args, Stdin: std.in, Stdout: std.out, Stderr: std.err, Getenv: exported(hc),
		Environ: func() []string { return environ(hc) },
		Open: func(ctx context.Context, name string) (io.ReadCloser, error) {
			if f, ok := standard(hc, name); ok {
				return f, nil
			}
			if p, ok := local(name); ok {
				return os.Open(p)
			}
			c, err := s.client(hc)
			if err != nil {
				return nil, err
			}
			return c.Open(ctx, at(hc, name))
		},
		Create: func(ctx context.Context, name string, appendTo bool) (io.WriteCloser, error) {
			if f, ok := standard(hc, name); ok {
				return f, nil
			}
			if p, ok := local(name); ok {
				return os.OpenFile(p, writeFlags(appendTo), 0o666)
			}
			c, err := s.client(hc)
			if err != nil {
				return nil, err
			}
			o, err := s.create(ctx, c, at(hc, name), appendTo)
			if err != nil {
				return nil, err
			}
			o.heeded = true
			return o, nil
		},
		Run: func(ctx context.Context, args, env []string, stdin io.Reader, stdout io.Writer) int {
			with := hc
			with.Env = overlay(hc.Env, env)
			return s.command(ctx, with, stdio{closed(stdin), stdout, std.err}, args)
		},
	})
}

func writeFlags(appendTo bool) int {
	if appendTo {
		return os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	return os.O_WRONLY | os.O_CREATE | os.O_TRUNC
}

// environ are the variables that commands may see.
func environ(hc interp.HandlerContext) []string {
	var out []string
	hc.Env.Each(func(name string, v expand.Variable) bool {
		if v.Exported && v.Kind == expand.String {
			out = append(out, name+"="+v.String())
		}
		return true
	})
	return out
}

// overlaid are variables with others before them.
type overlaid struct {
	expand.Environ
	more map[string]string
}

func overlay(env expand.Environ, more []string) expand.Environ {
	if len(more) == 0 {
		return env
	}
	o := overlaid{env, map[string]string{}}
	for _, kv := range more {
		name, value, _ := strings.Cut(kv, "=")
		o.more[name] = value
	}
	return o
}

// Get returns a variable.
func (o overlaid) Get(name string) expand.Variable {
	if v, ok := o.more[name]; ok {
		return expand.Variable{Set: true, Exported: true, Kind: expand.String, Str: v}
	}
	return o.Environ.Get(name)
}

// Each goes through all of them.
func (o overlaid) Each(do func(string, expand.Variable) bool) {
	seen := true
	o.Environ.Each(func(name string, v expand.Variable) bool {
		if _, ok := o.more[name]; !ok {
			seen = do(name, v)
		}
		return seen
	})
	for name := range o.more { // in any order
		if seen {
			seen = do(name, o.Get(name))
		}
	}
}

// builtinCode is the exit code that the error of a builtin means.
func builtinCode(err error) int {
	var known interp.ExitStatus
	var code int
	switch {
	case err == nil:
		return 0
	case errors.As(err, &known):
		return int(known)
	}
	if n, _ := fmt.Sscanf(err.Error(), "builtin exit status %d", &code); n == 1 {
		return code // the interpreter has no type for it
	}
	return cli.ExitFailure
}
