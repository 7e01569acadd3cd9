package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// change is what a mutation did.
type change struct {
	out      vfs.Outcome
	external bool // it ran outside the log
	idle     bool // nothing was changed after all
}

// result returns what the Op that matters answered: the last one.
func (a change) result() vfs.Result {
	if n := len(a.out.Results); n > 0 {
		return a.out.Results[n-1]
	}
	return vfs.Result{}
}

// key returns the idempotency key of the request, "" if it has none.
func (c *call) key() (string, error) {
	if c.own != "" {
		return c.own, nil
	}
	if c.plain || !c.says {
		return "", nil
	}
	if c.looked { // trailers of the body may have added headers since
		return c.idem, nil
	}
	c.looked = true
	all := c.fc.Request.Header.PeekAll("Idempotency-Key")
	if len(all) == 0 {
		return "", nil
	}
	k := string(all[0])
	ok := len(all) == 1 && len(k) >= 1 && len(k) <= 128
	for i := range len(k) {
		ok = ok && k[i] >= 0x20 && k[i] < 0x7f
	}
	if !ok {
		return "", vfs.Invalid.With("Idempotency-Key must be 1 to 128 printable ASCII characters, given once")
	}
	c.idem = k
	return k, nil
}

// sum returns what the idempotency key belongs to: the method, the route, the
// parameters in any order, the conditions and the body.
func (c *call) sum(body [32]byte) [32]byte {
	if c.own != "" {
		return [32]byte{} // whatever part is asked for
	}
	q := slices.Clone(c.query)
	slices.SortFunc(q, func(a, b param) int { return strings.Compare(a.key, b.key) })
	h := sha256.New()
	for _, s := range append([]string{c.method(), string(c.fc.Path()),
		c.header("If-Match"), c.header("If-None-Match")}, append(q.flat(), c.asks()...)...) {
		h.Write(strconv.AppendInt(nil, int64(len(s)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(s))
	}
	h.Write(body[:])
	return [32]byte(h.Sum(nil))
}

func (q query) flat() []string {
	out := make([]string, 0, 2*len(q))
	for _, p := range q {
		out = append(out, p.key, p.value)
	}
	return out
}

// cond returns what a conditional write or delete asks for.
func (c *call) cond() (vfs.Cond, error) {
	if !c.says {
		return vfs.Cond{}, nil
	}
	match, none := c.header("If-Match"), c.header("If-None-Match")
	switch {
	case match == "" && none == "" || c.plain:
		return vfs.Cond{}, nil
	case match != "" && none != "":
		return vfs.Cond{}, vfs.Invalid.With("If-Match and If-None-Match exclude each other")
	case none == "*":
		return vfs.Cond{Kind: vfs.IfAbsent}, nil
	case none != "":
		return vfs.Cond{}, vfs.Invalid.With("If-None-Match of a change must be *")
	case match == "*":
		return vfs.Cond{Kind: vfs.IfExists}, nil
	}
	v, ok := tag(match)
	if !ok { // not one of ours, so it cannot match
		return vfs.Cond{Kind: vfs.IfVersion}, nil
	}
	return vfs.Cond{Kind: vfs.IfVersion, Version: v}, nil
}

// target says where op is to run. A refusal is only given by a state that sees
// every acknowledged write, since this node may be behind its client.
func (c *call) target(ctx context.Context, op vfs.Op) (m vfs.Mounted, rel vfs.Op, err error) {
	for _, l := range []vfs.Level{{}, {Linearizable: true}} {
		img, ierr := c.s.cfg.Node.Image(ctx, l)
		if ierr != nil {
			return m, rel, ierr
		}
		c.table, c.asked = img.Table, op.Path
		m, rel, err = img.Table.Target(ctx, img.View, op)
		img.Release()
		if err == nil {
			return m, rel, nil
		}
	}
	if vfs.StartingOf(err) != "" {
		return m, rel, err // it is waited for
	}
	if key, kerr := c.key(); kerr != nil || key == "" {
		return m, rel, err
	}
	// An earlier try under the key may have been decided when this was still
	// possible: the log is asked.
	c.refused = err
	return vfs.Mounted{Place: vfs.Replicated}, op, nil
}

// commit runs one Op: through the log, or on its Device. body is the hash of
// the request's body.
func (c *call) commit(op vfs.Op, body [32]byte) (change, error) {
	ctx := c.within()
	defer ctx.End()
	return c.commitIn(ctx, op, body)
}

func (c *call) commitIn(ctx context.Context, op vfs.Op, body [32]byte) (change, error) {
	var err error
	if op.If, err = c.cond(); err != nil {
		return change{}, err
	}
	m, rel, err := c.target(ctx, op)
	if err != nil {
		return change{}, err
	}
	if m.Place != vfs.Replicated {
		return c.device(ctx, m, op, rel)
	}
	return c.propose(ctx, m, rel, body, op)
}

// propose commits Ops, the last of which is the one that the client asked for;
// m and rel are where that one leads, as target told.
func (c *call) propose(ctx context.Context, m vfs.Mounted, rel vfs.Op, body [32]byte, ops ...vfs.Op) (change, error) {
	key, err := c.key()
	if err != nil {
		return change{}, err
	}
	r := vfs.Request{Ops: ops, Key: key}
	if key != "" {
		r.Sum = c.sum(body)
	}
	out, err := c.s.cfg.Node.Propose(ctx, r)
	if err == nil && vfs.KindOf(out.Err) == vfs.Moved && c.refused == nil {
		// A Device stood in the way of a path that ends in the log.
		for i, op := range r.Ops {
			if op.Verb == rel.Verb {
				r.Ops[i] = m.Global(rel)
				r.Ops[i].Data, r.Ops[i].Refs, r.Ops[i].Target = op.Data, op.Refs, op.Target
			}
		}
		out, err = c.s.cfg.Node.Propose(ctx, r)
	}
	if err != nil {
		return change{}, err
	}
	if out.Replayed {
		c.set("Idempotency-Replayed", "true")
	}
	if out.Index > 0 {
		c.setNumber("X-Pfs-Index", out.Index)
	}
	if vfs.KindOf(out.Err) == vfs.Moved && c.refused != nil {
		return change{}, c.refused
	}
	if vfs.KindOf(out.Err) == vfs.Moved {
		return change{}, vfs.Unavailable.With("mount is moving, try again")
	}
	return change{out: out}, out.Err
}

// changed sets the headers of a change that was made.
func (c *call) changed(a change) {
	if a.idle {
		return
	}
	if a.external {
		c.set("X-Pfs-Placement", "external")
	} else {
		c.setNumber("X-Pfs-Index", a.out.Index)
		c.setNumber("X-Pfs-Seq", a.out.Seq)
	}
	if v := a.result().Version; v > 0 {
		c.setTag(v)
	}
}

// done answers a change: its message, its index, and what the filesystem adds.
func (c *call) done(status int, text string, a change) error {
	c.changed(a)
	extra := a.result().Data
	var own struct {
		Message string `json:"message"`
	}
	if a.external && json.Unmarshal(extra, &own) == nil && own.Message != "" { // a Device says it in its own words
		text, extra = own.Message, nil
	}
	if len(extra) == 0 && !a.external && plainText(text) {
		c.said(status, text, a.out.Index)
		return nil
	}
	b, err := json.Marshal(message{text, a.out.Index})
	if err != nil {
		return err
	}
	c.raw(status, append(joined(b, extra), '\n'))
	return nil
}

// said answers a message of plain text, written into the answer's own buffer.
func (c *call) said(status int, text string, index uint64) {
	b := append(append(append(c.room(0), `{"message":"`...), text...), '"')
	if index > 0 {
		b = strconv.AppendUint(append(b, `,"index":`...), index, 10)
	}
	c.fc.SetStatusCode(status)
	c.fc.Response.Header.SetContentType("application/json")
	c.fc.Response.SwapBody(append(b, '}', '\n'))
}

// plainText reports whether s is the same within a JSON string: letters, digits and
// spaces.
func plainText(s string) bool {
	for i := range len(s) {
		if b := s[i]; b != ' ' && (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z') {
			return false
		}
	}
	return true
}

// simple commits an Op on the path in the query and answers with text. body is
// what else the request says, outside its query.
func (c *call) simple(status int, text string, op vfs.Op, body ...string) error {
	p, err := c.path()
	if err != nil {
		return err
	}
	op.Path = p
	a, err := c.commit(op, hash(strings.Join(body, "\x00")))
	if err != nil {
		return err
	}
	return c.done(status, text, a)
}

func formatIndex(n uint64) string { return strconv.FormatUint(n, 10) }
