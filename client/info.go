package client

import (
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Info describes a file, as the API shows it.
type Info struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size"` // bytes
	Mode    uint32    `json:"mode"` // permission bits
	ModTime time.Time `json:"modTime"`
	IsDir   bool      `json:"isDir"` // of a symbolic link: the target's
	Meta    Meta      `json:"meta"`
	ETag    string    `json:"etag,omitempty"` // the version, from Stat alone
}

// Meta is what the file's plugin says of it.
type Meta struct {
	Name    string            `json:"Name"`
	Type    string            `json:"Type"`
	Content map[string]string `json:"Content"`
}

// IsLink reports whether the file is a symbolic link.
func (i Info) IsLink() bool { return i.Meta.Type == "symlink" }

// Consumes reports whether reading the file takes something away.
func (i Info) Consumes() bool { return i.Meta.Content[vfs.ConsumeKey] == "true" }

// Control reports whether the file is there to command something or to ask it,
// rather than to hold content.
func (i Info) Control() bool { return i.Meta.Type == "control" || i.Consumes() || i.Endless() }

// Endless reports whether a read never comes to the end of the file.
func (i Info) Endless() bool { return i.Meta.Content[vfs.EndlessKey] == "true" }
