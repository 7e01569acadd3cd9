package mcp

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// hinted is an error that says itself what to do next.
type hinted struct {
	err  error
	hint string
}

// Error tells both.
func (h *hinted) Error() string { return h.err.Error() + ". " + h.hint }

// Unwrap returns the error.
func (h *hinted) Unwrap() error { return h.err }

func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// next says what helps against an error of a kind.
var next = map[vfs.Kind]string{
	vfs.Invalid:      "Correct the arguments",
	vfs.NotFound:     "List its directory to see what is there",
	vfs.Exists:       "Choose another path, or replace or remove what is there",
	vfs.IsDirectory:  "List it instead, or name a file in it",
	vfs.NotDirectory: "Read it instead, or name its directory",
	vfs.NotEmpty:     "Set recursive to remove all below it, too",
	vfs.Stale:        "It has changed meanwhile: read it again, then repeat",
	vfs.TooLarge:     "Write less at once: append in parts",
	vfs.Range:        "Read from an offset that is there",
	vfs.Locked:       "Try again later",
	vfs.Throttled:    "Wait a little, then repeat",
	vfs.Unsupported:  "The mount cannot do that: use another tool or path",
	vfs.Unavailable:  "The server cannot be reached or has no leader: repeat in some seconds",
	vfs.Timeout:      "Repeat in some seconds",
	vfs.NoSpace:      "Remove what is not needed, or tell the operator",
	vfs.LeaseLost:    "Another worker may have the message: take again, and settle before the deadline",
	vfs.Permission:   "Ask the operator of the server",
}

// explain turns an error into what an agent reads: what failed, its code, and
// what to do next.
func (s *Server) explain(err error) error {
	var h *hinted
	if errors.As(err, &h) {
		return fmt.Errorf("%s (%s). %s", words(h.err), codeOf(h.err), h.hint)
	}
	text := fmt.Sprintf("%s (%s)", words(err), codeOf(err))
	var e *client.Error
	switch {
	case errors.Is(err, client.ErrUnknown):
		return errors.New(text + ". It may have been done or not: look before repeating it")
	case errors.As(err, &e) && e.ETag != "" && vfs.KindOf(err) == vfs.Stale:
		text += ", its etag is now " + bare(e.ETag)
	}
	if n := next[vfs.KindOf(err)]; n != "" {
		text += ". " + n
	}
	return errors.New(text)
}

func codeOf(err error) string { return vfs.KindOf(err).Code() }

// words are a node's own, which say verb and path already, or ours.
func words(err error) string {
	var e *client.Error
	if errors.As(err, &e) {
		return e.Message
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Op + " " + pe.Path + ": " + pe.Err.Error()
	}
	return err.Error()
}
