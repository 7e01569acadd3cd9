package shell

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"

	"mvdan.cc/sh/v3/syntax"

	"github.com/pfs-project/pfs/cli"
)

// traps are what to run at a signal: by its name without SIG. An empty one lets
// the signal be ignored. The interpreter has those of EXIT and ERR.
type traps map[string]string

// signals are those that can be trapped, by the numbers that scripts use.
var signals = map[string]string{"0": "EXIT", "1": "HUP", "2": "INT", "3": "QUIT", "13": "PIPE", "14": "ALRM", "15": "TERM"}

func signalName(word string) string {
	name := strings.TrimPrefix(strings.ToUpper(word), "SIG")
	if s, ok := signals[word]; ok {
		return s
	}
	if name == "ERR" {
		return name
	}
	for _, s := range signals { // at most one is it
		if s == name {
			return s
		}
	}
	return ""
}

// trap sets what to run at signals, and returns the command that sets it for what
// the interpreter looks after.
func (s *Shell) trap(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return []string{"trap"}
	}
	action := "-"
	if len(args) > 1 {
		action, args = args[0], args[1:]
	}
	theirs := []string{}
	for _, word := range args {
		switch name := signalName(word); name {
		case "":
			return []string{own + "refuse", "trap: " + word + " is no signal that can be trapped"}
		case "EXIT", "ERR":
			theirs = append(theirs, name)
		default:
			s.mu.Lock()
			delete(s.traps, name)
			if action != "-" {
				s.traps[name] = action
			}
			s.mu.Unlock()
		}
	}
	if len(theirs) == 0 {
		return []string{":"}
	}
	text, err := s.guardText(action, "trap")
	if err != nil {
		return []string{own + "refuse", scriptError(err)}
	}
	return append([]string{"trap", "--", text}, theirs...)
}

// signalled is why a context has ended: a signal came.
type signalled struct{ os.Signal }

// Error names the signal.
func (s signalled) Error() string { return s.String() }

// name is that of the signal for trap.
func (s signalled) name() string {
	switch s.Signal {
	case syscall.SIGTERM:
		return "TERM"
	case syscall.SIGHUP:
		return "HUP"
	}
	return "INT"
}

// interruptible returns a context that signals end, but for those that are to be
// ignored, until they are not watched any more. Then what it has started in the
// background still runs, until it is cancelled.
func (s *Shell) interruptible(ctx context.Context) (running context.Context, unwatch, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-over:
				return
			case sig := <-s.signals:
				if sig == os.Interrupt && cli.InterruptHeld(ctx) {
					continue
				}
				s.mu.Lock()
				action, trapped := s.traps[signalled{sig}.name()]
				s.mu.Unlock()
				if !trapped || action != "" {
					cancel(signalled{sig})
				}
			}
		}
	}()
	unwatch = sync.OnceFunc(func() {
		close(over)
		<-gone
	})
	return ctx, unwatch, func() {
		unwatch()
		cancel(nil)
	}
}

// interrupted runs what traps ask for when a signal has ended a script, and those
// of its exit; it returns the exit code.
func (s *Shell) interrupted(ctx context.Context, code int) int {
	if ctx.Err() == nil {
		return code
	}
	code, name := cli.ExitInterrupted, "INT"
	if sig, ok := context.Cause(ctx).(signalled); ok {
		if name = sig.name(); name == "TERM" {
			code = 128 + int(syscall.SIGTERM)
		}
	}
	after, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.mu.Lock()
	text := s.traps[name]
	s.mu.Unlock()
	if c, exited := s.runText(after, text); exited {
		return c
	}
	c, _ := s.runText(after, "exit "+itoa(code)) // runs the trap of EXIT
	return c
}

// runText runs commands, and reports whether they have ended the shell.
func (s *Shell) runText(ctx context.Context, text string) (int, bool) {
	file, err := parse(strings.NewReader(text), "")
	if err != nil {
		s.say("pfs: %s", scriptError(err))
		return cli.ExitUsage, false
	}
	s.noteFunctions(file)
	guard(file)
	return s.runAll(ctx, file.Stmts)
}

// runAll runs statements until one ends the shell.
func (s *Shell) runAll(ctx context.Context, all []*syntax.Stmt) (code int, exited bool) {
	for _, st := range all {
		code = s.code(s.run.Run(ctx, st))
		if s.run.Exited() {
			return code, true
		}
	}
	return code, false
}
