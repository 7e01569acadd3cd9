package api

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

const (
	pieceMost   = 1 << 20           // bytes of a stream that one Event appends
	pieceInline = 4 * vfs.MaxInline // up to so many are in the log themselves
)

// appending is a body on its way into a stream: while one piece of it is being
// committed the next is gathered, so that a slow body is appended byte by byte
// as it comes, and a fast one in long pieces. It holds two of them.
type appending struct {
	s    *Server
	op   vfs.Op // of the next piece
	send func(ctx context.Context, piece []byte) error

	mu     sync.Mutex
	news   sync.Cond
	next   []byte // gathered
	ended  bool   // no more comes
	err    error  // why no more is taken
	out    change // of the last piece
	stored int64  // bytes
	pieces int
}

// appendBody appends a body of any length to a stream, piece by piece as it
// arrives. A piece that was appended stays, whatever becomes of the rest.
func (c *call) appendBody(op vfs.Op, mount uint64, in *body) (change, int64, error) {
	if err := c.unplaced(op); err != nil {
		return change{}, 0, err
	}
	if err := c.hold(2 * pieceMost); err != nil {
		return change{}, 0, err
	}
	op.Off, op.Mount = vfs.AtEnd, mount
	a := &appending{s: c.s, op: op}
	a.send = a.commit
	return a.pour(c, in)
}

// unplaced refuses a write to a stream that says where.
func (c *call) unplaced(op vfs.Op) error {
	if _, placed := c.query.get("offset"); placed {
		return named(vfs.Invalid.With("a stream is only written at its end: leave out offset"), "write", op.Path)
	}
	return nil
}

// appendWhole is appendBody for a Device that takes the body as it comes.
func (c *call) appendWhole(m vfs.Mounted, op, rel vfs.Op, in *body) (change, int64, error) {
	if err := c.unplaced(op); err != nil {
		return change{}, 0, err
	}
	if err := c.hold(2 * vfs.MaxInline); err != nil {
		return change{}, 0, err
	}
	if c.conn != nil {
		c.conn.patient = true
	}
	rel.Off = vfs.AtEnd
	return c.putWhole(m, op, rel, in)
}

// appendOutside is appendBody for a Device.
func (c *call) appendOutside(m vfs.Mounted, op, rel vfs.Op, in *body) (change, int64, error) {
	if err := c.hold(2 * pieceMost); err != nil {
		return change{}, 0, err
	}
	l := c.life()
	c.lived = &l
	a := &appending{s: c.s, op: rel}
	a.send = func(ctx context.Context, piece []byte) (err error) {
		for first := true; err == nil && (first || len(piece) > 0); first = false {
			n := min(len(piece), vfs.MaxInline)
			a.op.Data = bytes.Clone(piece[:n])
			piece = piece[n:]
			err = c.appendPart(ctx, m, op, a)
		}
		return err
	}
	return a.pour(c, in)
}

// appendPart is one call of the Device.
func (c *call) appendPart(ctx context.Context, m vfs.Mounted, op vfs.Op, a *appending) error {
	ctx, cancel := context.WithTimeout(ctx, c.s.limits.Op)
	defer cancel()
	r, err := c.s.cfg.Node.Do(ctx, m, a.op)
	a.out, err = c.outside(m, op, a.op, r, err)
	a.op.Flag, a.op.If = a.op.Flag&^(vfs.FlagExclusive|vfs.FlagTruncate), vfs.Cond{}
	return err
}

// pour appends a body; it waits for all that it starts.
func (a *appending) pour(c *call, in *body) (change, int64, error) {
	if c.conn != nil {
		c.conn.patient = true
	}
	a.news.L = &a.mu
	ctx, cancel := context.WithCancel(c.context())
	defer cancel()
	done := make(chan struct{})
	go func() { // waited for below
		defer close(done)
		a.run(ctx)
	}()
	err := a.gather(in)
	<-done
	if err == nil {
		err = a.err
	}
	return a.out, a.stored, err
}

// gather reads the body until its end, or until no more of it is taken.
func (a *appending) gather(in io.Reader) error {
	defer a.end()
	buf := make([]byte, vfs.MaxInline)
	for {
		n, err := in.Read(buf)
		if !a.add(buf[:n]) || err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add takes bytes; it waits while a whole piece is gathered.
func (a *appending) add(b []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.next)+len(b) > pieceMost && a.err == nil {
		a.news.Wait()
	}
	if a.err != nil {
		return false
	}
	if a.next = append(a.next, b...); len(b) > 0 {
		a.news.Broadcast()
	}
	return true
}

func (a *appending) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.news.Broadcast()
}

// run commits what is gathered, piece by piece. A body without a byte is one
// piece: it may make the stream.
func (a *appending) run(ctx context.Context) {
	for spare := []byte(nil); ; {
		piece, ok := a.take(spare)
		if !ok {
			return
		}
		err := a.put(ctx, piece)
		a.mu.Lock()
		a.err = err
		a.news.Broadcast()
		a.mu.Unlock()
		if err != nil {
			return
		}
		a.stored += int64(len(piece))
		a.pieces++
		spare = piece[:0]
	}
}

// take waits for a piece, and gives the room of the last one for the next.
func (a *appending) take(spare []byte) (piece []byte, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.next) == 0 && !a.ended {
		a.news.Wait()
	}
	piece, a.next = a.next, spare
	a.news.Broadcast()
	return piece, len(piece) > 0 || a.pieces == 0
}

func (a *appending) put(ctx context.Context, piece []byte) (err error) {
	defer a.s.caught(&err)
	return a.send(ctx, piece)
}

// commit appends one piece by one Event. From the second on it goes to the file
// and not to its name: a stream of that name that came later is another one.
func (a *appending) commit(ctx context.Context, piece []byte) error {
	ctx, cancel := context.WithTimeout(ctx, a.s.limits.Op)
	defer cancel()
	ops, err := a.ops(ctx, piece)
	if err != nil {
		return err
	}
	out, err := a.s.cfg.Node.Propose(ctx, vfs.Request{Ops: ops})
	if err == nil && vfs.KindOf(out.Err) == vfs.Moved {
		err = vfs.Unavailable.With("mount is moving, try again")
	}
	if err == nil {
		err = out.Err
	}
	if err != nil {
		return err
	}
	a.out = change{out: out}
	a.op.File, a.op.Flag, a.op.If = out.Results[len(out.Results)-1].File, 0, vfs.Cond{}
	return nil
}

func (a *appending) ops(ctx context.Context, piece []byte) ([]vfs.Op, error) {
	op := a.op
	if len(piece) > pieceInline {
		kept, err := a.s.cfg.Node.Keep(ctx, bytes.NewReader(piece), 0)
		if err != nil {
			return nil, err
		}
		op.Refs = kept.Refs
		return []vfs.Op{op}, nil
	}
	var ops []vfs.Op
	for rest := bytes.Clone(piece); len(rest) > 0 || len(ops) == 0; {
		n := min(len(rest), vfs.MaxInline)
		op.Data, rest = rest[:n:n], rest[n:]
		ops = append(ops, op)
		op.If = vfs.Cond{}
		op.Flag &^= vfs.FlagExclusive
	}
	return ops, nil
}
