package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/vfs"
)

// Exit codes; scripts rely on them. "pfs help exit-codes" describes them.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitNoFile      = 4
	ExitTemporary   = 5
	ExitConflict    = 6
	ExitPermission  = 7
	ExitLimit       = 8
	ExitNothing     = 9
	ExitPartial     = 10
	ExitInterrupted = 130
)

// ExitCodes is the help on exit codes.
func ExitCodes() *cobra.Command {
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
  9    nothing to do: an empty queue, no change while it was waited for
  10   partial success: some of several failed; if all did, the first one's
  130  interrupted
A server that "pfs server" runs has codes of its own.`}
}

// Exit is the exit code of a command that said already why, or that has nothing to
// say, as when nothing matches.
type Exit int

// Error names the code.
func (e Exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// UsageError is a mistake on the command line.
type UsageError struct{ Err error }

// Error says what is wrong.
func (u UsageError) Error() string { return u.Err.Error() }

// Unwrap returns what is wrong.
func (u UsageError) Unwrap() error { return u.Err }

// Usage returns an error of the command line.
func Usage(format string, args ...any) error { return UsageError{Err: fmt.Errorf(format, args...)} }

// Partial is an error that says that some of several failed; each was reported
// already. The zero value has none. It is not for several goroutines.
type Partial struct {
	failed, total int
	first         error
}

// Error counts.
func (p *Partial) Error() string { return fmt.Sprintf("%d of %d failed", p.failed, p.total) }

// Add counts one more, which failed unless err is nil.
func (p *Partial) Add(err error) {
	p.total++
	if err != nil {
		p.failed++
		if p.first == nil {
			p.first = err
		}
	}
}

// Done counts those that did not fail.
func (p *Partial) Done() int { return p.total - p.failed }

// Failed counts those that did.
func (p *Partial) Failed() int { return p.failed }

// First is the first error; nil if none failed.
func (p *Partial) First() error { return p.first }

// Result is nil if none failed.
func (p *Partial) Result() error {
	if p.failed == 0 {
		return nil
	}
	return p
}

// exitFor maps kinds to exit codes.
var exitFor = map[vfs.Kind]int{
	vfs.Invalid: ExitUsage, vfs.NotFound: ExitNoFile,
	vfs.Throttled: ExitTemporary, vfs.Unavailable: ExitTemporary, vfs.Timeout: ExitTemporary,
	vfs.Exists: ExitConflict, vfs.NotEmpty: ExitConflict, vfs.Stale: ExitConflict,
	vfs.Locked: ExitConflict, vfs.LeaseLost: ExitConflict, vfs.KeyReused: ExitConflict, vfs.Conflict: ExitConflict,
	vfs.Permission: ExitPermission, vfs.Unauthenticated: ExitPermission,
	vfs.TooLarge: ExitLimit, vfs.NoSpace: ExitLimit,
}

// Hinted is an error with an exit code and a hint of its own.
type Hinted struct {
	Code       int    // one of the exit codes
	Text, Hint string // Hint may be empty
}

// Error says what failed.
func (h *Hinted) Error() string { return h.Text }

// Code returns the exit code of an error; ExitOK for none.
func Code(err error) int {
	var u UsageError
	var told Exit
	var p *Partial
	var h *Hinted
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &h):
		return h.Code
	case errors.As(err, &told):
		return int(told)
	case errors.As(err, &u):
		return ExitUsage
	case errors.As(err, &p) && p.failed == p.total:
		return Code(p.first)
	case errors.As(err, &p):
		return ExitPartial
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF):
		return ExitTemporary
	}
	if c, ok := exitFor[vfs.KindOf(err)]; ok {
		return c
	}
	return ExitFailure
}
