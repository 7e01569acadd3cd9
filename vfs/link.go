package vfs

// MaxLinks is how many symbolic links one path may lead through.
const MaxLinks = 40

// LinkError says that a path leads through a symbolic link that the filesystem
// keeps itself. The Table follows it and asks again; filesystems never follow.
// A Folder's Apply answers it before it has changed anything.
type LinkError struct {
	At     Path   // the link, relative to the mount
	Target string // as given; relative to At.Dir() unless it starts with "/"
	Rest   Path   // what of the asked path lies below the link; Root if nothing
}

// Error names the link.
func (e *LinkError) Error() string { return "symbolic link at " + string(e.At) }

// ErrLoop is the answer to a path that leads through too many links.
var ErrLoop error = &Error{Kind: Invalid, Reason: "too many levels of symbolic links"}
