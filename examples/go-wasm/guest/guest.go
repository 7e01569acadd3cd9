//go:build wasip1

// Package guest makes a Go program a WASM plugin. A plugin is a program whose
// package has an init function that calls Serve, and an empty main:
//
//	func init() { guest.Serve("hellofs", readme, hello{}) }
//	func main() {}
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o hello.wasm .
//
// A call of the host ends before the next one begins, so a plugin needs no
// locks. With several instances each has a memory of its own.
package guest

import (
	"errors"
	"time"
)

// The errors that the host tells apart, by their words.
var (
	ErrNotFound    = errors.New("file not found")
	ErrExists      = errors.New("file already exists")
	ErrIsDir       = errors.New("is a directory")
	ErrNotDir      = errors.New("not a directory")
	ErrNotEmpty    = errors.New("directory not empty")
	ErrReadOnly    = errors.New("read-only filesystem")
	ErrUnsupported = errors.New("operation not supported")
)

// Info describes a file.
type Info struct {
	Name    string // the last element of its path
	Size    int64
	Mode    uint32 // permissions
	ModTime time.Time
	IsDir   bool
}

// FS is what every plugin is. Paths begin with a slash.
type FS interface {
	Stat(path string) (Info, error)
	List(path string) ([]Info, error)
	// Read returns at most size bytes from off; all from there if size is -1.
	Read(path string, off, size int64) ([]byte, error)
}

// Changer is a plugin that can be written to.
type Changer interface {
	// Write puts data at off. Off -1 replaces the file with Truncate in flags,
	// and appends with Append. data is the plugin's to keep.
	Write(path string, data []byte, off int64, flags uint32) (int, error)
	Create(path string) error
	Mkdir(path string, mode uint32) error
	Remove(path string) error
	RemoveAll(path string) error
	Rename(from, to string) error
	Chmod(path string, mode uint32) error
}

// The flags of Write.
const (
	Append = 1 << iota
	Create
	Exclusive
	Truncate
)

// Param is a setting, for who lists the plugins.
type Param struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Required    bool   `json:"required"`
	Default     string `json:"default"`
	Description string `json:"description"`
}

// Configurer is a plugin with settings. Both get what the mount was given, and
// mount_path. An error of either keeps the mount from starting.
type Configurer interface {
	Params() []Param
	Validate(config map[string]any) error
	Initialize(config map[string]any) error
}

// plugin is what Serve was given.
var plugin struct {
	name, readme string
	fs           FS
}

// Serve says what the program is. Call it from an init function, once.
func Serve(name, readme string, fs FS) { plugin.name, plugin.readme, plugin.fs = name, readme, fs }
