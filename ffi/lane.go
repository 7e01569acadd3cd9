package ffi

import (
	"encoding/binary"
	"errors"
)

// A lane carries one call at a time between the node and the process: the call
// and its answer lie in memory that both have mapped, and a byte in a pipe says
// that they are there. Each token of child.free is a lane's number.
//
// What is shared, for n lanes: n windows of laneSize, then one area of maxFrame for
// a call that has more to say. A window begins with what follows, little-endian:
//
//	 0  kind of the request      4  length of its body    8  where that lies
//	16  state of the answer     20  length of its body; it lies at laneHead
const (
	laneHead = 64
	laneSize = 1<<20 + 4096
	laneBody = laneSize - laneHead
	atAnswer = 16
	unsaid   = 1<<32 - 1 // a state that is no answer
)

// The first descriptors that the process has: the socket, what is shared, and of
// each lane the end that it reads and the end that it writes.
const (
	socketFile = 3 + iota
	sharedFile
	laneFiles
)

// sharedSize is how long what is shared is, for n lanes.
func sharedSize(n int) int { return n*laneSize + maxFrame }

// windowOf is the window of lane i.
func windowOf(shared []byte, i int) []byte {
	return shared[i*laneSize : (i+1)*laneSize : (i+1)*laneSize]
}

var errLane = errors.New("a call that is none")

// laneAsk is what a window asks for, as the process reads it.
func laneAsk(shared, window []byte) (k kind, body []byte, err error) {
	n, at := uint64(binary.LittleEndian.Uint32(window[4:])), binary.LittleEndian.Uint64(window[8:])
	if end := uint64(len(shared)); at > end || n > end-at {
		return 0, nil, errLane
	}
	return kind(window[0]), shared[at : at+n : at+n], nil
}

// laneSay writes the answer's head into a window; its body is there.
func laneSay(window []byte, s state, n int) {
	binary.LittleEndian.PutUint32(window[atAnswer+4:], uint32(n))
	binary.LittleEndian.PutUint32(window[atAnswer:], uint32(s))
}

// laneAnswer copies the answer from a window, once: the library may write to it at
// any time. into is where the body goes if it is no error; nil makes room for most
// bytes.
func laneAnswer(window, into []byte, most int64) (answer, error) {
	head := [8]byte(window[atAnswer:])
	s, n := binary.LittleEndian.Uint32(head[:]), int64(binary.LittleEndian.Uint32(head[4:]))
	if into != nil {
		most = int64(len(into))
	}
	if s == uint32(failed) {
		into, most = nil, maxInfo
	}
	if s >= uint32(states) || n > min(most, laneBody) {
		return answer{}, errAnswer
	}
	if into == nil {
		into = make([]byte, n)
	}
	return answer{state(s), into[:copy(into, window[laneHead:laneHead+n])]}, nil
}
