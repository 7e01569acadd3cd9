package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Report prints one line that says what failed, and a hint where there is one,
// and returns the exit code.
func (e *Env) Report(ctx context.Context, cmd *cobra.Command, err error) int {
	e.Say("pfs: %s", Explain(err))
	h := hint(cmd, err)
	if h == "" {
		h = e.similar(ctx, err)
	}
	if h != "" {
		e.Say("hint: %s", h)
	}
	return Code(err)
}

// Explain renders "<verb> <path>: <cause> (<code>)"; a node's own words are
// kept, since they already say verb and path.
func Explain(err error) string {
	var e *client.Error
	var pe *fs.PathError
	isPath := errors.As(err, &pe)
	switch {
	case errors.As(err, &e) && e.Code != "":
		return e.Message + " (" + e.Code + ")"
	case isPath && errors.As(err, new(*client.Unreachable)):
		return pe.Op + " " + pe.Path + ": " + pe.Err.Error() + " (" + vfs.KindOf(err).Code() + ")"
	case isPath:
		return pe.Op + " " + pe.Path + ": " + pe.Err.Error()
	}
	return err.Error()
}

// hint says what to try next.
func hint(cmd *cobra.Command, err error) string {
	var u *client.Unreachable
	var use UsageError
	var own *Hinted
	var name string
	switch {
	case errors.As(err, &own):
		return own.Hint
	case errors.As(err, &use):
		if n, _ := fmt.Sscanf(err.Error(), "unknown command %q", &name); n == 1 {
			if near := nearest(cmd, name); near != "" {
				return "did you mean: " + near
			}
		}
		return "see: " + cmd.CommandPath() + " --help"
	case errors.Is(err, client.ErrUnknown):
		return "the change may or may not have been made; look, then repeat it"
	case errors.As(err, &u) && u.Refused():
		return "nothing listens at " + u.URL + "; start a server with: pfs server; or name one with --url"
	}
	return answerHint(cmd, err)
}

// answerHint is hint for what a node answered.
func answerHint(cmd *cobra.Command, err error) string {
	var e *client.Error
	var pe *fs.PathError
	if !errors.As(err, &e) || !errors.As(err, &pe) {
		return ""
	}
	switch k := vfs.KindOf(err); {
	case k == vfs.Stale && e.ETag != "":
		return "the current version is " + e.ETag
	case k == vfs.NotEmpty && pe.Op == "restore":
		return "start nodes with new, empty data directories, and restore into those"
	case k == vfs.NotEmpty:
		return "remove it and all below it with: pfs rm -r " + pe.Path
	case k == vfs.IsDirectory && cmd.Name() == "cat":
		return "list it with: pfs ls " + pe.Path
	case k == vfs.NotFound && pe.Op == "write":
		return "make its directory with: pfs mkdir -p " + path.Dir(path.Clean("/"+pe.Path))
	case k == vfs.Unsupported && cmd.Name() == "mv":
		return "copy it with pfs cp -r, then remove it with pfs rm -r"
	case k == vfs.Invalid:
		return "see: " + cmd.CommandPath() + " --help"
	}
	return ""
}

// similarTime is for how long a node is asked for names like one that is not there.
const similarTime = 300 * time.Millisecond

// similar names what is where a path was not found and is written almost like it.
func (e *Env) similar(ctx context.Context, err error) string {
	var pe *fs.PathError
	if !errors.As(err, &pe) || vfs.KindOf(err) != vfs.NotFound || !strings.HasPrefix(pe.Path, "/") {
		return ""
	}
	all, err := e.Clients()
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, similarTime)
	defer cancel()
	name := path.Base(pe.Path)
	best, at := min(3, len(name)), ""
	for i, err := range all[0].Entries(ctx, path.Dir(path.Clean(pe.Path))) {
		if err != nil {
			return ""
		}
		if d := typos(name, i.Name); d < best {
			best, at = d, i.Name
		}
	}
	if at == "" {
		return ""
	}
	return "similar: " + path.Join(path.Dir(path.Clean(pe.Path)), at)
}

// nearest returns the command most like a name that is none.
func nearest(parent *cobra.Command, name string) string {
	best, at := 3, ""
	for _, c := range parent.Commands() {
		d := typos(name, c.Name())
		for _, s := range c.SuggestFor {
			if s == name {
				d = 0
			}
		}
		if d < best && d < len(name) && (c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand()) {
			best, at = d, c.CommandPath()
		}
	}
	return at
}

// Nearest returns the one of some names that a name most likely means; "" if none
// is like it.
func Nearest(name string, names []string) string {
	best, found := min(3, len(name)/2+1), ""
	for _, n := range names {
		if d := typos(name, n); d < best && d < len(name) {
			best, found = d, n
		}
	}
	return found
}

// typos counts the letters to add, drop, change or swap to get from a to b.
func typos(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
