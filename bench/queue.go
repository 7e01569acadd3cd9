package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pfs-project/pfs/bench/target"
)

// post is the messages of a queue load: who was promised what, and what came out.
type post struct {
	values
	rows []sender
	witness

	mu   sync.Mutex
	came []map[int]bool // of each sender
	lost int            // answers that may have carried a message and did not arrive
}

type sender struct {
	tried int
	acked []bool // by number less one
	buf   []byte
	_     [8]uint64
}

func newPost(clients, size int) *post {
	p := &post{values: newValues(size), rows: make([]sender, clients), came: make([]map[int]bool, clients)}
	for c := range p.came {
		p.came[c] = map[int]bool{}
	}
	return p
}

// next is the client's next message.
func (p *post) next(client int) []byte {
	s := &p.rows[client]
	s.tried++
	s.acked = append(s.acked, false)
	s.buf = p.write(s.buf, client, s.tried)
	return s.buf
}

func (p *post) sent(client int) { p.rows[client].acked[p.rows[client].tried-1] = true }

// got notes a message that came out.
func (p *post) got(body []byte) error {
	client, n, err := number(body)
	if err != nil || client >= len(p.rows) {
		return p.saw(fmt.Errorf("a message came out that nobody put in: %.40q", body))
	}
	if _, err := p.read(body, client); err != nil {
		return p.saw(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.came[client][n] {
		return p.saw(fmt.Errorf("message %d of client %d came twice", n, client))
	}
	p.came[client][n] = true
	return nil
}

// failed notes an answer that did not arrive: a message may have gone with it.
func (p *post) failed() {
	p.mu.Lock()
	p.lost++
	p.mu.Unlock()
}

// emptyFor is how long a queue may say that it is empty to a client that has put
// a message in and has not had one out.
const emptyFor = 5 * time.Second

// receive takes one message out. There is one: each client puts one in before. An
// answer that the queue is empty is not the work that is measured, so it asks
// again; a queue that goes on to say so has failed.
func (p *post) receive(take func() ([]byte, error)) error {
	begun := time.Now()
	for {
		body, err := take()
		switch {
		case err != nil:
			p.failed()
			return err
		case body != nil:
			return p.got(body)
		case time.Since(begun) > emptyFor:
			return errors.New("the queue says that it is empty, and a message was put in")
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// check drains the queue and finds every message that was promised.
func (p *post) check(ctx context.Context, take func(ctx context.Context) ([]byte, error)) error {
	for {
		body, err := take(ctx)
		if err != nil {
			return err
		}
		if body == nil {
			break
		}
		if err := p.got(body); err != nil {
			break
		}
	}
	missing := 0
	for c := range p.rows {
		for i, acked := range p.rows[c].acked {
			if acked && !p.came[c][i+1] {
				missing++
			}
		}
	}
	if missing > p.lost {
		return fmt.Errorf("%w: %d messages were acknowledged and never came out", ErrLost, missing-p.lost)
	}
	return p.verdict(ctx)
}

func queueCase(t target.Target, o Options) (Case, error) {
	if t.Queue == nil {
		return Case{}, errLacks
	}
	p := newPost(o.Clients, o.Size)
	op := func(ctx context.Context, client, _ int) error {
		if err := t.Queue.Enqueue(ctx, client, p.next(client)); err != nil {
			return err
		}
		p.sent(client)
		return p.receive(func() ([]byte, error) { return t.Queue.Dequeue(ctx, client) })
	}
	after := func(ctx context.Context) error {
		return p.check(ctx, func(ctx context.Context) ([]byte, error) { return t.Queue.Dequeue(ctx, 0) })
	}
	return Case{Spec: o.Spec("queue", int64(p.size), op), After: after}, nil
}
