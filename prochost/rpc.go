package prochost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// What a plugin that speaks MessagePack is held to.
const (
	mostLate   = 8               // calls that nobody waits for any more
	lateTime   = 2 * time.Minute // how long such a call may take
	mostStray  = 1000            // messages that answer nothing
	mostQueued = 256             // of ours that it has not taken
)

// errLate says why a process with calls that do not end is ended.
var errLate = errors.New("the plugin does not answer its calls")

// rpc is the connection with one process. Both sides ask: each has ids of its own.
type rpc struct {
	proc  supervise.Process
	pen   chan struct{} // holds one while a message is written to it
	text  []byte        // that message, and room for the next; of who has the pen
	out   chan []byte   // answers to it, which do not wait for the pen
	done  chan struct{} // closed once nothing is read from it any more
	serve func(method string, d any) (any, error)
	frame time.Duration // from the first byte of a message to its last; for ours, too

	mu    sync.Mutex
	next  uint32
	calls map[uint32]*pending
	lates int
	stray int
	err   error // why it was given up
}

// pending is a call that was sent. Once nobody waits for its answer it is late: its
// id is not used again before that has come.
type pending struct {
	method string
	answer chan answer
	since  time.Time // late since
}

type answer struct {
	d   any
	err string
}

// newRPC takes over the pipes of the process.
func newRPC(proc supervise.Process, frame time.Duration, serve func(string, any) (any, error)) *rpc {
	r := &rpc{proc: proc, frame: frame, serve: serve, pen: make(chan struct{}, 1), out: make(chan []byte, mostQueued), done: make(chan struct{}), calls: map[uint32]*pending{}}
	go r.write()
	go r.read()
	return r
}

// fail gives the process up: nothing that it sends can be trusted any more.
func (r *rpc) fail(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.proc.Kill()
}

// why returns what the process was given up for, or how it has ended.
func (r *rpc) why() error {
	r.mu.Lock()
	err := r.err
	r.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-r.proc.Done():
		return errors.New(r.proc.Report())
	case <-time.After(time.Second):
		return errors.New("the plugin has closed its standard output")
	}
}

// write sends the answers to what the process asks.
func (r *rpc) write() {
	for {
		select {
		case b := <-r.out:
			select {
			case r.pen <- struct{}{}:
				err := r.put(b)
				<-r.pen
				if err != nil {
					return // it has ended, or is about to
				}
			case <-r.done:
				return
			}
		case <-r.done:
			return
		}
	}
}

// put sends one message whole. Who calls it has the pen.
func (r *rpc) put(b []byte) error {
	in, _ := r.proc.Pipes()
	err := in.SetWriteDeadline(time.Now().Add(r.frame))
	if err == nil {
		_, err = in.Write(b)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.fail(errors.New("the plugin does not read what it is sent"))
	}
	return err
}

// send sends a question from the goroutine that asks it: to hand it to another costs
// more than to write it. False: nothing of it was sent.
func (r *rpc) send(ctx context.Context, m []field) bool {
	select {
	case r.pen <- struct{}{}:
	case <-r.done:
		return false
	case <-ctx.Done():
		return false
	}
	defer func() { <-r.pen }()
	r.text = appendValue(r.text[:0], m)
	_ = r.put(r.text) // what has not taken it does not answer: it has ended, or is about to
	return true
}

// frames is what a process sends. A message that has begun has to come to an end in
// time: only what is not here yet is waited for.
type frames struct {
	out    supervise.Pipe
	most   time.Duration // for the rest of a message
	begun  bool          // a message has
	fresh  bool          // and nothing was waited for since
	before bool          // there is a time before which it must be here
}

// next is said between two messages, and begin when one is here in part.
func (f *frames) next()  { f.begun = false }
func (f *frames) begin() { f.begun, f.fresh = true, true }

// Read reads what is there; os.ErrDeadlineExceeded: the message does not come to an
// end.
func (f *frames) Read(b []byte) (int, error) {
	if f.begun != f.before || f.begun && f.fresh {
		var until time.Time
		if f.begun {
			until = time.Now().Add(f.most)
		}
		_ = f.out.SetReadDeadline(until) // a pipe takes deadlines
		f.before, f.fresh = f.begun, false
	}
	return f.out.Read(b)
}

// read takes messages until the end.
func (r *rpc) read() {
	defer close(r.done)
	_, out := r.proc.Pipes()
	f := &frames{out: out, most: r.frame}
	d := &decoder{r: bufio.NewReaderSize(f, 64<<10)}
	for {
		f.next()
		if _, err := d.r.Peek(1); err != nil {
			r.proc.Kill() // who has closed it cannot answer any more
			return
		}
		f.begin()
		v, err := d.message()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = badFrame("it does not come to an end")
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, os.ErrClosed): // how it has ended tells more
			r.proc.Kill()
			return
		}
		if err == nil {
			err = r.take(v)
		}
		if err != nil {
			r.fail(err)
			return
		}
	}
}

// take handles one message.
func (r *rpc) take(v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return badFrame("it is no map")
	}
	id, okID := whole(m["i"])
	kind, okKind := whole(m["t"])
	if okID && okKind && id >= 0 && id <= 1<<32-1 {
		switch kind {
		case 0:
			if method, ok := m["m"].(string); ok {
				return r.asked(uint32(id), method, m["d"])
			}
		case 1:
			text, _ := m["e"].(string)
			if r.answered(uint32(id), answer{m["d"], text}) {
				return nil
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stray++; r.stray > mostStray {
		return errors.New("the plugin sends a flood of messages that answer nothing")
	}
	return nil
}

// asked answers a call of the plugin, at once: it may wait for that.
func (r *rpc) asked(id uint32, method string, d any) error {
	reply := []field{{"t", 1}, {"i", id}}
	switch v, err := r.serve(method, d); {
	case err != nil:
		reply = append(reply, field{"e", err.Error()})
	case v != nil:
		reply = append(reply, field{"d", v})
	}
	select {
	case r.out <- appendValue(nil, reply):
		return nil
	default:
		return errors.New("the plugin asks more than it takes answers")
	}
}

// answered hands an answer to who waits for it; false: nobody has asked.
func (r *rpc) answered(id uint32, a answer) bool {
	r.mu.Lock()
	p, ok := r.calls[id]
	if !ok {
		r.mu.Unlock()
		return false
	}
	delete(r.calls, id)
	late := !p.since.IsZero()
	if late {
		r.lates--
	}
	r.mu.Unlock()
	if !late {
		p.answer <- a
		return true
	}
	if m, ok := a.d.(map[string]any); ok && a.err == "" && (p.method == methodOpen || p.method == methodCreate) {
		if file, ok := whole(m["ID"]); ok { // nobody else knows of it
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), r.frame)
				defer cancel()
				_, _ = r.call(ctx, methodClose, []field{{"ID", file}}) // a file left open harms the plugin alone
			}()
		}
	}
	return true
}

// call asks the plugin. Crashed: it has ended before it answered, what it was asked
// may be done or not; Timeout: so did ctx.
func (r *rpc) call(ctx context.Context, method string, d []field) (any, error) {
	p := &pending{method: method, answer: make(chan answer, 1)}
	r.mu.Lock()
	for r.next++; r.calls[r.next] != nil; {
		r.next++
	}
	id := r.next
	r.calls[id] = p
	r.mu.Unlock()
	m := []field{{"t", 0}, {"i", id}, {"m", method}}
	if d != nil {
		m = append(m, field{"d", d})
	}
	if !r.send(ctx, m) {
		r.drop(id)
		if ctx.Err() == nil {
			return nil, vfs.Unavailable.With("the plugin has ended")
		}
		return nil, vfs.Throttled.With("the plugin is busy")
	}
	var a answer
	select {
	case a = <-p.answer:
	case <-r.done:
		return nil, vfs.Crashed.With(r.why().Error())
	case <-ctx.Done():
		if r.leave(id) {
			return nil, vfs.Timeout.Withf("the plugin did not answer %s in time", method)
		}
		a = <-p.answer // it came in the same moment
	}
	if a.err != "" {
		return nil, said(method, a.err)
	}
	return a.d, nil
}

// drop forgets a call that was not sent.
func (r *rpc) drop(id uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, id)
}

// leave makes a call a late one; false: it is answered.
func (r *rpc) leave(id uint32) bool {
	r.mu.Lock()
	p := r.calls[id]
	if p != nil {
		p.since = time.Now()
		r.lates++
	}
	many := r.lates > mostLate
	r.mu.Unlock()
	if many || r.stuck() {
		r.fail(errLate)
	}
	return p != nil
}

// stuck reports whether a call is late for too long.
func (r *rpc) stuck() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.calls { // any of them
		if !p.since.IsZero() && time.Since(p.since) > lateTime {
			return true
		}
	}
	return false
}

// errMethod is a method that the plugin does not have: not the same as one that
// fails.
var errMethod = vfs.Unsupported.With("the plugin does not have it")

// words are the ends of error texts of plugins, and what they mean.
var words = []struct {
	end  string
	kind vfs.Kind
}{
	{"not found", vfs.NotFound}, {"file does not exist", vfs.NotFound}, {"no such file or directory", vfs.NotFound},
	{"not a file", vfs.NotFound}, // also of what is not there
	{"file already exists", vfs.Exists}, {"file exists", vfs.Exists}, {"already exists", vfs.Exists},
	{"permission denied", vfs.Permission}, {"read-only file system", vfs.Permission}, {"read only", vfs.Permission}, {"read-only", vfs.Permission},
	{"not a directory", vfs.NotDirectory}, {"is a directory", vfs.IsDirectory}, {"not empty", vfs.NotEmpty},
	{"not supported", vfs.Unsupported}, {"not implemented", vfs.Unsupported},
	{"no space left on device", vfs.NoSpace}, {"too large", vfs.TooLarge},
}

// said is the error that a plugin means with a text; io.EOF at the end of a file.
func said(method, text string) error {
	if strings.HasSuffix(text, fmt.Sprintf("method %q not found", method)) || strings.HasSuffix(text, "method not found: "+method) {
		return errMethod
	}
	if text == "EOF" || strings.HasSuffix(text, ": EOF") {
		return io.EOF
	}
	text = clip(text, maxErrorText)
	lower := strings.ToLower(text)
	for _, w := range words {
		if strings.HasSuffix(lower, w.end) {
			if w.kind.Error() == lower {
				return w.kind
			}
			return w.kind.With(text)
		}
	}
	return vfs.Internal.With(text)
}

// clip cuts a text for people.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

const maxErrorText = 500
