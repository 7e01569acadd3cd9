package vfs

import "time"

// Mode is permission bits and, above them, what a file is.
type Mode uint32

// ModeDir and ModeLink tell what a file is; they are not permissions and are
// never shown to clients as numbers.
const (
	ModeDir  Mode = 1 << 31
	ModeLink Mode = 1 << 27
	ModePerm Mode = 0o7777
)

// IsDir reports whether m describes a directory.
func (m Mode) IsDir() bool { return m&ModeDir != 0 }

// IsLink reports whether m describes a symbolic link.
func (m Mode) IsLink() bool { return m&ModeLink != 0 }

// Perm returns the permission bits alone.
func (m Mode) Perm() Mode { return m & ModePerm }

// Meta is what a plugin says of a file beside the POSIX attributes.
type Meta struct {
	Name    string            // the plugin's type, as "memfs"
	Type    string            // the file's role, as "control"
	Content map[string]string // further facts; nil when there are none
}

// ConsumeKey in Meta.Content with the value "true" marks a file whose read
// takes something away. Walks, searches, digests, copies and HEAD skip it.
const ConsumeKey = "consume"

// EndlessKey in Meta.Content with the value "true" marks a file that a read never
// comes to the end of. It is read by parts only; walks, searches, digests and
// copies skip it.
const EndlessKey = "endless"

// Info describes one file.
type Info struct {
	Name    string // last element of its path; "/" for the root
	Size    int64  // bytes
	Mode    Mode
	ModTime time.Time // UTC
	ID      uint64    // the file's id, stable through renames; 0 if it has none
	Version uint64    // seq of the last Event that changed it; 0 if not kept
	Target  string    // of a symbolic link, as given
	Meta    Meta
}

// IsDir reports whether the file is a directory.
func (i Info) IsDir() bool { return i.Mode.IsDir() }

// Consumes reports whether reading the file takes something away.
func (i Info) Consumes() bool { return i.Meta.Content[ConsumeKey] == "true" }

// Endless reports whether a read never comes to the end of the file.
func (i Info) Endless() bool { return i.Meta.Content[EndlessKey] == "true" }
