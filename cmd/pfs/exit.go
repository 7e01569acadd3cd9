package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/cluster"
	"github.com/pfs-project/pfs/vfs"
)

// Exit codes; scripts rely on them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNoFile      = 4
	exitTemporary   = 5
	exitConflict    = 6
	exitPermission  = 7
	exitLimit       = 8
	exitPartial     = 10
	exitInterrupted = 130
)

func exitCodes() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: `Exit codes:
  0    success
  1    failure of any other kind
  2    usage error: the command line, or an argument that the server refuses
  4    file or directory not found
  5    temporary: no server, no leader, timeout, too many requests, a transfer
       that broke off; a retry may help
  6    conflict: it exists, is not empty, has changed, or is in use
  7    permission denied
  8    limit reached: too large, no space
  10   partial success: some of several failed; if all did, the first one's
  130  interrupted
A server that "pfs server" runs has codes of its own.`}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// partialError says that some of several failed; each was reported already.
type partialError struct {
	failed, total int
	first         error
}

// Error counts.
func (p *partialError) Error() string { return fmt.Sprintf("%d of %d failed", p.failed, p.total) }

// add counts one more, which failed unless err is nil.
func (p *partialError) add(err error) {
	p.total++
	if err != nil {
		p.failed++
		if p.first == nil {
			p.first = err
		}
	}
}

func (p *partialError) result() error {
	if p.failed == 0 {
		return nil
	}
	return p
}

// exitFor maps kinds to exit codes.
var exitFor = map[vfs.Kind]int{
	vfs.Invalid: exitUsage, vfs.NotFound: exitNoFile,
	vfs.Throttled: exitTemporary, vfs.Unavailable: exitTemporary, vfs.Timeout: exitTemporary,
	vfs.Exists: exitConflict, vfs.NotEmpty: exitConflict, vfs.Stale: exitConflict,
	vfs.Locked: exitConflict, vfs.LeaseLost: exitConflict, vfs.KeyReused: exitConflict, vfs.Conflict: exitConflict,
	vfs.Permission: exitPermission, vfs.Unauthenticated: exitPermission,
	vfs.TooLarge: exitLimit, vfs.NoSpace: exitLimit,
}

func code(err error) int {
	var u usageError
	var p *partialError
	var h *hinted
	switch {
	case errors.As(err, &h):
		return h.code
	case errors.As(err, &u):
		return exitUsage
	case errors.As(err, &p) && p.failed == p.total:
		return code(p.first)
	case errors.As(err, &p):
		return exitPartial
	case errors.Is(err, cluster.ErrLocked):
		return exitConflict
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF):
		return exitTemporary
	}
	if c, ok := exitFor[vfs.KindOf(err)]; ok {
		return c
	}
	return exitFailure
}

// report prints one line that says what failed, and a hint where there is one.
func (a *app) report(cmd *cobra.Command, err error) int {
	a.say("pfs: %s", explain(err))
	if h := hint(cmd, err); h != "" {
		a.say("hint: %s", h)
	}
	return code(err)
}

// explain renders "<verb> <path>: <cause> (<code>)"; a node's own words are
// kept, since they already say verb and path.
func explain(err error) string {
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
	var use usageError
	var own *hinted
	var name string
	switch {
	case errors.As(err, &own):
		return own.hint
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
	case k == vfs.NotFound && (cmd.Name() == "put" || cmd.Name() == "cp") && pe.Op == "write":
		return "make its directory with: pfs mkdir -p " + path.Dir(path.Clean("/"+pe.Path))
	case k == vfs.Unsupported && cmd.Name() == "mv":
		return "copy it with pfs cp -r, then remove it with pfs rm -r"
	case k == vfs.Invalid:
		return "see: " + cmd.CommandPath() + " --help"
	}
	return ""
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
