package queuefs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// model is what queues are, said without rows: queues by path.
type model map[vfs.Path]*modelQueue

type modelQueue struct {
	settings
	messages map[uint64]*modelMessage
	next     uint64
	seen     map[string]modelSeen
}

type modelMessage struct {
	seq      uint64
	priority byte
	data     string
	state    string // ready, delayed, lent, dead
	attempts uint64
	until    time.Time // of a delay, of a lease
	lease    string
	id       string // told by the first answer that shows it
	early    bool   // not counted in bytes
}

type modelSeen struct {
	seq uint64
	at  time.Time
}

func newModelQueue() *modelQueue {
	return &modelQueue{settings: standard(), messages: map[uint64]*modelMessage{}, next: 1, seen: map[string]modelSeen{}}
}

func (m model) make(p vfs.Path) *modelQueue {
	for q := p; !q.IsRoot(); q = q.Dir() {
		if m[q] == nil {
			m[q] = newModelQueue()
		}
	}
	return m[p]
}

func (m model) remove(p vfs.Path) {
	maps.DeleteFunc(m, func(q vfs.Path, _ *modelQueue) bool { return q.Under(p) })
}

func (m model) hasBelow(p vfs.Path) bool {
	for q := range m {
		if q != p && q.Under(p) {
			return true
		}
	}
	return false
}

// in returns the messages in a state, in the order in which they are given.
func (q *modelQueue) in(state string) []*modelMessage {
	var out []*modelMessage
	for _, m := range q.messages {
		if m.state == state {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *modelMessage) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.seq, b.seq))
	})
	return out
}

func (q *modelQueue) live() (count, size int) {
	for _, m := range q.messages {
		if m.state != "dead" {
			count++
			if !m.early {
				size += len(m.data)
			}
		}
	}
	return count, size
}

// enqueue returns the seq, whether it is a duplicate, and which error there is.
func (q *modelQueue) enqueue(now time.Time, data string, o vfs.Options) (seq uint64, duplicate bool, want vfs.Kind) {
	dedup := o["dedup"]
	if was, ok := q.seen[dedup]; ok && dedup != "" && now.Sub(was.at) < q.dedup {
		return was.seq, true, 0
	}
	count, size := q.live()
	if q.maxMessages > 0 && count >= int(q.maxMessages) || q.maxBytes > 0 && size+len(data) > int(q.maxBytes) {
		return 0, false, vfs.NoSpace
	}
	m := &modelMessage{seq: q.next, priority: q.priority, data: data, state: "ready"}
	q.next++
	if text, ok := o["priority"]; ok {
		m.priority = text[0] - '0'
	}
	d := q.delay
	if text, ok := o["delay"]; ok {
		d, _ = time.ParseDuration(text)
	}
	if d > 0 {
		m.state, m.until = "delayed", now.Add(d)
	}
	if dedup != "" && q.dedup > 0 {
		q.seen[dedup] = modelSeen{m.seq, now}
	}
	q.messages[m.seq] = m
	return m.seq, false, 0
}

// take returns what a take or a dequeue is to give.
func (q *modelQueue) take(now time.Time, most int, lease time.Duration) (out []*modelMessage) {
	for _, m := range q.in("ready")[:min(most, len(q.in("ready")))] {
		m.attempts++
		m.state, m.until = "lent", now.Add(lease)
		out = append(out, m)
	}
	return out
}

// back is the end of a lease without an ack; it reports whether that was the
// last one.
func (q *modelQueue) back(m *modelMessage, now time.Time, delay time.Duration) (died bool) {
	m.lease = ""
	switch {
	case m.attempts >= q.attempts:
		m.state, m.early = "dead", false
	case delay > 0:
		m.state, m.until = "delayed", now.Add(delay)
	default:
		m.state = "ready"
	}
	return m.state == "dead"
}

// pass does what time has brought by now.
func (m model) pass(now time.Time) {
	for _, q := range m {
		for _, msg := range q.messages {
			if msg.until.IsZero() || bucketTime(bucketOf(msg.until.UnixNano())).After(now) {
				continue
			}
			switch msg.state {
			case "lent":
				q.back(msg, now, 0)
			case "delayed":
				msg.state = "ready"
			}
		}
	}
}

// settle does what is written to ack, nack or extend; leases tells which.
func (q *modelQueue) settle(name string, leases []string, now time.Time, d time.Duration) (died int, want vfs.Kind) {
	var found []*modelMessage
	for _, l := range leases {
		i := slices.IndexFunc(q.in("lent"), func(m *modelMessage) bool { return m.lease == l && m.until.After(now) })
		if i < 0 || slices.Contains(found, q.in("lent")[i]) && name != "extend" {
			return 0, vfs.LeaseLost
		}
		found = append(found, q.in("lent")[i])
	}
	for _, m := range found {
		switch name {
		case "ack":
			delete(q.messages, m.seq)
		case "nack":
			if q.back(m, now, d) {
				died++
			}
		case "extend":
			m.until = now.Add(d)
		}
	}
	return died, 0
}

// clear drops what is not dead.
func (q *modelQueue) clear() {
	maps.DeleteFunc(q.messages, func(_ uint64, m *modelMessage) bool { return m.state != "dead" })
}

// redrive brings dead messages back; all without ids.
func (q *modelQueue) redrive(ids ...string) (want vfs.Kind) {
	all := q.in("dead")
	var found []*modelMessage
	for _, id := range ids {
		i := slices.IndexFunc(all, func(m *modelMessage) bool { return m.id == id })
		if i < 0 || slices.Contains(found, all[i]) {
			return vfs.NotFound
		}
		found = append(found, all[i])
	}
	if len(ids) == 0 {
		found = all
	}
	for _, m := range found {
		m.state, m.attempts = "ready", 0
	}
	return 0
}

// show is the model as what its files say.
func (q *modelQueue) show() string {
	count := func(s string) int { return len(q.in(s)) }
	_, size := q.live()
	names := func(state string, name func(*modelMessage) string) string {
		var out []string
		for _, m := range q.in(state) {
			out = append(out, name(m))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	id := func(m *modelMessage) string { return m.id }
	first := nothing
	if ready := q.in("ready"); len(ready) > 0 {
		first = ready[0].data
	}
	return fmt.Sprintf("%d ready, %d delayed, %d lent, %d dead, %d bytes; first %s; dead %s; delayed %s; lent %s",
		count("ready"), count("delayed"), count("lent"), count("dead"), size, first,
		names("dead", id), names("delayed", id), names("lent", func(m *modelMessage) string { return m.lease }))
}
