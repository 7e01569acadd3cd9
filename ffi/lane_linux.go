package ffi

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// lanes are all lanes to one process, as the node has them.
type lanes struct {
	shared []byte
	file   int // shared's
	ends   []laneEnds
	large  chan struct{} // one in it while a call has the area behind the windows
	idle   *time.Timer   // after which that area's memory is given back
	quick  *atomic.Int32 // calls of all processes that keep a thread waiting
	theirs []*os.File    // for the process; closed once it has them
}

// laneEnds are the node's ends of a lane's pipes. They are not the process's, so
// that what that does to its own is nothing to them.
type laneEnds struct{ ask, answer int }

// How long a thread waits for an answer, and how many do at most: it is quicker
// than to be woken by the runtime, and longer calls do not notice.
const (
	quickWait = time.Millisecond
	mostQuick = 64
)

// largeIdle is how long the area behind the windows keeps its memory after a call.
const largeIdle = 5 * time.Second

// newLanes makes n lanes.
func newLanes(n int, quick *atomic.Int32) (*lanes, error) {
	l := &lanes{file: -1, large: make(chan struct{}, 1), quick: quick}
	l.idle = time.AfterFunc(time.Hour, l.giveBack)
	l.idle.Stop()
	if err := l.open(n); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// open makes what n lanes are made of; close frees what there is of it.
func (l *lanes) open(n int) (err error) {
	if l.file, err = sharedMemory(sharedSize(n)); err != nil {
		return err
	}
	if l.shared, err = unix.Mmap(l.file, 0, sharedSize(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	dup, err := unix.FcntlInt(uintptr(l.file), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	l.theirs = append(l.theirs, os.NewFile(uintptr(dup), "shared"))
	for range n {
		var ask, answer [2]int
		if err := unix.Pipe2(ask[:], unix.O_CLOEXEC); err != nil {
			return os.NewSyscallError("pipe2", err)
		}
		l.theirs = append(l.theirs, os.NewFile(uintptr(ask[0]), "asks"))
		l.ends = append(l.ends, laneEnds{ask[1], -1})
		if err := unix.Pipe2(answer[:], unix.O_CLOEXEC); err != nil {
			return os.NewSyscallError("pipe2", err)
		}
		l.theirs = append(l.theirs, os.NewFile(uintptr(answer[1]), "answers"))
		l.ends[len(l.ends)-1].answer = answer[0]
		if err := errors.Join(unix.SetNonblock(ask[1], true), unix.SetNonblock(answer[0], true)); err != nil {
			return err
		}
	}
	return nil
}

// sharedMemory makes a file in memory whose length nobody can change: who reads
// behind the end of a file is killed.
func sharedMemory(size int) (int, error) {
	fd, err := unix.MemfdCreate("calls", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("calls", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err = unix.Ftruncate(fd, int64(size)); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	}
	if err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("memfd", err)
	}
	return fd, nil
}

// files are what the process is given.
func (l *lanes) files() []*os.File {
	if l == nil {
		return nil
	}
	return l.theirs
}

// given closes what the process has now.
func (l *lanes) given() {
	if l == nil {
		return
	}
	for _, f := range l.theirs {
		f.Close()
	}
	l.theirs = nil
}

// close ends the lanes. Nobody uses one any more.
func (l *lanes) close() {
	if l == nil {
		return
	}
	l.given()
	l.idle.Stop()
	l.large <- struct{}{} // for good: nothing is given back any more
	for _, e := range l.ends {
		unix.Close(e.ask)
		if e.answer >= 0 {
			unix.Close(e.answer)
		}
	}
	if l.shared != nil {
		_ = unix.Munmap(l.shared) // it was mapped
	}
	if l.file >= 0 {
		unix.Close(l.file)
	}
}

// put lays a request into the window of lane i. over gives the room back; it is
// not ok if there is none.
func (l *lanes) put(i int, r request) (over func(), ok bool) {
	window := windowOf(l.shared, i)
	at, size := i*laneSize+laneHead, r.size()
	over = func() {}
	if size > maxFrame {
		return nil, false
	}
	if size > laneBody {
		select {
		case l.large <- struct{}{}:
		default:
			return nil, false
		}
		at = len(l.shared) - maxFrame
		over = func() {
			l.idle.Reset(largeIdle)
			<-l.large
		}
	}
	copy(l.shared[at+copy(l.shared[at:], r.body):], r.data)
	binary.LittleEndian.PutUint32(window, uint32(r.kind))
	binary.LittleEndian.PutUint32(window[4:], uint32(size))
	binary.LittleEndian.PutUint64(window[8:], uint64(at))
	binary.LittleEndian.PutUint32(window[atAnswer:], unsaid)
	return over, true
}

// giveBack frees the memory of the area behind the windows: new memory costs more
// than a call.
func (l *lanes) giveBack() {
	select {
	case l.large <- struct{}{}:
		at := int64(len(l.shared) - maxFrame)
		// What is not given back is used again.
		_ = unix.Fallocate(l.file, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, maxFrame)
		<-l.large
	default: // in use, or closed
	}
}

// ring tells the process that a request is there.
func (l *lanes) ring(i int) error {
	for {
		if _, err := unix.Write(l.ends[i].ask, []byte{1}); err != unix.EINTR {
			return err
		}
	}
}

// soon waits for the bell of an answer for a moment.
func (l *lanes) soon(i int) (rung bool, err error) {
	defer l.quick.Add(-1)
	if l.quick.Add(1) > mostQuick {
		return false, nil
	}
	return l.poll(i, quickWait)
}

// poll waits for the bell with a thread, and takes it.
func (l *lanes) poll(i int, within time.Duration) (rung bool, err error) {
	fds := []unix.PollFd{{Fd: int32(l.ends[i].answer), Events: unix.POLLIN}}
	for range 4 { // signals end it
		wait := unix.NsecToTimespec(int64(within))
		n, err := unix.Ppoll(fds, &wait, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false, err
		case n == 0:
			return false, nil
		default:
			return true, l.rung(i)
		}
	}
	return false, nil
}

// rung takes the bell of an answer: one byte.
func (l *lanes) rung(i int) error {
	var b [2]byte
	for {
		n, err := unix.Read(l.ends[i].answer, b[:])
		switch {
		case err == unix.EINTR:
		case err == nil && n != 1:
			return errAnswer // the end, or more than was asked for
		default:
			return err
		}
	}
}

// later waits for the bell until ctx is over, without a thread.
func (l *lanes) later(ctx context.Context, i int) error {
	fd, err := unix.FcntlInt(uintptr(l.ends[i].answer), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil { // the node has too many open: the plugin has no part in that
		return l.again(ctx, i)
	}
	f := os.NewFile(uintptr(fd), "answers") // which the runtime polls as long as this
	defer f.Close()
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })() // it is open, or read
	var b [2]byte
	n, err := f.Read(b[:])
	if err == nil && n != 1 {
		err = errAnswer
	}
	return err
}

// again looks for the bell now and then until ctx is over.
func (l *lanes) again(ctx context.Context, i int) error {
	tick := time.NewTicker(5 * quickWait)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if rung, err := l.poll(i, 0); rung || err != nil {
			return err
		}
	}
}
