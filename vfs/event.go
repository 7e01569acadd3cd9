package vfs

import "time"

// Request is the Ops of one request before the log: they commit together or
// not at all.
type Request struct {
	Ops []Op
	Key string   // idempotency key, or ""
	Sum [32]byte // with Key: what the key belongs to (method, path, body)
}

// Event is a Request that the leader has stamped. The log is a list of batches
// of Events. Its number, the seq, is given when it is applied: the number of
// the last applied Event plus one, so numbers rise by one and are never reused.
type Event struct {
	Time time.Time // the leader's clock; the state machine never lets it go back
	Request
}

// Outcome is what became of an Event.
type Outcome struct {
	Index    uint64   // raft index of the batch that held the Event
	Seq      uint64   // the Event's number; 0 if it failed
	Results  []Result // one for each Op
	Err      error    // nil, or an *Error: nothing was changed
	Replayed bool     // answered from the idempotency window
}

// Content is bytes on their way into an Op: few of them inline, or the chunks
// that hold them.
type Content struct {
	Data   []byte
	Refs   []ChunkRef
	Size   int64    // bytes
	Upload uint64   // not 0: earlier refs were staged under this id
	Sum    [32]byte // BLAKE3-256 of what Refs hold; that of Data nobody needs but who asks
}

// Level says how fresh a read must be.
type Level struct {
	Linearizable bool          // sees every write acknowledged before it started
	MinIndex     uint64        // waits until this node has applied it
	Wait         time.Duration // bounds the wait; 0 means 5 s
	Present      bool          // what the node has, though it may just have been started and be behind what it has acknowledged
}
