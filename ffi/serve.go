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
			if err := s.answer(f, s.start, open); err != nil {
				return err
			}
		case askPing:
			if err := s.reply(f, nil, nil); err != nil {
				return err
			}
		case askStop:
			s.calls.Wait()
			if s.files != nil {
				err = s.files.guest.Close()
			}
			return errors.Join(err, s.reply(frame{id: f.id, kind: f.kind}, nil, nil))
		default:
			if s.files == nil {
				return errors.New("a call before the start")
			}
			if !s.beside {
				if err := s.answer(f, s.call, nil); err != nil {
					return err
				}
				continue
			}
			s.calls.Go(func() {
				if err := s.answer(f, s.call, nil); err != nil {
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
}

func (s *server) answer(f frame, do func(frame, Open) ([]byte, error), open Open) error {
	body, err := do(f, open)
	return s.reply(f, body, err)
}

// reply answers f.
func (s *server) reply(f frame, body []byte, err error) error {
	if err == nil && len(body) > maxFrame-overhead {
		err = vfs.TooLarge.With("the plugin answers too much")
	}
	if err != nil {
		body = wire.AppendError(nil, err)
	}
	s.write.Lock()
	defer s.write.Unlock()
	return writeFrame(s.conn, frame{id: f.id, kind: f.kind, failed: err != nil, body: body})
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
	}
	return json.Marshal(d)
}

var errFrame = errors.New("a frame that says nothing")

// call makes one call.
func (s *server) call(f frame, _ Open) ([]byte, error) {
	switch b := f.body; f.kind {
	case askStat:
		i, err := s.files.stat(vfs.Path(b))
		return wire.AppendInfo(nil, i), err
	case askList:
		if len(b) < listHead || int64(len(b)) < listHead+int64(binary.BigEndian.Uint32(b[4:])) {
			return nil, errFrame
		}
		limit, n := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		b = b[listHead:]
		infos, err := s.files.list(vfs.Path(b[:n]), string(b[n:]), int(limit))
		return appendList(nil, infos), err
	case askRead:
		if len(b) < readHead {
			return nil, errFrame
		}
		off, n := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
		out, err := s.files.readAt(vfs.Path(b[readHead:]), int64(off), min(int64(n), maxRead))
		end := byte(0)
		if errors.Is(err, io.EOF) {
			end, err = 1, nil
		}
		return append(out, end), err
	case askDo:
		op, err := wire.Op(b)
		if err != nil {
			return nil, err
		}
		r, err := s.files.do(op)
		return wire.AppendResult(nil, r), err
	}
	return nil, errFrame
}
