package vfs

import (
	"slices"
	"time"
)

// Library is a third-party plugin as the log has it. Its code is content: a few
// bytes here, or chunks that every node keeps.
type Library struct {
	Name     string     `json:"name"`               // the type that mounts of it have
	Original string     `json:"original,omitempty"` // what it calls itself, where that was taken
	Kind     string     `json:"kind"`               // "wasm", "native", "http", "msgpack", "wasi": the host that runs it
	Sum      string     `json:"sha256"`             // of its code, in hex
	Size     int64      `json:"size"`               // of its code, in bytes
	Source   string     `json:"source"`             // where it came from: a path, or a name for an upload
	Doc      string     `json:"doc,omitempty"`
	Params   []Param    `json:"params,omitempty"` // as far as it tells
	Place    Placement  `json:"place"`
	Verbs    VerbSet    `json:"verbs"`
	Grants   Grants     `json:"grants"`
	Limits   Limits     `json:"limits"`
	Level    uint64     `json:"level,omitempty"` // of the cluster when it was loaded, if that was one at which processes are granted
	ABI      int        `json:"abi,omitempty"`   // of a native one: its generation, 0 if that is to be found out
	Data     []byte     `json:"data,omitempty"`  // its code, if it is short
	Refs     []ChunkRef `json:"refs,omitempty"`  // its code, otherwise
}

// Grants is what a third-party plugin may use beside its own memory. Zero:
// nothing.
type Grants struct {
	Read      []Path   `json:"read,omitempty"`      // what of the tree it may read: these and all below
	Network   bool     `json:"network,omitempty"`   // the network of the machine, for a process
	Write     []Path   `json:"write,omitempty"`     // what of the tree a module may change: these and all below
	HTTP      []string `json:"http,omitempty"`      // what a module may ask over HTTP, as [ParseWebGrant] reads it
	Processes bool     `json:"processes,omitempty"` // a process may start others
}

// Changes reports whether a module may change the tree or ask over HTTP: what feature
// level 17 brought, with the network.
func (g Grants) Changes() bool { return len(g.Write) > 0 || len(g.HTTP) > 0 }

// MayRead reports whether p is among what may be read.
func (g Grants) MayRead(p Path) bool { return within(g.Read, p) }

// MayWrite reports whether p is among what may be changed.
func (g Grants) MayWrite(p Path) bool { return within(g.Write, p) }

func within(roots []Path, p Path) bool {
	return slices.ContainsFunc(roots, func(root Path) bool { return p == root || p.Under(root) })
}

// Limits bounds a third-party plugin. A zero field takes the host's default.
type Limits struct {
	Memory    int64         `json:"memory,omitempty"`    // bytes of one instance
	Call      time.Duration `json:"call,omitempty"`      // nanoseconds that one call may take
	Instances int           `json:"instances,omitempty"` // that serve calls at once; 1 keeps what the plugin has in memory
	Idle      time.Duration `json:"idle,omitempty"`      // without a call, after which a process is stopped until the next; 0: never
}
