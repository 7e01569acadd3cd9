package ffi

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// Serve answers the node at the other end of conn, until it says so or is gone.
// It is what the process does that loads a library. Calls run beside each other if
// the settings say so: the node sends no more at once than the plugin can take.
func Serve(conn io.ReadWriter, open Open) error {
	s := &server{conn: conn, over: make(chan error, 1)}
	go func() { s.end(s.loop(bufio.NewReaderSize(conn, 64<<10), open)) }()
	return <-s.over
}

// end ends Serve, which is the end of the process.
func (s *server) end(err error) {
	select {
	case s.over <- err:
	default: // it was ended before
	}
}

// loop reads what the node asks for.
func (s *server) loop(r io.Reader, open Open) error {
	for {
		f, err := readFrame(r, func(uint64) int64 { return maxFrame })
		if err != nil {
			return err // the node is gone, and with it whoever waits for an answer
		}
		switch f.kind {
		case askStart:
			body, err := s.start(f, open)
			state := fine
			if err != nil {
				state, body = failed, wire.AppendError(nil, err)
			}
			if err := s.reply(f, state, body); err != nil {
				return err
			}
		case askPing:
			if err := s.reply(f, fine, nil); err != nil {
				return err
			}
		case askStop:
			s.calls.Wait()
			s.gate.Lock() // for good: no call comes through a lane any more
			if s.files != nil {
				err = s.files.guest.Close()
			}
			return errors.Join(err, s.reply(f, fine, nil))
		default:
			if s.files == nil {
				return errors.New("a call before the start")
			}
			if !s.beside {
				if err := s.answer(f); err != nil {
					return err
				}
				continue
			}
			s.calls.Go(func() {
				if err := s.answer(f); err != nil {
					s.end(err)
				}
			})
		}
	}
}

type server struct {
	over   chan error // holds the first
	conn   io.Writer
	write  sync.Mutex
	files  *files
	beside bool // calls run beside each other
	calls  sync.WaitGroup
	gate   sync.RWMutex // held by each call that came through a lane
}

// through makes a call that came through a lane.
func (s *server) through(k kind, b, room []byte) (state, []byte) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	state, out := s.call(k, b, room)
	if len(out) > cap(room) { // it is not there: nothing was changed by what says so much
		return elsewhere, nil
	}
	return state, out
}

// answer makes a call that came over the socket.
func (s *server) answer(f frame) error {
	state, body := s.call(f.kind, f.body, nil)
	return s.reply(f, state, body)
}

// reply answers f.
func (s *server) reply(f frame, state state, body []byte) error {
	if len(body) > maxFrame-overhead {
		state, body = failed, wire.AppendError(nil, vfs.TooLarge.With("the plugin answers too much"))
	}
	s.write.Lock()
	defer s.write.Unlock()
	return writeFrame(s.conn, frame{id: f.id, kind: f.kind, state: state, body: body})
}

// start loads the library.
func (s *server) start(f frame, open Open) ([]byte, error) {
	if len(f.body) < startHead || int64(len(f.body)) < startHead+int64(binary.BigEndian.Uint32(f.body)) {
		return nil, errFrame
	}
	code := f.body[startHead+binary.BigEndian.Uint32(f.body):]
	var set Settings
	if err := json.Unmarshal(f.body[startHead:len(f.body)-len(code)], &set); err != nil {
		return nil, err
	}
	d, guest, err := open(set, code)
	if err != nil {
		return nil, err
	}
	if guest != nil {
		s.files, s.beside = &files{guest: guest, verbs: d.Verbs}, set.Beside
		if err := serveLanes(set.Lanes, s.through, s.end); err != nil {
			return nil, errors.Join(err, guest.Close())
		}
	}
	return json.Marshal(d)
}

var errFrame = errors.New("a frame that says nothing")

// call makes one call. The answer stands in room as far as that goes.
func (s *server) call(k kind, b, room []byte) (state, []byte) {
	out, end, err := s.asked(k, b, room[:0])
	switch {
	case err != nil:
		return failed, wire.AppendError(room[:0], err)
	case end:
		return ended, out
	}
	return fine, out
}

// asked does what a call asks for, and appends the answer to out.
func (s *server) asked(k kind, b, out []byte) (_ []byte, end bool, err error) {
	switch k {
	case askStat:
		i, err := s.files.stat(vfs.Path(b))
		return wire.AppendInfo(out, i), false, err
	case askList:
		if len(b) < listHead || int64(len(b)) < listHead+int64(binary.BigEndian.Uint32(b[4:])) {
			return nil, false, errFrame
		}
		limit, n := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		b = b[listHead:]
		infos, err := s.files.list(vfs.Path(b[:n]), string(b[n:]), int(limit))
		return appendList(out, infos), false, err
	case askRead:
		if len(b) < readHead {
			return nil, false, errFrame
		}
		off, size := binary.BigEndian.Uint64(b), min(int(binary.BigEndian.Uint32(b[8:])), maxRead)
		p := vfs.Path(b[readHead:])
		if out == nil {
			out = make([]byte, size)
		}
		out = out[:min(size, cap(out))]
		n, err := s.files.readAt(p, out, int64(off))
		if errors.Is(err, io.EOF) {
			return out[:n], true, nil
		}
		return out[:n], false, err
	case askDo:
		if len(b) < doHead || int64(len(b)) < doHead+int64(binary.BigEndian.Uint32(b)) {
			return nil, false, errFrame
		}
		data := b[doHead+binary.BigEndian.Uint32(b):]
		op, err := wire.Op(b[doHead : len(b)-len(data)])
		if err != nil {
			return nil, false, err
		}
		op.Data = data
		r, err := s.files.do(op)
		return wire.AppendResult(out, r), false, err
	}
	return nil, false, errFrame
}
