package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
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
  1    failure
  2    usage error
  4    file or directory not found
  5    temporary: no leader, timeout, too many requests; a retry may help
  6    conflict: it exists, is not empty, or has changed
  7    permission denied
  8    limit reached: too large, no space
  10   partial success: some of many failed
  130  interrupted`}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// partialError says that some of many failed; each was reported already.
type partialError struct{ failed, total int }

func (p partialError) Error() string { return fmt.Sprintf("%d of %d failed", p.failed, p.total) }

// exitFor maps kinds to exit codes.
var exitFor = map[vfs.Kind]int{
	vfs.Invalid: exitUsage, vfs.NotFound: exitNoFile,
	vfs.Throttled: exitTemporary, vfs.Unavailable: exitTemporary, vfs.Timeout: exitTemporary,
	vfs.Exists: exitConflict, vfs.NotEmpty: exitConflict, vfs.Stale: exitConflict,
	vfs.Locked: exitConflict, vfs.LeaseLost: exitConflict, vfs.KeyReused: exitConflict,
	vfs.IsDirectory: exitFailure, vfs.NotDirectory: exitFailure,
	vfs.Permission: exitPermission, vfs.Unauthenticated: exitPermission,
	vfs.TooLarge: exitLimit, vfs.NoSpace: exitLimit,
}

func code(err error) int {
	var u usageError
	var p partialError
	switch {
	case errors.As(err, &u):
		return exitUsage
	case errors.As(err, &p):
		return exitPartial
	case errors.Is(err, context.DeadlineExceeded):
		return exitTemporary
	}
	if c, ok := exitFor[vfs.KindOf(err)]; ok {
		return c
	}
	return exitFailure
}

// report prints one line that says what failed, and a hint where there is one.
func (a *app) report(cmd *cobra.Command, err error) int {
	c := code(err)
	fmt.Fprintln(a.stderr, "pfs: "+explain(err))
	if h := hint(cmd, err, c); h != "" {
		fmt.Fprintln(a.stderr, "hint: "+h)
	}
	return c
}

// explain renders "<verb> <path>: <cause> (<code>)"; a node's own words are
// kept, since they already say verb and path.
func explain(err error) string {
	var e *client.Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Message + " (" + e.Code + ")"
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Op + " " + pe.Path + ": " + pe.Err.Error()
	}
	return err.Error()
}

func hint(cmd *cobra.Command, err error, exit int) string {
	var u *client.Unreachable
	var e *client.Error
	switch {
	case errors.As(err, &u):
		return "no server at " + u.URL + "; start one with: pfs server"
	case errors.As(err, &e) && e.Outcome == "unknown":
		return "the write may or may not have happened; look, then repeat it"
	case errors.As(err, &e) && e.Code == vfs.Stale.Code() && e.ETag != "":
		return "the current version is " + e.ETag
	case exit == exitUsage && cmd != nil:
		return "see: " + cmd.CommandPath() + " --help"
	}
	return ""
}
