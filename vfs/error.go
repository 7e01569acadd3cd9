package vfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Kind is a cause of failure. It is an error and a number that crosses the
// wire and the log: never reorder, only append.
type Kind uint8

// The kinds. The comment is the code that clients see.
const (
	Internal        Kind = iota + 1 // internal
	Invalid                         // invalid
	Unauthenticated                 // unauthenticated
	Permission                      // permission
	NotFound                        // not_found
	Exists                          // exists
	IsDirectory                     // is_directory
	NotDirectory                    // not_directory
	NotEmpty                        // not_empty
	Stale                           // stale
	TooLarge                        // too_large
	Range                           // range
	Locked                          // locked
	Throttled                       // throttled
	Unsupported                     // unsupported
	Unavailable                     // unavailable
	Timeout                         // timeout
	NoSpace                         // no_space
	KeyReused                       // key_reused
	LeaseLost                       // lease_lost
	Moved                           // moved: route the Op again; never seen by clients
	Conflict                        // conflict: not as things stand; the text says what to do first
	Empty                           // empty: nothing to consume for one who waits; never seen by clients
	Crashed                         // plugin_crashed: third-party code failed; what it was doing may be done or not
)

// kinds holds the code and the words of each kind, by number.
var kinds = [...]struct{ code, text string }{
	Internal:        {"internal", "internal error"},
	Invalid:         {"invalid", "invalid argument"},
	Unauthenticated: {"unauthenticated", "not authenticated"},
	Permission:      {"permission", "permission denied"},
	NotFound:        {"not_found", "not found"},
	Exists:          {"exists", "already exists"},
	IsDirectory:     {"is_directory", "is a directory"},
	NotDirectory:    {"not_directory", "not a directory"},
	NotEmpty:        {"not_empty", "not empty"},
	Stale:           {"stale", "version does not match"},
	TooLarge:        {"too_large", "too large"},
	Range:           {"range", "out of range"},
	Locked:          {"locked", "locked"},
	Throttled:       {"throttled", "too many requests"},
	Unsupported:     {"unsupported", "operation not supported"},
	Unavailable:     {"unavailable", "unavailable"},
	Timeout:         {"timeout", "timed out"},
	NoSpace:         {"no_space", "no space left"},
	KeyReused:       {"key_reused", "idempotency key was used for another request"},
	LeaseLost:       {"lease_lost", "lease has run out"},
	Moved:           {"moved", "mount has moved"},
	Conflict:        {"conflict", "not possible as things stand"},
	Empty:           {"empty", "there is nothing yet"},
	Crashed:         {"plugin_crashed", "the plugin crashed"},
}

// Valid reports whether k is a kind of this version.
func (k Kind) Valid() bool { return k > 0 && int(k) < len(kinds) }

// Code returns the stable name that clients test, as "not_found".
func (k Kind) Code() string {
	if !k.Valid() {
		return kinds[Internal].code
	}
	return kinds[k].code
}

// Error returns the kind in words.
func (k Kind) Error() string {
	if !k.Valid() {
		return kinds[Internal].text
	}
	return kinds[k].text
}

// Is maps kinds to the errors of io/fs.
func (k Kind) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return k == NotFound
	case fs.ErrExist:
		return k == Exists
	case fs.ErrPermission:
		return k == Permission
	case fs.ErrInvalid:
		return k == Invalid
	}
	return false
}

// With returns the kind as an error with a reason in words.
func (k Kind) With(reason string) error { return &Error{Kind: k, Reason: reason} }

// Withf is With, formatted.
func (k Kind) Withf(format string, args ...any) error {
	return &Error{Kind: k, Reason: fmt.Sprintf(format, args...)}
}

// Error is a failed operation. Filesystems return a bare Kind or one of these
// without Verb and Path; the Table fills those in.
type Error struct {
	Kind    Kind
	Verb    string // "read"; empty until the Table adds it
	Path    Path   // as the client named it
	Reason  string // further words; for Exists the noun: "file", "directory"
	Version uint64 // Stale: the current version, 0 if the file is absent
	// Starting is the mount that is just being started on this node: nothing was
	// done, and the same may be asked again in a moment.
	Starting Path
}

// Error renders "<verb>: <path>: <cause> (<reason>)". Exists and NotEmpty are
// worded as existing clients expect: "file already exists: <path>".
func (e *Error) Error() string {
	switch {
	case e.Path == "":
		if e.Reason != "" {
			return e.Reason
		}
		return e.Kind.Error()
	case e.Kind == Exists:
		noun := e.Reason
		if noun == "" {
			noun = "file"
		}
		return noun + " already exists: " + string(e.Path)
	case e.Kind == NotEmpty:
		return "directory not empty: " + string(e.Path)
	}
	s := e.Verb + ": " + string(e.Path) + ": " + e.Kind.Error()
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// KindOf returns the kind inside err: 0 for nil, Internal when there is none.
func KindOf(err error) Kind {
	if err == nil {
		return 0
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	for _, m := range []struct {
		is error
		k  Kind
	}{
		{fs.ErrNotExist, NotFound}, {fs.ErrExist, Exists}, {fs.ErrPermission, Permission}, {fs.ErrInvalid, Invalid},
		{context.DeadlineExceeded, Timeout},
	} {
		if errors.Is(err, m.is) {
			return m.k
		}
	}
	return Internal
}

// At returns err as an *Error with verb and path filled in where they are
// missing; nil stays nil.
func At(err error, verb string, p Path) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		c := *e
		if c.Path == "" {
			c.Verb, c.Path = verb, p
		}
		return &c
	}
	k := KindOf(err)
	c := &Error{Kind: k, Verb: verb, Path: p}
	if s := err.Error(); s != k.Error() {
		c.Reason = s
	}
	return c
}
