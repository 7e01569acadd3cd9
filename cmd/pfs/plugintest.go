package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// lawTime is how long one law may take with a plugin. The slowest of the examples
// needs a few seconds.
const lawTime = 2 * time.Minute

// ruling is what came of one law or script.
type ruling struct {
	Name    string   `json:"name"`
	OK      bool     `json:"ok"`
	Error   string   `json:"error,omitempty"`   // the first way in which it is broken
	Printed []string `json:"printed,omitempty"` // last, by the plugin, meanwhile
	Millis  int64    `json:"ms"`
}

// testReport is what "pfs plugin test" answers.
type testReport struct {
	Plugin  string   `json:"plugin"`
	Path    string   `json:"path"`
	Kind    string   `json:"kind"`
	Sum     string   `json:"sha256"`
	Size    int64    `json:"size"`
	Verbs   []string `json:"verbs"`
	Laws    []ruling `json:"laws"`
	Scripts []ruling `json:"scripts"`
	Broken  int      `json:"broken"`
}

func (a *app) pluginTest() *cobra.Command {
	var f artefactFlags
	var scripts string
	c := &cobra.Command{Use: "test file", Short: "Hold a plugin to the laws of file systems", Args: cobra.ExactArgs(1),
		Long: `Runs a plugin - a WASM module, a native library or a program - as a server runs
it, with the same limits, and holds it to the laws that every file system keeps.
Each law has mounts of its own. For each it prints whether it is kept, and the
first way in which it is not: exit code 1 if any is broken. No server is needed.
It writes to the plugin: give it settings of a place that may be changed.

Scripts are text files, *.txt in a directory, of operations and the answers they
should get; each is played on a mount of its own:

  # a comment
  mkdir /a           -> ok
  write /a/f "hi\n"  -> 3
  read /a/f          -> "hi\n"
  ls /               -> README a/
  read /x            -> not_found

The verbs are mkdir, create, write, read, truncate, touch, chmod, rm [-r], mv, ls
and stat; docs/plugins/external.md has them all.`,
		Example: "  pfs plugin test build/notes.so\n  pfs plugin test notes.wasm --config greeting=hi --scripts testdata\n  pfs plugin test notes.pyz --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.Context(cmd)
			defer cancel()
			p, err := a.openArtefact(ctx, &f, args[0])
			if err != nil {
				return err
			}
			defer p.close()
			r, err := a.judge(ctx, p, scripts, !f.asJSON && !a.JSON())
			if err != nil {
				return err
			}
			if f.asJSON || a.JSON() {
				err = a.Encode(r)
			}
			if n := len(r.Laws) + len(r.Scripts); err == nil && r.Broken > 0 {
				err = &cli.Hinted{Code: cli.ExitFailure, Text: fmt.Sprintf("%s: %d of %d broken", r.Plugin, r.Broken, n)}
			} else if err == nil && !f.asJSON && !a.JSON() {
				a.Printf("%d kept, none broken\n", n)
			}
			return err
		}}
	f.add(c)
	c.Flags().StringVar(&scripts, "scripts", "", "directory with scripts to play, too")
	_ = c.MarkFlagDirname("scripts") // the flag is there
	return c
}

// judge holds a plugin to all laws that apply to it, then plays the scripts.
func (a *app) judge(ctx context.Context, p *artefact, dir string, tell bool) (*testReport, error) {
	scripts, err := findScripts(dir)
	if err != nil {
		return nil, err
	}
	d, err := p.mount(ctx, vfs.Env{Chunks: vfstest.NewChunks()})
	if err != nil {
		return nil, a.failed(p, fmt.Errorf("it does not start: %w", err))
	}
	if _, err := p.within(ctx, time.NewTimer(startTime), func() error { return closeMount(d) }); err != nil {
		return nil, a.failed(p, fmt.Errorf("it does not end: %w", err))
	}
	r := &testReport{Plugin: p.lib.Name, Path: p.path, Kind: p.lib.Kind, Sum: p.lib.Sum, Size: p.lib.Size, Verbs: verbNames(p.lib.Verbs), Scripts: []ruling{}}
	if tell {
		a.Printf("%s: %s, %s\n", cli.Plain(r.Plugin), kindText(p.lib), takes(r.Verbs))
	}
	try := func(name string, check func(vfstest.Subject) error) (ruling, error) {
		a.progressLine(tell, "%s …", name)
		f, err := p.try(ctx, name, check)
		a.progressLine(tell, "")
		if err == nil && tell {
			a.found(f)
		}
		if !f.OK {
			r.Broken++
		}
		return f, err
	}
	for _, law := range vfstest.Laws() {
		if law.Of != 0 && law.Of != p.lib.Place {
			continue
		}
		f, err := try(law.Name, law.Check)
		if err != nil {
			return nil, err
		}
		r.Laws = append(r.Laws, f)
	}
	for _, file := range scripts {
		f, err := try(filepath.Base(file), func(s vfstest.Subject) error { return playFile(ctx, s, file) })
		if err != nil {
			return nil, err
		}
		r.Scripts = append(r.Scripts, f)
	}
	return r, nil
}

func takes(verbs []string) string {
	if len(verbs) == 0 {
		return "to be read only"
	}
	return "takes " + strings.Join(verbs, ", ")
}

// try checks one law. It fails only when ctx ends, or a call does not: with one that
// hangs in this process nothing else can be tested.
func (p *artefact) try(ctx context.Context, name string, check func(vfstest.Subject) error) (ruling, error) {
	p.heard.forget()
	began := time.Now()
	w := &watch{}
	w.until.Store(began.Add(lawTime).UnixNano())
	defer context.AfterFunc(ctx, w.end)()
	f := ruling{Name: name}
	ended, err := p.within(ctx, time.NewTimer(lawTime+endTime), func() error {
		return check(vfstest.Subject{Plugin: w.plugin(p.plugin()), Config: p.config})
	})
	switch {
	case ctx.Err() != nil:
		return f, ctx.Err()
	case !ended:
		w.end()
		return f, &cli.Hinted{Code: cli.ExitFailure, Text: fmt.Sprintf("%s: broken: %s: %v; no more is tested", p.lib.Name, name, err)}
	}
	if f.Error = w.verdict(lawTime); f.Error == "" && err != nil {
		f.Error = err.Error()
	}
	f.OK, f.Millis = f.Error == "", time.Since(began).Milliseconds()
	if !f.OK {
		f.Printed = p.heard.unlike(f.Error)
	}
	return f, nil
}

// found prints what came of a law.
func (a *app) found(f ruling) {
	if f.OK {
		a.Printf("ok      %s\n", f.Name)
		return
	}
	a.Printf("broken  %s\n", f.Name)
	for line := range strings.Lines(strings.TrimRight(f.Error, "\n")) {
		a.Printf("        %s\n", shortened(cli.Plain(strings.TrimRight(line, "\n"))))
	}
	if len(f.Printed) > 0 {
		a.Printf("        it printed:\n")
	}
	for _, line := range f.Printed {
		a.Printf("        | %s\n", shortened(cli.Plain(line)))
	}
}

// shortened cuts a line that nobody would read to its end; JSON has it whole.
func shortened(line string) string {
	const most = 400
	if len(line) <= most {
		return line
	}
	return strings.ToValidUTF8(line[:most], "") + "…"
}

// progressLine shows on a terminal what is under way, in the place of what was.
func (a *app) progressLine(show bool, format string, args ...any) {
	if show && a.TTY && !a.Quiet {
		fmt.Fprintf(a.Stderr, "\r\x1b[K%s", fmt.Sprintf(format, args...))
	}
}

// findScripts lists the scripts in dir.
func findScripts(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err == nil && len(files) == 0 {
		return nil, cli.Usage("there is no script, *.txt, in %s", dir)
	}
	return files, err
}

// playFile plays a script on a mount of its own.
func playFile(ctx context.Context, s vfstest.Subject, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f, err := vfstest.Open(ctx, s)
	if err != nil {
		return err
	}
	wrong := errors.Join(vfstest.Play(ctx, string(text), f)...)
	if wrong != nil {
		wrong = fmt.Errorf("line %w", wrong)
	}
	return errors.Join(wrong, f.Close())
}
