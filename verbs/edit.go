package verbs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

func (a *app) edit() *cobra.Command {
	return &cobra.Command{Use: "edit path", Short: "Change a file in your editor", Args: cobra.ExactArgs(1), SuggestFor: []string{"vi", "vim", "nano"},
		Long: `Opens a copy of a file in the editor that VISUAL or EDITOR names, or vi, and saves
what it has become, if that differs. A file that is not there is made. If another
has changed the file meanwhile, nothing is replaced: the change is shown, your text
is kept, and the command to save it all the same is printed.`,
		Example: "  EDITOR='sed -i s/one/1/' pfs edit /memfs/notes.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.Path(args[0])
			if err != nil {
				return err
			}
			return a.editFile(cmd, p)
		}}
}

// version is the content of a file at one time.
type version struct {
	text  []byte
	etag  string // "": the mount keeps no versions
	there bool
}

// readVersion reads a file with the ETag that this content has.
func readVersion(ctx context.Context, c *client.Client, p string) (version, error) {
	i, err := c.Stat(ctx, p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return version{}, nil
	case err != nil:
		return version{}, err
	case i.IsDir:
		return version{}, cli.Usage("%s is a directory", p)
	case i.Control():
		return version{}, cli.Usage("%s is there to command, not to hold content", p)
	}
	text, etag, err := c.ReadVersion(ctx, p)
	if errors.Is(err, fs.ErrNotExist) { // a link to what is not there, or it went meanwhile
		return version{}, nil
	}
	return version{text, etag, err == nil}, err
}

// editFile has a file changed, and saves it if nobody else has meanwhile. The time
// that a command may take is that of its requests, not of the editor.
func (a *app) editFile(cmd *cobra.Command, p string) error {
	name := path.Base(p)
	if err := localName(name); err != nil && path.Clean("/"+p) != "/" {
		return err
	}
	var old version
	err := a.With(cmd, func(ctx context.Context, c *client.Client) (err error) {
		old, err = readVersion(ctx, c, p)
		return err
	})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pfs-edit-")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, old.text, 0o600); err != nil {
		return err
	}
	text, saved, err := a.runEditor(cmd.Context(), p, file, old)
	if err == nil && !saved {
		err = a.With(cmd, func(ctx context.Context, c *client.Client) (err error) {
			saved, err = a.saveEdited(ctx, c, p, file, text, old)
			return err
		})
	}
	if saved {
		return errors.Join(err, os.RemoveAll(dir))
	}
	a.Say("your text is kept in %s", file)
	return err
}

// patience is how long an editor may take to keep what it has when it is to end.
const patience = 10 * time.Second

// runEditor runs the editor and returns what it made; done: nothing would be lost.
func (a *app) runEditor(ctx context.Context, p, file string, old version) (text []byte, done bool, err error) {
	editor := strings.Fields(a.Getenv("VISUAL"))
	if len(editor) == 0 {
		editor = strings.Fields(a.Getenv("EDITOR"))
	}
	if len(editor) == 0 {
		editor = []string{"vi"}
	}
	cmd := exec.CommandContext(ctx, editor[0], append(editor[1:], file)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Input(), a.Stderr, a.Stderr
	if a.Input() == io.Reader(os.Stdin) { // an editor wants the terminal itself
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	} else if f, ok := a.Input().(*os.File); ok && a.Shell != nil && cli.Terminal(f) { // opened anew, to be written too
		cmd.Stdout, cmd.Stderr = f, f
	}
	release := cli.HoldInterrupt(ctx) // ed and scripts leave it to the terminal
	runErr := cmd.Run()
	release()
	text, err = os.ReadFile(file)
	switch {
	case err != nil:
		return nil, false, errors.Join(runErr, err)
	case runErr != nil && bytes.Equal(text, old.text) && alone(file):
		return nil, true, &cli.Hinted{Code: cli.ExitFailure, Text: "editor " + editor[0] + ": " + runErr.Error(), Hint: "name another one with EDITOR"}
	case runErr != nil:
		return nil, false, &cli.Hinted{Code: cli.ExitFailure, Text: "editor " + editor[0] + ": " + runErr.Error() + "; nothing was saved"}
	case bytes.Equal(text, old.text):
		a.Say("%s is unchanged", p)
		return nil, true, nil
	}
	return text, false, nil
}

// alone reports whether there is nothing beside a file: an editor that was ended
// keeps there what it has not written.
func alone(file string) bool {
	found, err := os.ReadDir(filepath.Dir(file))
	return err == nil && len(found) == 1
}

// saveEdited saves a text in the place of the version that it was made of. A mount that
// cannot compare has it done here, as late as that can be.
func (a *app) saveEdited(ctx context.Context, c *client.Client, p, file string, text []byte, old version) (saved bool, err error) {
	if old.etag != "" || !old.there {
		only := client.IfAbsent()
		if old.there {
			only = client.IfMatch(old.etag)
		}
		_, err = c.WriteFile(ctx, p, text, only)
		if errors.Is(err, vfs.Stale) {
			return false, a.conflict(ctx, c, p, file, old, err)
		}
		if !errors.Is(err, vfs.Unsupported) {
			return err == nil, err
		}
	}
	now, err := readVersion(client.WithFresh(ctx), c, p)
	if err != nil {
		return false, err
	}
	if now.there != old.there || now.etag != old.etag || !bytes.Equal(now.text, old.text) {
		return false, a.conflict(ctx, c, p, file, old, &fs.PathError{Op: "write", Path: p, Err: vfs.Stale})
	}
	_, err = c.WriteFile(ctx, p, text)
	return err == nil, err
}

// conflict shows what another has made of the file meanwhile.
func (a *app) conflict(ctx context.Context, c *client.Client, p, file string, old version, stale error) error {
	now, err := readVersion(client.WithFresh(ctx), c, p)
	if err != nil {
		return errors.Join(stale, err)
	}
	before, theirs := file+".before", file+".theirs"
	if err := errors.Join(os.WriteFile(before, old.text, 0o600), os.WriteFile(theirs, now.text, 0o600)); err != nil {
		return err
	}
	a.Say("%s was changed meanwhile, and is in %s; the change:", p, theirs)
	if err := difflib.WriteUnifiedDiff(a.Stderr, difflib.UnifiedDiff{A: diffLines(old.text), B: diffLines(now.text),
		FromFile: before, ToFile: theirs, Context: 3}); err != nil {
		return err
	}
	cond := ""
	switch {
	case !now.there:
		cond = "--if-absent "
	case now.etag != "":
		cond = "--if-match '" + now.etag + "' "
	}
	return &cli.Hinted{Code: cli.ExitConflict, Text: cli.Explain(stale), Hint: "bring both together, then: pfs put " + cond + file + " " + p}
}
