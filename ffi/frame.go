package ffi

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// kind says what a frame asks for; its answer has the same.
type kind byte

const (
	askStart kind = iota + 1 // body: length of Settings, Settings as JSON, the library. Answer: Description as JSON
	askStat                  // a path. Answer: an Info
	askList                  // limit, length of path, path, after. Answer: length and Info of each
	askRead                  // offset, size, path. Answer: bytes
	askDo                    // length of Op, Op, its data. Answer: a Result
	askPing                  // nothing. Answered at once, whatever the library does
	askStop                  // nothing; no call comes after it
)

// state says how a request went.
type state byte

const (
	fine      state = iota
	failed          // the body is an error
	ended           // fine, and the file ends here
	elsewhere       // the answer has no room where it was asked for: ask over the socket
	states
)

const (
	maxRead   = 4 << 20         // bytes of one read
	maxPut    = 32 << 20        // bytes of one write
	maxFrame  = maxPut + 64<<10 // bytes of one frame behind its length
	maxNames  = maxFrame / 64   // entries of one directory
	headSize  = 4 + 8 + 1 + 1   // length, id, kind, state
	overhead  = headSize - 4    // what the length counts beside the body
	readHead  = 8 + 4           // of askRead
	startHead = 4               // of askStart
	listHead  = 4 + 4           // of askList
	doHead    = 4               // of askDo
)

// frame is one message between the node and the process with the plugin.
type frame struct {
	id    uint64
	kind  kind
	state state
	body  []byte
}

// writeFrame writes f. A long body is not copied.
func writeFrame(w io.Writer, f frame) error {
	if len(f.body) > maxFrame-overhead {
		return vfs.TooLarge.Withf("at most %d bytes cross at once", maxFrame-overhead)
	}
	b := make([]byte, headSize, headSize+min(len(f.body), 64<<10))
	binary.BigEndian.PutUint32(b, uint32(overhead+len(f.body)))
	binary.BigEndian.PutUint64(b[4:], f.id)
	b[12], b[13] = byte(f.kind), byte(f.state)
	if len(f.body) > 64<<10 {
		if _, err := w.Write(b); err != nil {
			return err
		}
		b = f.body
	} else {
		b = append(b, f.body...)
	}
	_, err := w.Write(b)
	return err
}

// readFrame reads one; most says how long the body of that with an id may be, -1
// that there is no such. What it allocates follows what has come, not what the
// length claims.
func readFrame(r io.Reader, most func(id uint64) int64) (f frame, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	f.id, f.kind, f.state = binary.BigEndian.Uint64(head[4:]), kind(head[12]), state(head[13])
	n := int64(binary.BigEndian.Uint32(head[:])) - overhead
	if n < 0 || n > most(f.id) {
		return f, fmt.Errorf("a frame of %d bytes", n)
	}
	const step = maxRead
	for int64(len(f.body)) < n {
		at, more := len(f.body), min(n-int64(len(f.body)), max(step, int64(len(f.body))))
		f.body = append(f.body, make([]byte, more)...)
		if _, err := io.ReadFull(r, f.body[at:]); err != nil {
			return f, err
		}
	}
	return f, nil
}

// appendList appends entries, each with its length.
func appendList(b []byte, infos []vfs.Info) []byte {
	for _, i := range infos {
		one := wire.AppendInfo(nil, i)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(one))), one...)
	}
	return b
}

// readList reads what appendList wrote, at most some entries: an entry of a few bytes
// takes many times as much here.
func readList(b []byte, most int) (out []vfs.Info, err error) {
	for len(b) > 0 {
		if len(b) < 4 || len(out) == most {
			return nil, wire.ErrCorrupt
		}
		n := int64(binary.BigEndian.Uint32(b))
		if b = b[4:]; n > int64(len(b)) {
			return nil, wire.ErrCorrupt
		}
		i, err := wire.Info(b[:n])
		if err != nil {
			return nil, err
		}
		out, b = append(out, i), b[n:]
	}
	return out, nil
}
