package shell

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/vfs"
)

// builtin is a command of the shell itself. Its error is an exit code, or what one
// of the interpreter's commands returned.
type builtin func(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) error

// builtins are those that the interpreter has not, or has in a way that looks at
// the local machine or does not notice errors.
func (s *Shell) builtins() map[string]builtin {
	return map[string]builtin{
		"echo": s.echo, "printf": s.printf, "test": s.test("test"), "[": s.test("["), "cd": s.cd("cd"), "pushd": s.cd("pushd"),
		"pwd": s.pwd, "command": s.which, "type": s.typeOf, "help": s.help, "sh": s.sh, "refuse": s.refuse,
		"true": answer(0), "false": answer(1),
	}
}

// call sees each command before the interpreter looks for it, and says what to run
// in its place.
func (s *Shell) call(_ context.Context, args []string) ([]string, error) {
	s.mu.Lock()
	function := s.custom[args[0]]
	s.mu.Unlock()
	if function {
		return args, nil
	}
	return s.instead(args), nil
}

func (s *Shell) instead(args []string) []string {
	switch name := args[0]; name {
	case "command":
		rest := args[1:]
		for len(rest) > 0 && (rest[0] == "-p" || rest[0] == "--") {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0] == "-v" || rest[0] == "-V" {
			return append([]string{own + "command"}, rest...)
		}
		if in := s.instead(rest); in[0] != rest[0] {
			return in
		}
		return append([]string{"command"}, rest...)
	case "builtin", "exec":
		if len(args) > 1 {
			return append([]string{name}, s.instead(args[1:])...)
		}
	case "eval":
		text, err := s.guardText(strings.Join(args[1:], " "), "eval")
		if err != nil {
			return []string{own + "refuse", scriptError(err)}
		}
		return []string{"eval", text}
	case ".", "source":
		if len(args) > 1 {
			return append([]string{".", nowhere + args[1]}, args[2:]...)
		}
	case "trap":
		return s.trap(args[1:])
	default:
		if s.own[name] != nil && interp.IsBuiltin(name) && name != "true" && name != "false" {
			return append([]string{own + name}, args[1:]...)
		}
	}
	return args
}

// answer is a command that does nothing.
func answer(code interp.ExitStatus) builtin {
	return func(context.Context, interp.HandlerContext, stdio, []string) error { return status(int(code)) }
}

// status is an exit code for the interpreter.
func status(code int) error {
	if code == 0 {
		return nil
	}
	return interp.ExitStatus(code)
}

// refuse tells what cannot be run.
func (s *Shell) refuse(_ context.Context, _ interp.HandlerContext, io stdio, args []string) error {
	say(io.err, "pfs: %s", strings.Join(args, " "))
	return status(cli.ExitUsage)
}

// write writes the output of a builtin.
func write(out stdio, text string) error {
	_, err := io.WriteString(out.out, text)
	if err == nil {
		return nil
	}
	return status(max(cli.Code(err), 1)) // a file tells why when it is closed
}

// echo is that of bash.
func (s *Shell) echo(_ context.Context, _ interp.HandlerContext, out stdio, args []string) error {
	end, escapes := "\n", false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
		for _, flag := range args[0][1:] {
			switch flag {
			case 'n':
				end = ""
			case 'e':
				escapes = true
			case 'E':
				escapes = false
			}
		}
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		head, _, cut := strings.Cut(text, `\c`)
		if cut {
			text, end = head, ""
		}
		text, _, _ = expand.Format(nil, text, nil) // without arguments nothing is amiss
	}
	return write(out, text+end)
}

// test is one of the interpreter's commands that look at files. Where the server
// could not say, that is an error, and not a "no".
func (s *Shell) test(name string) builtin {
	return func(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) error {
		if bad := notNumber(args); bad != "" {
			say(io.err, "pfs: %s: %q is no number", name, bad)
			return status(cli.ExitUsage)
		}
		if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "local:") }) {
			ctx = context.WithValue(ctx, unmarkedKey{}, true)
		}
		var trouble error
		err := hc.Builtin(context.WithValue(ctx, troubleKey{}, &trouble), append([]string{name}, args...))
		if trouble != nil {
			say(io.err, "pfs: %s", cli.Explain(trouble))
			return status(max(cli.Code(trouble), 2))
		}
		return err
	}
}

// notNumber returns an operand of a comparison of numbers that is none; the
// interpreter takes it for 0.
func notNumber(args []string) string {
	for i := 1; i+1 < len(args); i++ {
		switch args[i] {
		case "-eq", "-ne", "-lt", "-le", "-gt", "-ge":
			for _, operand := range []string{args[i-1], args[i+1]} {
				if _, err := strconv.ParseInt(strings.TrimSpace(operand), 10, 64); err != nil {
					return operand
				}
			}
		}
	}
	return ""
}

// cd goes to a directory, after it has asked itself: the interpreter takes any error
// for an absent one.
func (s *Shell) cd(name string) builtin {
	return func(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) error {
		for len(args) > 0 && (args[0] == "-P" || args[0] == "-L" || args[0] == "--") {
			args = args[1:]
		}
		if len(args) != 1 || args[0] == "-" || strings.HasPrefix(args[0], "+") || args[0] == "" {
			return s.test(name)(ctx, hc, io, args)
		}
		p := at(hc, args[0])
		ctx = context.WithValue(ctx, unmarkedKey{}, true) // there is no other place to go to
		info, err := s.statFile(context.WithValue(ctx, troubleKey{}, new(error)), p, true)
		if err == nil && !info.IsDir() {
			err = vfs.NotDirectory
		}
		if err != nil {
			say(io.err, "pfs: %s: %s", name, strings.TrimPrefix(refused("stat", p, err).Error(), "pfs: stat "))
			return status(cli.Code(err))
		}
		return hc.Builtin(context.WithValue(ctx, knownKey{}, known{p, info}), []string{name, p})
	}
}

// pwd prints the working directory.
func (s *Shell) pwd(_ context.Context, hc interp.HandlerContext, io stdio, _ []string) error {
	return write(io, hc.Dir+"\n")
}

// kind says what a name is when it is a command; "" if it is none.
func (s *Shell) kind(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case syntax.IsKeyword(name):
		return "a shell keyword"
	case s.custom[name]:
		return "a function"
	case interp.IsBuiltin(name), s.own[name] != nil:
		return "a shell builtin"
	case s.names[name] != nil:
		return "a command of pfs"
	case strings.HasPrefix(name, "local:"), strings.HasPrefix(name, "!"):
		return "a program of the local machine"
	}
	return ""
}

// which is command -v, and command without a command.
func (s *Shell) which(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) error {
	if len(args) > 0 && args[0] == "-V" {
		return s.typeOf(ctx, hc, io, args[1:])
	}
	var err error
	for _, name := range args {
		switch {
		case name == "-v":
		case s.kind(name) == "":
			err = status(1)
		default:
			err = write(io, name+"\n")
		}
	}
	return err
}

// typeOf tells what names are.
func (s *Shell) typeOf(_ context.Context, _ interp.HandlerContext, io stdio, args []string) error {
	var err error
	for _, name := range args {
		kind := s.kind(name)
		if kind == "" {
			say(io.err, "pfs: %s: not found", name)
			err = status(1)
			continue
		}
		err = errors.Join(err, write(io, name+" is "+kind+"\n"))
	}
	return err
}

// commit gives the exit code of the statement before it, or of a file that it has
// redirected to.
func (s *Shell) commit(hc interp.HandlerContext, args []string) error {
	if len(args) > 0 { // exec has redirected for good
		now := []*output{}
		for _, w := range []any{hc.Stdout, hc.Stderr} {
			if o, ok := w.(*output); ok {
				now = append(now, o)
			}
		}
		s.mu.Lock()
		before := s.kept[who(hc)]
		s.kept[who(hc)] = now
		s.mu.Unlock()
		for _, o := range before {
			if len(now) == 0 || o != now[0] && o != now[len(now)-1] {
				_ = o.Close() // it tells, and leaves its code
			}
		}
	}
	fault := s.takeFault(hc)
	if hc.LastExitStatus != 0 {
		return status(hc.LastExitStatus)
	}
	return status(fault)
}
