package ffi

import (
	"errors"

	"github.com/pfs-project/pfs/vfs"
)

// Guest is one instance of a native plugin, as the process that has loaded it
// calls it. Paths are clean. Errors have the kind that the plugin means.
type Guest interface {
	// Stat describes a file: NotFound if the plugin has nothing to say of it.
	Stat(p vfs.Path) (vfs.Info, error)
	// List returns what is in a directory, in any order.
	List(p vfs.Path) ([]vfs.Info, error)
	// Read calls take, once, with at most size bytes from off; they may be more,
	// if the plugin ignores what it is asked for. They are gone when it returns.
	Read(p vfs.Path, off, size int64, take func([]byte)) error
	// Write writes data at an offset, or as the whole file at [WholeFile]. With
	// another offset it may be ErrWhole: only whole files are written.
	Write(p vfs.Path, data []byte, off int64, flag vfs.Flag) error
	// Change makes a change that has no data: Create, Mkdir, Chmod, Remove,
	// RemoveAll or Rename.
	Change(op vfs.Op) error
	// Close ends the instance. No call is under way.
	Close() error
}

// WholeFile is the offset at which the ABI replaces a file.
const WholeFile = -1

// ErrWhole is the answer of a Guest that replaces files only, to a write at an
// offset.
var ErrWhole = errors.New("only whole files are written")

// Description is what a library says of itself.
type Description struct {
	Name  string      `json:"name"`
	Doc   string      `json:"doc"`
	Verbs vfs.VerbSet `json:"verbs"`
}

// Settings is how a library is loaded.
type Settings struct {
	Sum      string `json:"sha256"`             // of its bytes, in hex
	Describe bool   `json:"describe,omitempty"` // only tell what it is
	Config   string `json:"config,omitempty"`   // the settings of the mount, as JSON
	ABI      int    `json:"abi,omitempty"`      // 1, 2; 0: by what FSWrite answers
	Beside   bool   `json:"beside,omitempty"`   // calls may run beside each other
	Lanes    int    `json:"lanes,omitempty"`    // that the process has, beside the socket
}

// Open loads the library whose bytes are code: it describes it, or it makes an
// instance that is initialised with the settings.
type Open func(s Settings, code []byte) (Description, Guest, error)
