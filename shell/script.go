package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/vfs"
)

func itoa(n int) string { return strconv.Itoa(n) }

// opened is a script that is open.
type opened struct{ *strings.Reader }

// Write is not for it.
func (opened) Write([]byte) (int, error) { return 0, fs.ErrPermission }

// Close does nothing.
func (opened) Close() error { return nil }

// load reads a script: a file of the server, or with "local:" of the local machine.
func (s *Shell) load(ctx context.Context, hc interp.HandlerContext, name string) ([]byte, error) {
	if p, ok := local(name); ok {
		return os.ReadFile(p)
	}
	c, err := s.client(hc)
	if err != nil {
		return nil, err
	}
	return c.ReadFile(ctx, at(hc, name))
}

// openScript opens what source names.
func (s *Shell) openScript(ctx context.Context, hc interp.HandlerContext, name string) (io.ReadWriteCloser, error) {
	content, err := s.load(ctx, hc, name)
	if err != nil {
		return nil, refused("read", name, err)
	}
	guarded, err := s.guardText(string(content), name)
	if err != nil {
		return nil, refused("read", name, errors.New(scriptError(err)))
	}
	return opened{strings.NewReader(guarded)}, nil
}

// script runs a file of the server as a command.
func (s *Shell) script(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) int {
	tree, name, err := s.tree(ctx, at(hc, args[0]))
	if err != nil {
		say(io.err, "pfs: %s", cli.Explain(err))
		return cli.Code(err)
	}
	info, err := fs.Stat(tree, name)
	switch {
	case vfs.KindOf(err) == vfs.NotFound, vfs.KindOf(err) == vfs.NotDirectory:
		say(io.err, "pfs: %s: not found", args[0])
		return exitNotFound
	case err != nil:
		say(io.err, "pfs: %s", cli.Explain(err))
		return cli.Code(err)
	case info.IsDir():
		say(io.err, "pfs: %s: is a directory", args[0])
		return exitNoProgram
	case info.Mode()&0o111 == 0:
		say(io.err, "pfs: %s: permission denied", args[0])
		say(io.err, "hint: let it be executed, or run it with: sh %s", args[0])
		return exitNoProgram
	}
	content, err := s.load(ctx, hc, args[0])
	if err != nil {
		say(io.err, "pfs: %s", cli.Explain(err))
		return cli.Code(err)
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	if bytes.IndexByte(first, 0) >= 0 || bytes.HasPrefix(first, []byte("#!")) && !bytes.Contains(first, []byte("sh")) {
		say(io.err, "pfs: %s: not a script of a shell", args[0])
		say(io.err, "hint: programs run on the local machine; copy it there")
		return exitNoProgram
	}
	return s.inside(ctx, hc, io, nil, Script{Name: args[0], Args: args[1:], Text: bytes.NewReader(content)})
}

// deepest is how many shells may be in each other.
const deepest = 64

// inside runs a script in a shell of its own, which shares nothing but connections
// and what is exported.
func (s *Shell) inside(ctx context.Context, hc interp.HandlerContext, io stdio, options []string, c Script) int {
	if s.depth == deepest {
		say(io.err, "pfs: %s: %d shells are in each other already", c.Name, deepest)
		return cli.ExitFailure
	}
	base := *s.base
	base.Dir = hc.Dir
	in := &Shell{base: &base, more: s.more, names: s.names, clients: s.clients, depth: s.depth + 1,
		stdout: plainFile(io.out), stderr: plainFile(io.err), environ: s.environ, traps: traps{}}
	in.own, in.tools = in.builtins(), s.tools
	env := []string{"TMPDIR=" + nowhere}
	hc.Env.Each(func(name string, v expand.Variable) bool {
		if v.Exported && v.Kind == expand.String || name == "HOME" {
			env = append(env, name+"="+v.String())
		}
		return true
	})
	err := in.start(io.in, expand.ListEnviron(env...), hc.Dir)
	if err == nil {
		err = interp.Params(options...)(in.run)
	}
	if err != nil {
		say(io.err, "pfs: sh: %s", err)
		return cli.ExitUsage
	}
	return in.Run(ctx, c)
}

// sh runs a script in a shell of its own: sh [options] [-c text | file] [name] [argument…].
func (s *Shell) sh(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) error {
	var options []string
	c := Script{Name: "sh", Text: io.in}
	fromText := false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		flag := args[0]
		args = args[1:]
		switch {
		case flag == "--":
		case flag == "-c":
			fromText = true
			continue
		case (flag == "-o" || flag == "+o") && len(args) > 0:
			options = append(options, flag, args[0])
			args = args[1:]
			continue
		case strings.HasSuffix(flag, "c") && flag[0] == '-':
			fromText = true
			options = append(options, strings.TrimSuffix(flag, "c"))
			continue
		default:
			options = append(options, flag)
			continue
		}
		break
	}
	switch {
	case fromText && len(args) == 0:
		return s.refuse(ctx, hc, io, []string{"sh: -c needs the commands"})
	case fromText:
		c.Text, args = strings.NewReader(args[0]), args[1:]
		if len(args) > 0 {
			c.Name, args = args[0], args[1:]
		}
	case len(args) > 0:
		content, err := s.load(ctx, hc, args[0])
		if err != nil {
			say(io.err, "pfs: sh: %s", cli.Explain(err))
			return status(exitNotFound)
		}
		c.Name, c.Text, args = args[0], bytes.NewReader(content), args[1:]
	}
	c.Args = args
	return status(s.inside(ctx, hc, io, options, c))
}
