package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/reeflective/readline"
	"github.com/reeflective/readline/inputrc"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/syntax"

	"github.com/pfs-project/pfs/cli"
)

// Interact asks for commands at the terminal until one of them, or the end of the
// input, ends the shell; it returns the exit code. Rc is a script of the local
// machine that runs first if it is there; "" for none.
func (s *Shell) Interact(ctx context.Context, rc string) int {
	if code, exited := s.startFile(ctx, rc); exited {
		return code
	}
	rl := readline.NewShell(inputrc.WithApp("pfs"))
	rl.Prompt.Primary(s.prompt)
	rl.Prompt.Secondary(func() string { return "> " })
	rl.AcceptMultiline = func(line []rune) bool { return !unfinished(string(line)) }
	rl.Completer = (&completer{s: s, ctx: ctx, lists: map[string]listed{}}).complete
	for _, option := range []string{"menu-complete-display-prefix", "multiline-column", "history-autosuggest"} {
		_ = rl.Config.Set(option, true) // all of them are options
	}
	_ = rl.Config.Set("cursor-position-probe", false) // what is typed before its answer would be lost
	if h, err := s.history(); err == nil {
		rl.History.Delete()
		rl.History.Add("history", h)
	} else {
		s.say("pfs: the history is not kept: %s", cli.Explain(err))
	}
	code := 0
	for {
		s.newLine()
		line, err := rl.Readline()
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			continue
		case errors.Is(err, io.EOF):
			code, _ = s.runText(ctx, "exit") // runs the trap of EXIT
			return s.leave(ctx, code)
		case err != nil:
			s.say("pfs: %s", err)
			return cli.ExitFailure
		}
		var exited bool
		if code, exited = s.line(ctx, line); exited {
			return s.leave(ctx, code)
		}
	}
}

// leave does what is left to do when a line has ended the shell. Files that exec has
// redirected to are written before what runs in the background is ended.
func (s *Shell) leave(ctx context.Context, code int) int {
	s.mu.Lock()
	kept := s.kept[reflect.ValueOf(s.run).Pointer()]
	s.mu.Unlock()
	for _, o := range kept {
		_ = o.Close() // it tells, and leaves its code
	}
	s.stopLines()
	return s.ended(ctx, code, false)
}

// newLine lets the prompt begin a line, where what was printed does not end in one:
// as many blanks as a line has end in the next one only from the middle of this.
func (s *Shell) newLine() {
	f, ok := s.stdout.(*os.File)
	if !ok {
		return
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		fmt.Fprint(f, strings.Repeat(" ", width)+"\r")
	}
}

// startFile runs the script that is to be run first.
func (s *Shell) startFile(ctx context.Context, rc string) (int, bool) {
	if rc == "" {
		return 0, false
	}
	content, err := os.ReadFile(rc)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false
	}
	if err != nil {
		s.say("pfs: %s", cli.Explain(err))
		return 0, false
	}
	return s.line(ctx, string(content))
}

// line runs what was typed.
func (s *Shell) line(ctx context.Context, text string) (code int, exited bool) {
	switch strings.TrimSpace(text) {
	case "quit":
		text = "exit"
	case "?":
		text = "help"
	}
	running, unwatch, stop := s.interruptible(ctx)
	defer unwatch()
	s.lines = append(s.lines, stop)
	done := make(chan struct{})
	go func() {
		defer close(done)
		code, exited = s.runText(running, text)
	}()
	select {
	case <-done:
		return code, exited
	case <-running.Done():
	}
	select {
	case <-done:
	case <-time.After(grace + time.Second): // it waits for what runs in the background
		s.stopLines()
		<-done
	}
	s.mu.Lock()
	action := s.traps["INT"]
	s.mu.Unlock()
	if code, exited = s.runText(ctx, action); exited {
		return code, true
	}
	return s.runText(ctx, "(exit 130)") // for $?
}

// stopLines ends what lines have left in the background.
func (s *Shell) stopLines() {
	for _, stop := range s.lines {
		stop()
	}
	s.lines = nil
}

// prompt shows the context, if there is one, and the working directory.
func (s *Shell) prompt() string {
	name := "pfs"
	if c := s.run.Vars["PFS_CONTEXT"]; c.Exported && c.Str != "" {
		name += "[" + c.Str + "]"
	}
	return cli.Plain(name + ":" + s.run.Dir + "> ")
}

// unfinished reports whether a command goes on in the next line.
func unfinished(text string) bool {
	if strings.HasSuffix(text, "\\") && !strings.HasSuffix(text, "\\\\") {
		return true
	}
	_, err := syntax.NewParser().Parse(strings.NewReader(text+"\n"), "")
	return syntax.IsIncomplete(err)
}

// history is a file that keeps what was typed, readable by its owner alone.
func (s *Shell) history() (readline.History, error) {
	name := s.historyFile()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return readline.NewHistoryFromFile(name)
}

// historyFile is where XDG_STATE_HOME says, or in the home directory.
func (s *Shell) historyFile() string {
	if dir := s.base.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "pfs", "history")
	}
	return filepath.Join(s.base.Getenv("HOME"), ".pfs_history")
}
