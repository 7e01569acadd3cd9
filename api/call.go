package api

import (
	"errors"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/trace"
	"github.com/pfs-project/pfs/vfs"
)

// call is one request on its way through a handler, and its answer. It is the
// only place that touches fasthttp; what its methods return are copies.
type call struct {
	s      *Server
	fc     *fasthttp.RequestCtx
	conn   *conn // nil in tests without a connection
	route  *route
	id     string // of the request
	trace  *trace.Trace
	query  query
	params [4]param // what query is kept in, unless it is long
	in     *body
	kept   []byte        // the body, where it was read whole
	says   bool          // its header may have a field that the answer depends on
	plain  bool          // the Ops of this request take neither its key nor its conditions
	holds  int64         // bytes of the budget for memory
	waited time.Duration // for a file to have something
	fresh  bool          // this node was behind the one that has passed the request on
	via    []string      // the clusters that the request has come through
	lived  *life         // once it is kept, since the request is read meanwhile
	idem   string        // the idempotency key, once it was looked at
	looked bool          // for it
	own    string        // a key of the handle's, in place of the client's
	// refused is why this node would refuse a request with a key, which the
	// log may have decided before.
	refused error
	oldest  *int64 // first offset of the stream that was asked for one that it has not
	// What the metrics say of it, as far as it came: the table it was routed
	// by, the path it asked for, the code of its error.
	table *vfs.Table
	asked vfs.Path
	code  string
}

func (s *Server) newCall(fc *fasthttp.RequestCtx, r *route) *call {
	c := &call{s: s, fc: fc, route: r}
	c.conn, _ = fc.Conn().(*conn)
	c.says = c.conn == nil || c.conn.says
	c.id = requestID(fc.Request.Header.Peek("X-Request-Id"))
	c.trace = trace.New(c.id)
	c.head("X-Request-Id", []byte(c.id))
	return c
}

// requestID returns the client's own id if it is sane, or a new one.
func requestID(given []byte) string {
	if len(given) <= trace.MaxID && trace.Valid(string(given)) {
		return string(given)
	}
	return trace.NewID()
}

// handle is the way of every request.
func (s *Server) handle(fc *fasthttp.RequestCtx) {
	cn, _ := fc.Conn().(*conn)
	if cn != nil {
		cn.body()
	}
	f, r := check(&fc.Request.Header)
	switch {
	case r != nil:
		s.newCall(fc, nil).refuse(*r)
	case s.tooLong(f, &fc.Request.Header):
		limit := s.bodyLimit(methodOf(fc.Method()), pathOf(fc.Request.Header.RequestURI()))
		s.newCall(fc, nil).refuse(refusal{413, tooLarge(limit).Error()})
	default:
		if cn != nil {
			cn.says = f.says
		}
		s.router.Handler(fc)
		if f.length != 0 {
			leftover(fc, cn)
		}
	}
	if s.down.Load() {
		fc.SetConnectionClose()
	}
	if cn != nil && fc.Response.ConnectionClose() && (r != nil || f.length != 0) {
		cn.unread = true
	}
}

// leftover reads the little that is left of a body, so that the connection can
// be used again; where it is not little, the connection is closed.
func leftover(fc *fasthttp.RequestCtx, cn *conn) {
	const little = 64 << 10
	in := fc.RequestBodyStream()
	if in == nil || fc.Response.ConnectionClose() {
		return
	}
	if cn != nil {
		cn.hurry()
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(in, little)); err != nil || n == little {
		fc.SetConnectionClose()
	}
}

// run calls the handler of a route and answers its error.
func (s *Server) run(fc *fasthttp.RequestCtx, r *route) {
	start := time.Now()
	c := s.newCall(fc, r)
	s.metrics.inFlight.Add(1)
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
		}
		c.release()
		s.metrics.inFlight.Add(-1)
		took := time.Since(start) - c.waited
		s.metrics.observe(c, took)
		c.tell(took)
	}()
	q, err := parseQuery(c.params[:0], string(fc.URI().QueryString()))
	if err == nil {
		c.query = q
		if err = c.comesFrom(); err == nil && !c.reads() {
			err = c.fromOurs()
		}
		if err == nil {
			err = c.serve()
		}
	}
	if err != nil {
		c.fail(err)
	}
}

// panicked turns a panic into an answer; a fault of the store ends the node.
func (c *call) panicked(p any) {
	if f, ok := p.(vfs.StoreFault); ok {
		c.s.fault(f)
	}
	c.s.log.Error("handler panicked", "request_id", c.id, "panic", p, "stack", string(debug.Stack()))
	c.fc.Response.ResetBody()
	c.fail(vfs.Internal)
	c.fc.SetConnectionClose()
}

func (s *Server) fault(f vfs.StoreFault) {
	if s.cfg.Fatal == nil {
		panic(f)
	}
	s.cfg.Fatal(f)
}

// within returns a context for one step in the cluster. It ends when the
// server loses its patience at a shutdown.
func (c *call) within() *lapse.Context { return lapse.After(c.context(), c.s.limits.Op) }

func (c *call) method() string { return methodOf(c.fc.Method()) }

// header returns a header of the request, "" if it is not there.
func (c *call) header(name string) string { return string(c.fc.Request.Header.Peek(name)) }

// value returns what the route's pattern matched under name.
func (c *call) value(name string) string {
	v, _ := c.fc.UserValue(name).(string)
	return strings.Clone(v)
}

// setNumber sets a header of the answer to a number; its name is as fasthttp writes it.
func (c *call) setNumber(name string, n uint64) {
	var b [20]byte
	c.head(name, strconv.AppendUint(b[:0], n, 10))
}

// head sets a header of the answer whose name is as fasthttp writes it: it is not
// looked at again.
func (c *call) head(name string, value []byte) {
	c.fc.Response.Header.SetCanonical([]byte(name), value)
}

// set sets a header of the answer.
func (c *call) set(name, value string) { c.fc.Response.Header.Set(name, value) }

// gone reports whether the client is known to have left.
func (c *call) gone() bool { return c.conn != nil && c.conn.gone() }

// body is the body of a request, read once. It knows where it ends: a body cut
// short is an error, never a short body.
type body struct {
	r     io.Reader
	want  int64 // bytes; -1 when not told
	limit int64 // bytes; 0: none
	got   int64
	err   error         // what ended it, but for EOF
	took  time.Duration // waiting for the client
}

// errBody is the answer to a body whose framing is broken or that ends early.
var errBody error = &vfs.Error{Kind: vfs.Invalid, Reason: "malformed or incomplete request body"}

// errBodySlow is the answer to a body that does not move.
var errBodySlow = errors.New("request body timed out")

func tooLarge(n int64) error {
	return vfs.TooLarge.Withf("request body exceeds maximum size of %d bytes", n)
}

// body returns the body of the request under the limit of its route.
func (c *call) body() *body {
	if c.in == nil {
		c.in = &body{want: 0, limit: c.s.bodyLimit(c.method(), c.fc.Request.URI().PathOriginal())}
		if r := c.fc.RequestBodyStream(); r != nil {
			c.in.r, c.in.want = r, int64(c.fc.Request.Header.ContentLength())
		}
	}
	return c.in
}

// Read reads the body; an error ends it for good.
func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.r == nil || len(p) == 0:
		if b.r == nil {
			return 0, io.EOF
		}
		return 0, nil
	}
	if b.limit > 0 {
		p = p[:min(int64(len(p)), b.limit+1-b.got)]
	}
	start := time.Now()
	n, err := b.r.Read(p)
	b.took += time.Since(start)
	b.got += int64(n)
	switch {
	case b.limit > 0 && b.got > b.limit:
		b.err = tooLarge(b.limit)
		return 0, b.err
	case err == nil && b.got == b.want: // who knows that need not ask again
		return n, io.EOF
	case err == nil:
		return n, nil
	case err == io.EOF && (b.want < 0 || b.got == b.want):
		return n, io.EOF
	case isTimeout(err):
		b.err = errBodySlow
	default:
		b.err = errBody
	}
	return n, b.err
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// all reads the whole body into memory, once; its route limits it.
func (c *call) all() ([]byte, error) {
	if c.kept != nil {
		return c.kept, nil
	}
	in := c.body()
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := in.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if herr := c.hold(n); herr != nil {
			return nil, herr
		}
		if err == io.EOF {
			c.kept = buf
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
