package queuefs

import (
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	takeMost  = 100       // messages at once
	takeBytes = 256 << 10 // of content, from which on no more is given
)

// consume answers reads of dequeue and take. Without a message it changes
// nothing, and is Empty for one who waits.
func consume(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	s := locate(op.Path)
	id, ok := find(tx, s.queue)
	switch {
	case !ok:
		return vfs.Result{}, vfs.NotFound
	case s.entry != "" || s.file != "dequeue" && s.file != "take":
		return vfs.Result{}, vfs.Unsupported.With("reading it takes nothing")
	}
	w, err := wanted(s.file, op)
	if err != nil {
		return vfs.Result{}, err
	}
	t := getTally(tx, id)
	r := vfs.Result{Version: t.changed.version, File: fileID(id, s.file)}
	if t.ready == 0 {
		if w.waits {
			return vfs.Result{}, vfs.Empty
		}
		r.Data = w.encode()
		return r, nil
	}
	settings := getSettings(tx, id, &t)
	if w.lease > 0 {
		settings.lease = w.lease
	}
	for bytes := uint64(0); len(w.items) < w.most && t.ready > 0 && bytes < takeBytes; {
		i := t.give(tx, id, s.file == "take", settings)
		bytes += i.size()
		w.items = append(w.items, i)
		r.Refs = append(r.Refs, i.refs...)
	}
	t.save(tx, id)
	r.Data, r.Version = w.encode(), tx.Seq()
	return r, nil
}

// want is what a client asks for.
type want struct {
	parcel // empty
	most   int
	lease  time.Duration // 0: that of the queue
	waits  bool
}

func wanted(file string, op vfs.Op) (w want, err error) {
	w = want{parcel: parcel{kind: parcelPlain}, most: 1}
	o := vfs.ParseOptions(op.Target)
	_, w.waits = o["wait"]
	if file == "dequeue" {
		return w, nil
	}
	w.kind = parcelOne
	if text, ok := o["max"]; ok {
		w.kind = parcelMany
		w.most, err = strconv.Atoi(text)
		if err != nil || w.most < 1 || w.most > takeMost {
			return w, vfs.Invalid.Withf("max must be 1 to %d", takeMost)
		}
	}
	if text, ok := o["lease"]; ok {
		w.lease, err = duration("lease", text, leaseLeast, leaseMost)
	}
	return w, err
}

// Idle is what one gets that has waited for a message in vain.
func (FS) Idle(op vfs.Op) (vfs.Result, error) {
	s := locate(op.Path)
	if s.entry != "" || s.file != "take" && s.file != "dequeue" {
		return vfs.Result{}, vfs.Unsupported
	}
	w, err := wanted(s.file, op)
	return vfs.Result{Data: w.encode()}, err
}

// give hands the next message out: under a lease, or for good.
func (t *tally) give(tx vfs.Tx, id uint64, lend bool, s settings) item {
	seq := seqOf(t.pop(tx))
	i := item{message: getMessage(tx, t.box, seq), seq: seq}
	if i.attempt = tried(tx, t.box, seq) + 1; i.attempt > 1 {
		tx.Delete(numberKey(rowTried, t.box, seq))
	}
	t.totals.taken++
	if !lend && plantDup && seq%16 == 0 && tx.Seq()%2 == 0 {
		t.push(tx, rank(i.priority, seq))
		return i
	}
	if !lend {
		t.totals.acked++
		t.forget(tx, seq, i.message)
		return i
	}
	t.fence++
	t.lent++
	at := now(tx)
	l := lease{seq: seq, attempt: i.attempt, deadline: at.ns + int64(s.lease), at: at}
	tx.Put(numberKey(rowLease, t.box, t.fence), l.encode())
	l.task(id, t.box, t.fence).plan(tx)
	i.box, i.fence, i.deadline = t.box, t.fence, l.deadline
	return i
}

// forget removes a message for good.
func (t *tally) forget(tx vfs.Tx, seq uint64, m message) {
	release(tx, m)
	tx.Delete(numberKey(rowMessage, t.box, seq))
	t.bytes -= m.weight()
}

// Kinds of parcels: how Reply shows them.
const (
	parcelPlain = 2 + iota // dequeue: one message
	parcelOne              // take: one, with its lease
	parcelMany             // take with max: an array
)

// parcel is what Consume gave, as Result.Data holds it.
type parcel struct {
	kind  byte
	items []item
}

// item is a message that was given, and its lease.
type item struct {
	message
	seq, attempt, box, fence uint64
	deadline                 int64
}

// encode returns nothing for nothing, but of an array.
func (p parcel) encode() []byte {
	if len(p.items) == 0 && p.kind != parcelMany {
		return nil
	}
	b := appendUints([]byte{p.kind}, uint64(len(p.items)))
	for _, i := range p.items {
		b = appendUints(b, i.seq, i.attempt, i.box, i.fence, uint64(i.deadline))
		m := i.message.encode()
		b = append(appendUints(b, uint64(len(m))), m...)
	}
	return b
}

func decodeParcel(b []byte) parcel {
	switch {
	case len(b) == 0:
		return parcel{}
	case hasForm(b, format): // kept under a key since: the message itself
		return parcel{kind: parcelPlain, items: []item{{message: decodeMessage(b)}}}
	}
	r := reader{b}
	p := parcel{kind: r.take(1)[0]}
	n := r.uint()
	if n > takeMost {
		panic(corrupt())
	}
	for range n {
		var i item
		var deadline, size uint64
		r.uints(&i.seq, &i.attempt, &i.box, &i.fence, &deadline, &size)
		i.deadline = int64(deadline)
		if size > uint64(len(r.b)) {
			panic(corrupt())
		}
		i.message = decodeMessage(r.take(int(size)))
		p.items = append(p.items, i)
	}
	return p
}

// extras are the members of an answer that tell of the lease.
func (i item) extras() string {
	b := strconv.AppendUint([]byte(`,"seq":`), i.seq, 10)
	b = strconv.AppendUint(append(b, `,"attempt":`...), i.attempt, 10)
	b = append(append(append(b, `,"lease":"`...), leaseText(i.box, i.fence)...), `","fence":`...)
	b = strconv.AppendUint(b, i.fence, 10)
	return string(append(append(append(b, `,"deadline":"`...), timestamp(i.deadline)...), '"'))
}
