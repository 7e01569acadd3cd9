package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/shell"
)

func (a *app) sh() *cobra.Command {
	var text string
	var norc bool
	var options shell.Options
	c := &cobra.Command{Use: "sh [-c commands | file] [argument…]", Short: "A shell whose files are those of the server",
		Long: `A shell whose files are those of the server: the language of POSIX shells, and
most of bash's, over cat, cp, ls and all other commands of pfs. It runs commands,
a script (a local file, or else one of the server), what comes from stdin, or asks
for commands at a terminal.

local:PATH is a file of the local machine, and local:NAME or !NAME one of its
programs; commands touch nothing else of it.`,
		Example: "  pfs sh -c 'for f in /memfs/*.txt; do wc -l < $f; done'\n  pfs sh nightly.sh /memfs/logs\n  pfs sh"}
	c.Flags().StringVarP(&text, "command", "c", "", "run these commands")
	c.Flags().BoolVarP(&options.ErrExit, "errexit", "e", false, "as set -e")
	c.Flags().BoolVarP(&options.NoUnset, "nounset", "u", false, "as set -u")
	c.Flags().BoolVarP(&options.Trace, "xtrace", "x", false, "as set -x")
	c.Flags().BoolVar(&norc, "norc", false, "at a terminal: do not run ~/.pfsrc first")
	c.Flags().SetInterspersed(false)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer signal.Stop(signals)
		config := shell.Config{Env: a.Env, Environ: os.Environ(), Signals: signals, Options: options, More: more}
		bare := !cmd.Flags().Changed("command") && len(args) == 0
		if bare && !a.asked() {
			config.Stdin = strings.NewReader("") // what comes are commands
		}
		s, err := shell.New(config)
		if err != nil {
			return err
		}
		defer s.Close()
		ctx := context.WithoutCancel(cmd.Context()) // what signals do is the shell's matter
		if bare {
			return ended(a.bare(ctx, s, norc))
		}
		script, err := a.script(ctx, cmd.Flags().Changed("command"), text, args)
		if err != nil {
			return err
		}
		return ended(s.Run(ctx, script))
	}
	return c
}

// ended is the error for an exit code.
func ended(code int) error {
	if code == cli.ExitOK {
		return nil
	}
	return cli.Exit(code)
}

// asked reports whether somebody at a terminal gives the commands.
func (a *app) asked() bool {
	in, ok := a.Input().(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// bare runs a shell without a script: at a terminal, or from stdin.
func (a *app) bare(ctx context.Context, s *shell.Shell, norc bool) int {
	if !a.asked() {
		return s.Feed(ctx, a.Input())
	}
	rc := ""
	if home, err := os.UserHomeDir(); err == nil && !norc {
		rc = filepath.Join(home, ".pfsrc")
	}
	return s.Interact(ctx, rc)
}

// script is what the arguments of sh say to run.
func (a *app) script(ctx context.Context, given bool, text string, args []string) (shell.Script, error) {
	switch {
	case given && len(args) > 0:
		return shell.Script{Name: args[0], Args: args[1:], Text: strings.NewReader(text)}, nil
	case given:
		return shell.Script{Name: "pfs", Text: strings.NewReader(text)}, nil
	}
	content, err := a.readScript(ctx, args[0])
	if err != nil {
		return shell.Script{}, err
	}
	return shell.Script{Name: args[0], Args: args[1:], Text: strings.NewReader(string(content))}, nil
}

// readScript reads a local file, or else one of the server.
func (a *app) readScript(ctx context.Context, name string) ([]byte, error) {
	if !strings.HasPrefix(name, "pfs:") {
		content, err := os.ReadFile(strings.TrimPrefix(name, "local:"))
		if err == nil || !errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(name, "local:") {
			return content, err
		}
	}
	cs, err := a.Clients()
	if err != nil {
		return nil, err
	}
	r, err := cs[0].Open(ctx, a.Remote(name))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
