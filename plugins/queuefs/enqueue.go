package queuefs

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	seenMost     = 100_000 // dedup ids that a queue remembers; the oldest go first
	dedupLongest = 128     // bytes of one
)

// sending is one enqueue under way.
type sending struct {
	tx       vfs.Tx
	id       uint64 // of the queue
	mount    uint64
	t        tally
	settings settings
	priority byte
	delay    time.Duration
	dedup    string
	added    bool
	post     func(m message, dedup string) (sent, error) // adds one message, unless it is known
}

// sent is what became of one message.
type sent struct {
	id        string
	seq       uint64
	duplicate bool
}

// enqueue adds the content of op as one message, or each of its lines with the
// option batch. A queue that is missing is made.
func enqueue(tx vfs.Tx, queue vfs.Path, op vfs.Op) (vfs.Result, error) {
	if op.Size() >= maxMessage {
		return vfs.Result{}, vfs.TooLarge.Withf("a message must be shorter than %d bytes", maxMessage)
	}
	id, err := makeQueues(tx, queue)
	if err != nil {
		return vfs.Result{}, err
	}
	s := &sending{tx: tx, id: id, mount: op.Mount, t: getTally(tx, id)}
	s.settings, s.post = getSettings(tx, id, &s.t), s.send
	o := vfs.ParseOptions(op.Target)
	if err := s.read(o); err != nil {
		return vfs.Result{}, err
	}
	var data []byte
	if _, batch := o["batch"]; batch {
		data, err = s.batch(op, o["line"])
	} else {
		data, err = s.single(op)
	}
	if err != nil {
		return vfs.Result{}, err
	}
	if s.added {
		s.t.enqueued = now(tx)
	}
	s.t.save(tx, id)
	return vfs.Result{N: op.Size(), Data: data, Version: s.t.enqueued.version, File: fileID(id, "enqueue")}, nil
}

// read takes in what the client asks for.
func (s *sending) read(o vfs.Options) (err error) {
	s.priority, s.delay = s.settings.priority, s.settings.delay
	if text, ok := o["priority"]; ok {
		if s.priority, err = parsePriority(text); err != nil {
			return err
		}
	}
	if text, ok := o["delay"]; ok {
		if s.delay, err = duration("delay", text, 0, delayMost); err != nil {
			return err
		}
	}
	if s.dedup = o["dedup"]; len(s.dedup) > dedupLongest {
		return vfs.Invalid.Withf("a dedup id may have %d bytes", dedupLongest)
	}
	return nil
}

func (s *sending) single(op vfs.Op) ([]byte, error) {
	m := message{refs: op.Refs, data: op.Data}
	if len(m.refs) > 0 {
		m.data = nil
	}
	a, err := s.post(m, s.dedup)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID        string `json:"id"`
		Seq       uint64 `json:"seq"`
		Duplicate bool   `json:"duplicate,omitempty"`
	}{a.id, a.seq, a.duplicate})
}

// batch sends each line that is not empty. first is the number of the first
// line: a dedup id of a batch is one for each line with its number.
func (s *sending) batch(op vfs.Op, first string) ([]byte, error) {
	if len(op.Refs) > 0 {
		return nil, vfs.TooLarge.Withf("a line of a batch may have %d bytes", vfs.MaxInline)
	}
	line, _ := strconv.Atoi(first) // of our own making; 0 without one
	a := struct {
		ID         []string `json:"id"`
		Seq        []uint64 `json:"seq"`
		Duplicates int      `json:"duplicates,omitempty"`
	}{[]string{}, []uint64{}, 0}
	for text := range bytes.Lines(op.Data) {
		line++
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if len(text) == 0 {
			continue
		}
		dedup := s.dedup
		if dedup != "" {
			dedup += ":" + strconv.Itoa(line)
		}
		r, err := s.post(message{data: text}, dedup)
		if err != nil {
			return nil, err
		}
		if r.duplicate {
			a.Duplicates++
		}
		a.ID, a.Seq = append(a.ID, r.id), append(a.Seq, r.seq)
	}
	return json.Marshal(a)
}

// send adds one message, unless it is known.
func (s *sending) send(m message, dedup string) (sent, error) {
	at := now(s.tx)
	if dedup != "" && s.settings.dedup > 0 {
		if was, ok := s.known(dedup, at.ns); ok {
			s.t.totals.duplicates++
			return sent{uuidText(was.id), was.seq, true}, nil
		}
	}
	t := &s.t
	if err := t.room(s.settings, m); err != nil {
		return sent{}, err
	}
	seq := t.next
	t.next++
	m.id, m.ns, m.priority = newUUID(s.tx.Now(), newID(s.tx), s.mount), at.ns, s.priority
	retain(s.tx, m)
	s.tx.Put(numberKey(rowMessage, t.box, seq), m.encode())
	t.bytes += m.size()
	if s.delay > 0 {
		t.later(s.tx, s.id, m, seq, 0, s.delay)
	} else {
		t.push(s.tx, rank(m.priority, seq))
	}
	if dedup != "" && s.settings.dedup > 0 {
		s.remember(dedup, seen{n: t.seenNext, ns: at.ns, seq: seq, id: m.id})
	}
	s.added = true
	return sent{uuidText(m.id), seq, false}, nil
}

// room refuses a message that the queue has no room for.
func (t *tally) room(s settings, m message) error {
	switch {
	case s.maxMessages > 0 && t.live() >= s.maxMessages:
		return vfs.NoSpace.Withf("the queue holds %d messages, and its max_messages is %d", t.live(), s.maxMessages)
	case s.maxBytes > 0 && t.bytes+m.size() > s.maxBytes:
		return vfs.NoSpace.Withf("the queue holds %d bytes, and its max_bytes is %d", t.bytes, s.maxBytes)
	}
	return nil
}

// known finds the message that came under a dedup id within the window.
func (s *sending) known(dedup string, ns int64) (seen, bool) {
	b, ok := s.tx.Get(seenKey(s.id, dedup))
	if !ok {
		return seen{}, false
	}
	was := decodeSeen(b)
	return was, ns-was.ns < int64(s.settings.dedup)
}

// remember keeps a dedup id, and forgets some that are out of the window.
func (s *sending) remember(dedup string, now seen) {
	const some = 4
	t := &s.t
	s.tx.Put(seenKey(s.id, dedup), now.encode())
	s.tx.Put(numberKey(rowSeenAt, s.id, now.n), []byte(dedup))
	t.seenNext++
	for range some {
		if t.seenFirst+1 >= t.seenNext {
			return
		}
		order := numberKey(rowSeenAt, s.id, t.seenFirst)
		text, ok := s.tx.Get(order)
		if !ok {
			panic(corrupt())
		}
		k := seenKey(s.id, string(text))
		if b, ok := s.tx.Get(k); ok {
			was := decodeSeen(b)
			if was.n == t.seenFirst { // or it came again since
				if t.seenNext-t.seenFirst <= seenMost && now.ns-was.ns < int64(s.settings.dedup) {
					return
				}
				s.tx.Delete(k)
			}
		}
		s.tx.Delete(order)
		t.seenFirst++
	}
}
