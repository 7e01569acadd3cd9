package cluster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pfs-project/pfs/trace"
)

// A frame is a length, a number that joins request and answer, a byte (the
// method, or how the call ended), a time in milliseconds (of a request: how
// long its caller waits) and a payload. The highest bit of a method says that
// the payload begins with the id of the client's request, its length before it.
const (
	maxFrame   = 5 << 20 // bytes after the length
	frameHead  = 4 + 8 + 1 + 4
	frameTime  = 10 * time.Second // to write or read one that has begun
	frameBuf   = 64 << 10
	frameQueue = 256

	traced byte = 0x80 // the bit
)

var errFrame = errors.New("frame is too long")

type frame struct {
	id      uint64
	code    byte
	millis  uint32
	request string // id of the client's request; "" for none
	payload [][]byte
}

func (f *frame) size() int {
	n := frameHead - 4
	if f.request != "" {
		n += 1 + len(f.request)
	}
	for _, p := range f.payload {
		n += len(p)
	}
	return n
}

// writeFrame hands f to w; its payload is not referred to when it returns.
func writeFrame(c net.Conn, w *bufio.Writer, f *frame) error {
	var head [frameHead]byte
	binary.BigEndian.PutUint32(head[:], uint32(f.size()))
	binary.BigEndian.PutUint64(head[4:], f.id)
	head[12] = f.code
	binary.BigEndian.PutUint32(head[13:], f.millis)
	if err := c.SetWriteDeadline(time.Now().Add(frameTime)); err != nil {
		return err
	}
	var id []byte
	if f.request != "" {
		head[12] |= traced
		id = append([]byte{byte(len(f.request))}, f.request...)
	}
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	if _, err := w.Write(id); err != nil {
		return err
	}
	for _, p := range f.payload {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// readHead waits for the next frame; n is the length of its payload.
func readHead(c net.Conn, r *bufio.Reader) (f frame, n int, err error) {
	if err = c.SetReadDeadline(time.Time{}); err != nil {
		return f, 0, err
	}
	if _, err = r.Peek(1); err != nil {
		return f, 0, err
	}
	if err = c.SetReadDeadline(time.Now().Add(frameTime)); err != nil {
		return f, 0, err
	}
	var head [frameHead]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return f, 0, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrame || size < frameHead-4 {
		return f, 0, errFrame
	}
	f.id = binary.BigEndian.Uint64(head[4:])
	f.code = head[12]
	f.millis = binary.BigEndian.Uint32(head[13:])
	return f, int(size) - (frameHead - 4), nil
}

// follow takes the id of the client's request off the payload of a request, if
// there is one.
func (f *frame) follow(payload []byte) ([]byte, error) {
	if f.code&traced == 0 {
		return payload, nil
	}
	f.code &^= traced
	if len(payload) == 0 || len(payload) <= int(payload[0]) {
		return nil, errFrame
	}
	id, rest := string(payload[1:1+int(payload[0])]), payload[1+int(payload[0]):]
	if !trace.Valid(id) {
		return nil, errFrame
	}
	f.request = id
	return rest, nil
}
