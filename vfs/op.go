package vfs

import "math"

// Verb is what an Op asks for. It is a number in the log: never reorder, only
// append.
type Verb uint8

// The verbs.
const (
	Create    Verb = iota + 1 // an empty file; Exists if there is one
	Mkdir                     // a directory; its parent must exist
	Write                     // bytes at Off, as Flag says
	Truncate                  // to Off bytes, zero-filling
	Chmod                     // Mode
	Touch                     // the modification time; creates an empty file
	Remove                    // a file, a link or an empty directory
	RemoveAll                 // a file or a directory with all below it
	Rename                    // to To, replacing a file there
	Symlink                   // a link at Path to Target
	Consume                   // takes what a consuming file has to give
	Mount                     // Data: a MountSpec, encoded by the fsm
	Unmount                   // detaches; the state stays
	Stage                     // holds Refs under the upload id File
	Commit                    // drops the upload id File; its Refs move to the Write of the same Event
	Reap                      // a bounded piece of work a Timer asked for
	Member                    // Data: what a node says of itself
	Sweep                     // forgets chunks that nothing refers to
	Begin                     // the first Event of a leader's term
	Restore                   // a step of taking a backup in; Data says which
	Load                      // Data: rows of the backup that is taken in
	Saved                     // Data: what a scheduled backup left
	Enlist                    // Target: a Library; Data or Refs: its code
	Dismiss                   // Target: the name of a Library
)

// verbs holds the name of each verb as clients see it in error texts.
var verbs = [...]string{
	Create: "create", Mkdir: "mkdir", Write: "write", Truncate: "truncate",
	Chmod: "chmod", Touch: "touch", Remove: "remove", RemoveAll: "remove",
	Rename: "rename", Symlink: "symlink", Consume: "read", Mount: "mount",
	Unmount: "unmount", Stage: "write", Commit: "write", Reap: "reap",
	Member: "member", Sweep: "sweep", Begin: "begin",
	Restore: "restore", Load: "restore", Saved: "backup",
	Enlist: "load", Dismiss: "unload",
}

// Valid reports whether v is a verb of this version.
func (v Verb) Valid() bool { return v > 0 && int(v) < len(verbs) }

// String returns the verb as error texts show it.
func (v Verb) String() string {
	if !v.Valid() {
		return "unknown"
	}
	return verbs[v]
}

// VerbSet is a set of verbs.
type VerbSet uint32

// Verbs makes a set.
func Verbs(vs ...Verb) VerbSet {
	var s VerbSet
	for _, v := range vs {
		s |= 1 << v
	}
	return s
}

// Changes are the verbs with which clients change files: all but Consume.
func Changes() VerbSet {
	return Verbs(Create, Mkdir, Write, Truncate, Chmod, Touch, Remove, RemoveAll, Rename, Symlink)
}

// Has reports whether v is in the set.
func (s VerbSet) Has(v Verb) bool { return s&(1<<v) != 0 }

// Flag refines a Write. The bits are those of the compatible contract.
type Flag uint8

// The flags of a Write. Appending is Off == AtEnd.
const (
	FlagAppend    Flag = 1 << iota // the same as Off == AtEnd
	FlagCreate                     // make the file if it is missing
	FlagExclusive                  // fail with Exists if it is there
	FlagTruncate                   // drop the old content first, in the same Event
	FlagSync                       // accepted; every acknowledged write is synced
)

// AtEnd as Op.Off appends: the end is found when the Op is applied.
const AtEnd = math.MinInt64

// Limits of the log.
const (
	MaxInline = 32 << 10  // bytes of content in one Op
	MaxEntry  = 512 << 10 // bytes of one raft entry
	MaxRefs   = 4096      // chunk references in one Op
	ChunkSize = 4 << 20   // bytes of a full chunk
	MaxSize   = 1 << 50   // bytes of one file
)

// CondKind says what a Cond asks.
type CondKind uint8

// The conditions.
const (
	Always    CondKind = iota
	IfVersion          // the file exists and has the Version
	IfAbsent           // the file does not exist
	IfExists           // the file exists, whatever its version
)

// Cond lets an Op apply only if the file it names is as the client last saw
// it. Checked when the Op is applied; a mismatch is Stale with the current
// version and changes nothing.
type Cond struct {
	Kind    CondKind
	Version uint64
}

// ChunkRef is a slice of a chunk: a piece of content kept beside the log.
type ChunkRef struct {
	Hash     [32]byte // BLAKE3-256 of the whole chunk; zero for a hole
	Off, Len uint32   // bytes
}

// Op is one requested change, as a value.
type Op struct {
	Verb   Verb
	Mount  uint64 // the mount it was routed to; 0 to route when applied
	Path   Path   // global in a Request; relative to the mount in Folder.Apply
	File   uint64 // 0, or the file's id: handles address files, not names
	To     Path   // Rename: the new name
	Target string // Symlink: as given, relative or dangling; Write, Consume: Options; Enlist, Dismiss: of a Library
	Off    int64  // Write, Truncate: bytes; AtEnd appends
	Mode   Mode   // Create, Mkdir, Chmod, Write with FlagCreate; 0 means the plugin's default
	Flag   Flag   // Write
	If     Cond
	Data   []byte     // Write: inline bytes, at most MaxInline
	Refs   []ChunkRef // Write: slices of chunks, at most MaxRefs; Data is then empty
}

// Result is what an applied Op answers.
type Result struct {
	N       int64      // Write: bytes written
	Data    []byte     // Consume: what was taken; Write: a JSON object whose members join the answer
	Refs    []ChunkRef // Consume: longer content
	Version uint64     // the file's version after the Op
	File    uint64     // the file's id, where it has one
}

// Size returns the bytes that the Op's content stands for.
func (o *Op) Size() int64 {
	n := int64(len(o.Data))
	for _, r := range o.Refs {
		n += int64(r.Len)
	}
	return n
}
