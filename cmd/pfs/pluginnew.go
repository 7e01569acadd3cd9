package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/examples"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

// project is what "pfs plugin new" tells of what it has made.
type project struct {
	Name     string   `json:"name"`
	Language string   `json:"language"`
	Example  string   `json:"example"`
	Dir      string   `json:"dir"`
	Files    []string `json:"files"`
	Built    string   `json:"built"` // by make, below Dir
}

func (a *app) pluginNew() *cobra.Command {
	var lang, example string
	langs := languageNames()
	c := &cobra.Command{Use: "new --lang language name [dir]", Short: "Begin a plugin", Args: cobra.RangeArgs(1, 2),
		Long: `Writes a project that builds with make and keeps the laws of "pfs plugin test":
one of the examples of PFS under a name of your own. It is written into dir, or a
directory of that name, which must be empty or not there.

Languages: ` + languageHelp(),
		Example: "  pfs plugin new --lang c notes\n  pfs plugin new --lang wasm-go --example memory notes ./notes-plugin\n" +
			"  make -C notes && pfs plugin test notes/build/notes.so",
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.IndexFunc(examples.Languages(), func(l examples.Language) bool { return l.Name == lang })
			if i < 0 {
				return cli.Usage("--lang %s is none of %s", lang, strings.Join(langs, ", "))
			}
			dir := args[0]
			if len(args) == 2 {
				dir = args[1]
			}
			p, err := newProject(examples.Languages()[i], example, args[0], dir)
			switch {
			case err != nil:
				return err
			case a.JSON():
				return a.Encode(p)
			}
			for _, f := range p.Files {
				a.Printf("%s\n", filepath.Join(p.Dir, f))
			}
			if !a.Quiet {
				a.Say("build and check it with: make -C %s && pfs plugin test %s", p.Dir, filepath.Join(p.Dir, p.Built))
			}
			return nil
		}}
	c.Flags().StringVarP(&lang, "lang", "l", "", "language: "+strings.Join(langs, ", "))
	c.Flags().StringVar(&example, "example", "", "what it begins as; the smallest by default, memory takes every change")
	return complete(c, map[string][]string{"lang": langs, "example": {"hello", "memory", "words", "upper"}}, "lang")
}

// complete gives flags words that a shell can complete, and marks those that are
// required.
func complete(c *cobra.Command, words map[string][]string, required ...string) *cobra.Command {
	for flag, list := range words {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	}
	for _, flag := range required {
		_ = c.MarkFlagRequired(flag)
	}
	return c
}

func languageNames() (names []string) {
	for _, l := range examples.Languages() {
		names = append(names, l.Name)
	}
	return names
}

// languageHelp lists the languages with their examples.
func languageHelp() string {
	var b strings.Builder
	for _, l := range examples.Languages() {
		b.WriteString("\n  " + l.Name + strings.Repeat(" ", max(1, 12-len(l.Name))) + l.Title + ": " + strings.Join(l.Examples(), ", "))
	}
	return b.String()
}

// newProject writes the files of a project where nothing is.
func newProject(l examples.Language, example, name, dir string) (project, error) {
	if slices.ContainsFunc(plugins.Builtin(nil), func(p vfs.Plugin) bool { return p.Type == name }) {
		return project{}, cli.Usage("%s is the name of a built-in plugin: a server would call it %s-1", name, name)
	}
	if example == "" {
		example = l.Examples()[0]
	}
	files, err := l.Project(example, name)
	if err != nil {
		return project{}, cli.UsageError{Err: err}
	}
	suffix := "so"
	if runtime.GOOS == "darwin" {
		suffix = "dylib"
	}
	p := project{Name: name, Language: l.Name, Example: example, Dir: dir, Files: slices.Sorted(maps.Keys(files)), Built: l.Output(name, suffix)}
	there, err := os.ReadDir(dir)
	switch {
	case len(there) > 0:
		return p, &cli.Hinted{Code: cli.ExitConflict, Text: dir + " is not empty", Hint: "name another directory behind the name of the plugin"}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return p, err
	}
	for _, f := range p.Files {
		if err := writeNew(filepath.Join(dir, filepath.FromSlash(f)), files[f]); err != nil {
			return p, err
		}
	}
	return p, nil
}

// writeNew writes a file that is not there, and its directory.
func writeNew(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
