package ffi

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// child is a process with a library.
type child struct {
	*supervise.Child
	conn  net.Conn
	read  *bufio.Reader
	log   *slog.Logger
	free  chan int      // the lanes, as many as calls may be in the library at once
	lanes *lanes        // nil: there are none, and all calls take the socket
	gone  chan struct{} // closed once nothing answers any more, and why is set
	why   error         // nil: it was asked to end
	close sync.Once

	write sync.Mutex // holds the next to write a frame

	mu     sync.Mutex
	last   uint64 // id
	calls  map[uint64]*pending
	ending bool  // it is asked to end
	fault  error // it did not answer in time, or what is no answer
}

var _ supervise.Instance = (*child)(nil)

// pending is a call under way.
type pending struct {
	kind   kind
	most   int64 // bytes of the answer
	answer chan frame
}

// What the process takes beside the plugin's memory, in bytes: the runtime, and
// the stack of each thread that may be in a call.
const (
	ownMemory = 256 << 20
	ownStack  = 8 << 20
	ownFiles  = 1024

	ownThreads = 32 // and processes: those of the runtime, and what a library starts
)

// spawn starts a process that loads a library with the grants, limits and ABI of
// lib. It is gone before spawn returns an error.
func (h *Host) spawn(ctx context.Context, code []byte, set Settings, lib vfs.Library, log *slog.Logger) (*child, Description, error) {
	var d Description
	l := lib.Limits
	set.Beside, set.ABI = l.Instances > 1, lib.ABI
	program, err := os.ReadFile(h.program)
	if err != nil {
		return nil, d, vfs.Unavailable.Withf("native plugins need %s beside pfs-server, or where external_plugins.plugin_host says: %v", Program, err)
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, d, err
	}
	lanes := h.lanesFor(l.Instances)
	if set.Lanes = l.Instances; lanes == nil {
		set.Lanes = 0
	}
	p, err := supervise.Start(supervise.Command{
		Name: Program, Args: []string{lib.Name}, // the argument is for those who look at processes
		Code: program, Env: []string{"GOTRACEBACK=none"}, Files: append([]*os.File{theirs}, lanes.files()...), Log: log,
		Network: lib.Grants.Network, Processes: lib.Grants.Processes,
		Limits: supervise.Limits{
			Memory: l.Memory + ownMemory + int64(l.Instances)*ownStack, Files: ownFiles, Processes: ownThreads + 2*l.Instances,
		},
	})
	theirs.Close()
	lanes.given()
	if err != nil {
		lanes.close()
		ours.Close()
		return nil, d, vfs.Unavailable.Withf("%s does not start: %v", Program, err)
	}
	p.In.Close()
	h.lacks.Tell(h.log, p)
	c := &child{
		Child: p, conn: ours, read: bufio.NewReaderSize(ours, 64<<10), log: log, gone: make(chan struct{}),
		free: make(chan int, l.Instances), lanes: lanes, calls: map[uint64]*pending{},
	}
	for n := range l.Instances {
		c.free <- n
	}
	go c.receive()
	go func() { // what it has left behind may hold the connection
		<-p.Done()
		_ = ours.SetReadDeadline(time.Now().Add(endTime)) // of a closed one nothing is read
	}()
	if d, err = c.load(ctx, code, set, h.start); err != nil {
		c.Close()
		if errors.Is(err, errEnded) {
			err = vfs.Crashed.Withf("%s does not run", Program)
		}
	}
	return c, d, err
}

// load has the process load the library.
func (c *child) load(ctx context.Context, code []byte, set Settings, within time.Duration) (d Description, err error) {
	sum := sha256.Sum256(code)
	set.Sum = hex.EncodeToString(sum[:])
	text, err := json.Marshal(set)
	if err != nil {
		return d, err
	}
	body := append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
	a, err := c.call(ctx, request{kind: askStart, body: body, data: code, most: maxInfo, within: within})
	if err != nil {
		return d, err
	}
	if json.Unmarshal(a.body, &d) != nil {
		err = errAnswer
	}
	return d, err
}

// receive hands answers to the calls that wait for them, until there are no more;
// then the process ends.
func (c *child) receive() {
	var err error
	for err == nil {
		var f frame
		var p *pending
		if f, p, err = c.next(); err == nil {
			p.answer <- f
		}
	}
	c.Kill()
	<-c.Child.Done()
	c.mu.Lock()
	if c.why = c.fault; c.why == nil && !c.ending {
		c.why = vfs.Crashed.Withf("the plugin crashed: %s", clip(strings.TrimPrefix(c.Report(), "the plugin ended: "), maxReport))
	}
	c.mu.Unlock()
	c.conn.Close()
	close(c.gone)
	for range cap(c.free) { // a call that still looks at its answer has its lane
		<-c.free
	}
	c.lanes.close()
}

// endTime is how long the last answers of a process that has ended are read.
const endTime = time.Second

// maxReport is how much of what it said at its end a client is shown, in bytes.
const maxReport = 400

// next reads the answer of a call under way: all else is wrong.
func (c *child) next() (frame, *pending, error) {
	var p *pending
	f, err := readFrame(c.read, func(id uint64) int64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p = c.calls[id]; p == nil {
			return -1
		}
		delete(c.calls, id)
		return max(p.most, maxInfo) // or an error
	})
	if err == nil && (p.kind != f.kind || f.state >= elsewhere) {
		err = errAnswer
	}
	return f, p, err
}

// reason says why it has ended; it is called once it has.
func (c *child) reason() error {
	if c.why == nil {
		return vfs.Unavailable.With("the plugin is stopped")
	}
	return c.why
}

var errLate = vfs.Timeout.With("the plugin did not answer in time and was stopped")

// failed ends a process that does not answer, or not as it should, without waiting
// for its end: it may be in the hands of the system. It returns why, the first time
// that there was a reason.
func (c *child) failed(why error) error {
	c.mu.Lock()
	if c.fault == nil {
		c.fault = why
	}
	why = c.fault
	c.mu.Unlock()
	c.Kill()
	return why
}

// Done is closed once the process has ended.
func (c *child) Done() <-chan struct{} { return c.gone }

// Err says why it has ended.
func (c *child) Err() error { return c.why }

// Probe asks whether it answers. What the library does has no part in it.
func (c *child) Probe(ctx context.Context) error {
	said := make(chan error, 1)
	go func() { said <- c.exchange(request{kind: askPing, within: startTime}) }() // and ends then
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close lets the library shut down, and ends the process.
func (c *child) Close() {
	c.close.Do(func() {
		c.mu.Lock()
		c.ending = true
		c.mu.Unlock()
		if !c.ends() {
			if err := c.exchange(request{kind: askStop, most: maxInfo, within: stopTime}); err != nil {
				c.log.Warn("plugin does not shut down", "error", err)
			}
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		c.End(over)
		select {
		case <-c.gone:
		case <-time.After(stopTime):
		}
	})
}
