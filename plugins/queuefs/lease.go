package queuefs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pfs-project/pfs/vfs"
)

// reasonMost is how much of a reason is kept, in bytes.
const reasonMost = 1 << 10

// order is one line written to ack, nack or extend.
type order struct {
	Lease  string `json:"lease"`
	Delay  string `json:"delay"`  // nack
	Reason string `json:"reason"` // nack
	For    string `json:"for"`    // extend
}

// orders reads what was written to the file name: JSON objects, or one lease
// a line.
func orders(name string, op vfs.Op) (out []order, err error) {
	if len(op.Refs) > 0 {
		return nil, vfs.TooLarge.Withf("a write to %s may have %d bytes", name, vfs.MaxInline)
	}
	if text := bytes.TrimSpace(op.Data); len(text) > 0 && text[0] == '{' {
		out, err = jsonOrders(name, text)
	} else {
		for word := range strings.FieldsSeq(string(text)) {
			out = append(out, order{Lease: word})
		}
	}
	if err == nil && len(out) == 0 {
		err = vfs.Invalid.Withf(`%s takes {"lease":"..."}, or one lease a line`, name)
	}
	return out, err
}

func jsonOrders(name string, text []byte) (out []order, err error) {
	allowed := map[string]string{"ack": "lease", "nack": "lease, delay, reason", "extend": "lease, for"}[name]
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	for {
		var o order
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		foreign := name != "nack" && o.Delay+o.Reason != "" || name != "extend" && o.For != ""
		if err != nil || foreign || o.Lease == "" {
			return nil, vfs.Invalid.Withf("%s takes JSON objects with the members %s", name, allowed)
		}
		out = append(out, o)
	}
}

// held is a lease that a client names, found.
type held struct {
	lease
	fence uint64
	text  string
}

// hold finds a lease of the queue that has not run out.
func (t *tally) hold(tx vfs.Tx, text string) (held, error) {
	box, fence, ok := parseLease(text)
	if !ok {
		return held{}, vfs.Invalid.Withf("%.64q is not a lease that take gave", text)
	}
	b, found := tx.Get(numberKey(rowLease, t.box, fence))
	if box != t.box || !found {
		return held{}, vfs.LeaseLost.Withf("%s: the message has been settled, or has gone back", text)
	}
	l := decodeLease(b)
	if l.deadline <= tx.Now().UnixNano() {
		return held{}, vfs.LeaseLost.Withf("%s: it was good until %s", text, timestamp(l.deadline))
	}
	return held{l, fence, text}, nil
}

// end takes the lease away; the message stays.
func (t *tally) end(tx vfs.Tx, id uint64, l lease, fence uint64) {
	tx.Delete(numberKey(rowLease, t.box, fence))
	l.task(id, t.box, fence).drop(tx)
	t.lent--
}

// settle does what was written to ack, nack or extend, all of it or nothing.
func settle(tx vfs.Tx, id uint64, name string, op vfs.Op) (vfs.Result, error) {
	list, err := orders(name, op)
	if err != nil {
		return vfs.Result{}, err
	}
	t := getTally(tx, id)
	s := settler{tx, id, &t, getSettings(tx, id, &t)}
	var a answer
	for _, o := range list {
		l, err := t.hold(tx, o.Lease)
		if err == nil {
			err = s.settle(name, o, l, &a)
		}
		if err != nil {
			return vfs.Result{}, err
		}
	}
	t.save(tx, id)
	return a.result(op.Size(), t.changed.version)
}

// answer is the members that a write adds to its answer.
type answer struct {
	Acked     int      `json:"acked,omitempty"`
	Nacked    int      `json:"nacked,omitempty"`
	Dead      int      `json:"dead,omitempty"` // of the nacked: how many had their last attempt
	Extended  int      `json:"extended,omitempty"`
	Deadline  string   `json:"deadline,omitempty"`  // of one
	Deadlines []string `json:"deadlines,omitempty"` // of several
	Redriven  *uint64  `json:"redriven,omitempty"`
}

func (a answer) result(size int64, version uint64) (vfs.Result, error) {
	if len(a.Deadlines) == 1 {
		a.Deadline, a.Deadlines = a.Deadlines[0], nil
	}
	b, err := json.Marshal(a)
	return vfs.Result{N: size, Data: b, Version: version}, err
}

// settler settles leases of one queue.
type settler struct {
	tx vfs.Tx
	id uint64
	*tally
	settings settings
}

func (s settler) settle(name string, o order, l held, a *answer) error {
	switch name {
	case "ack":
		s.end(s.tx, s.id, l.lease, l.fence)
		s.forget(s.tx, l.seq, getMessage(s.tx, s.box, l.seq))
		s.totals.acked++
		a.Acked++
		return nil
	case "extend":
		return s.extend(o, l, a)
	}
	var delay time.Duration
	if o.Delay != "" {
		var err error
		if delay, err = duration("delay", o.Delay, 0, delayMost); err != nil {
			return err
		}
	}
	s.end(s.tx, s.id, l.lease, l.fence)
	s.totals.nacked++
	a.Nacked++
	if s.back(l.lease, delay, o.Reason, "nack without a reason") {
		a.Dead++
	}
	return nil
}

func (s settler) extend(o order, l held, a *answer) error {
	d := s.settings.lease
	if o.For != "" {
		var err error
		if d, err = duration("for", o.For, leaseLeast, leaseMost); err != nil {
			return err
		}
	}
	l.task(s.id, s.box, l.fence).drop(s.tx)
	l.deadline = s.tx.Now().UnixNano() + int64(d)
	l.at.version = s.tx.Seq()
	s.tx.Put(numberKey(rowLease, s.box, l.fence), l.lease.encode())
	l.task(s.id, s.box, l.fence).plan(s.tx)
	a.Extended++
	a.Deadlines = append(a.Deadlines, timestamp(l.deadline))
	return nil
}

// back gives a message back whose lease has ended: to the queue, at once or
// later, or to the dead if that was its last attempt, which it reports.
func (s settler) back(l lease, delay time.Duration, reason, otherwise string) (died bool) {
	switch {
	case l.attempt >= s.settings.attempts:
		if reason == "" {
			reason = otherwise
		}
		s.die(s.tx, l.seq, l.attempt, s.settings.attempts, reason)
		return true
	case delay > 0:
		s.later(s.tx, s.id, getMessage(s.tx, s.box, l.seq), l.seq, l.attempt, delay)
	default:
		s.again(s.tx, l.seq, l.attempt)
	}
	return false
}

// again makes a message ready that is in the box, after so many attempts.
func (t *tally) again(tx vfs.Tx, seq, attempts uint64) {
	if attempts > 0 {
		tx.Put(numberKey(rowTried, t.box, seq), encodeID(attempts))
	}
	t.push(tx, rank(getMessage(tx, t.box, seq).priority, seq))
}

// later makes a message of the box ready after a while.
func (t *tally) later(tx vfs.Tx, id uint64, m message, seq, attempts uint64, delay time.Duration) {
	d := delayed{seq: seq, attempt: attempts, until: tx.Now().UnixNano() + int64(delay), at: now(tx)}
	tx.Put(uuidKey(rowDelayed, t.box, m.id), d.encode())
	d.task(id, t.box).plan(tx)
	t.delayed++
}

// cut shortens a reason to what is kept of it.
func cut(reason string) string {
	reason = strings.ToValidUTF8(reason, "\ufffd")
	if len(reason) <= reasonMost {
		return reason
	}
	n := reasonMost
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}
