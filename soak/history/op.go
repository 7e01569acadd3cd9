package history

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is what an Op does.
type Kind uint8

// The kinds. Put, Delete and Get are of files, also those of a tree.
const (
	Put Kind = iota + 1
	Delete
	DeleteAll
	Mkdir
	Rename
	Enqueue
	Dequeue
	Get
	List
	Length // of a queue
)

var kinds = [...]string{Put: "put", Delete: "delete", DeleteAll: "delete_all", Mkdir: "mkdir", Rename: "rename",
	Enqueue: "enqueue", Dequeue: "dequeue", Get: "get", List: "list", Length: "length"}

// String returns the kind in a word.
func (k Kind) String() string { return kinds[k] }

// MarshalText makes the kind a word in JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Reads reports whether the kind changes nothing.
func (k Kind) Reads() bool { return k >= Get }

// Status is what a client knows of the outcome of an Op.
type Status uint8

// The statuses.
const (
	Unknown Status = iota // it may or may not have happened
	OK                    // acknowledged
	Failed                // with an error that the state decided: Code
	Refused               // it did not happen and will not
)

var statuses = [...]string{"unknown", "ok", "failed", "refused"}

// MarshalText makes the status a word in JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(statuses[s]), nil }

// Op is one request of a client, and what came of it. A repeat of the request
// under its key is part of the same Op.
type Op struct {
	ID     string `json:"id"` // unique; what a Put or Enqueue writes
	Kind   Kind   `json:"kind"`
	Client int    `json:"client"`
	Node   int    `json:"node"` // that was asked last, from 0
	Path   string `json:"path"`
	To     string `json:"to,omitempty"`
	Size   int    `json:"size,omitempty"`  // bytes of content, see Content
	Keyed  bool   `json:"keyed,omitempty"` // sent with the ID as its idempotency key
	If     *Cond  `json:"if,omitempty"`

	Linear   bool   `json:"linear,omitempty"` // of a read; else it is local
	MinIndex uint64 `json:"min_index,omitempty"`

	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
	Tries  int           `json:"tries"`

	Status  Status `json:"status"`
	HTTP    int    `json:"http,omitempty"`
	Code    string `json:"code,omitempty"`
	Index   uint64 `json:"index,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Version uint64 `json:"version,omitempty"`
	// Place is the position of an enqueued message, Message its id: of what was
	// enqueued or taken.
	Place   uint64 `json:"place,omitempty"`
	Message string `json:"message,omitempty"`
	// Out is what was read: an ID, names separated by commas, a number, or ""
	// for nothing there.
	Out string `json:"out,omitempty"`

	at uint64 // index in the log, where only that knows
}

// Cond is a condition of a Put: the file must be absent, or have the Version.
type Cond struct {
	Absent  bool   `json:"absent,omitempty"`
	Version uint64 `json:"version,omitempty"`
}

// Content returns the bytes that stand for an ID: its repetition, so that a
// mixture of two shows.
func Content(id string, size int) string {
	if size <= len(id) {
		return id
	}
	return strings.Repeat(id+"\n", size/(len(id)+1)+1)[:size]
}

// Digest returns the ID that content stands for. Content that is not of one ID
// gives a text that no ID equals.
func Digest(content string) string {
	id, _, cut := strings.Cut(content, "\n")
	if !cut {
		return content
	}
	if Content(id, len(content)) != content {
		return fmt.Sprintf("torn: %d bytes that begin with %.40q", len(content), content)
	}
	return id
}

// String tells the Op for people.
func (o *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", o.ID, o.Kind, o.Path)
	if o.To != "" {
		b.WriteString(" to " + o.To)
	}
	if o.If != nil {
		fmt.Fprintf(&b, " if %+v", *o.If)
	}
	if o.Kind.Reads() {
		fmt.Fprintf(&b, " linear=%v min_index=%d", o.Linear, o.MinIndex)
	}
	fmt.Fprintf(&b, " [n%d %.3f-%.3f s] %s", o.Node+1, o.Call.Seconds(), o.Return.Seconds(), statuses[o.Status])
	if o.Code != "" {
		b.WriteString(" " + o.Code)
	}
	if o.Index > 0 {
		b.WriteString(" index=" + strconv.FormatUint(o.Index, 10))
	}
	if o.Out != "" {
		b.WriteString(" out=" + o.Out)
	}
	return b.String()
}
