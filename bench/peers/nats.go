package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pfs-project/pfs/bench/target"
)

// natsConfig has the setting that Debian's nats-server 2.9 lacks: sync_interval
// came with 2.10. Without it a message is synced two minutes later at most.
const natsConfig = `listen: %q
jetstream { store_dir: %q, sync_interval: always }
`

// stream is the one that queues use.
const stream = "QUEUE"

// StartNATS starts a NATS server with JetStream in files that are synced always.
// Its queue is a stream of work, consumed by pulling one message at a time and
// acknowledging it with an answer.
func StartNATS(ctx context.Context, s Site) (*target.Target, error) {
	addrs, free, err := hold(1)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, "nats")
	q := &jetQueue{}
	var procs children
	end := func() error { defer free(); q.close(); return procs.stop() }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, errors.Join(err, end())
	}
	conf := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, natsConfig, addrs[0], filepath.Join(dir, "data")), 0o600); err != nil {
		return nil, errors.Join(err, end())
	}
	c, err := start(ctx, dir, "nats-server", "-c", conf)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	procs = append(procs, c)
	err = ready(ctx, c, func(context.Context) error { return q.dial("nats://"+addrs[0], 1) })
	if err == nil {
		err = q.dial("nats://"+addrs[0], s.Clients)
	}
	if err == nil {
		err = ready(ctx, c, q.make) // JetStream is ready after the port is
	}
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return &target.Target{Name: "NATS JetStream", Version: q.conns[0].ConnectedServerVersion(), Nodes: 1,
		Durability: "in the stream's file with fsync, once for each message (sync_interval: always); that a message was taken is answered, and written later",
		Queue:      q, Groups: procs.groups(), Close: end}, nil
}

// jetQueue is one connection for each client, and on it one inbox that is kept: an
// inbox of its own for each message would be subscribed and unsubscribed anew.
type jetQueue struct {
	conns []*nats.Conn
	js    []jetstream.JetStream
	inbox []*nats.Subscription
}

// What a worker sends to have the next message, or the answer that none came in a
// tenth of a second, and to have taken it (docs.nats.io, "JetStream wire API
// reference").
const (
	nextSubject = "$JS.API.CONSUMER.MSG.NEXT." + stream + ".workers"
	nextAsk     = `{"batch":1,"expires":100000000}`
	nextNone    = "408"
	ack         = "+ACK"
)

// toAnswer is how long a server has for one answer.
const toAnswer = time.Minute

// dial opens connections until there are n.
func (q *jetQueue) dial(url string, n int) error {
	for len(q.conns) < n {
		c, err := nats.Connect(url)
		if err != nil {
			return err
		}
		q.conns = append(q.conns, c)
		js, err := jetstream.New(c)
		if err != nil {
			return err
		}
		q.js = append(q.js, js)
		inbox, err := c.SubscribeSync(nats.NewInbox())
		if err != nil {
			return err
		}
		q.inbox = append(q.inbox, inbox)
	}
	return nil
}

// make makes the stream and its one consumer, which all clients share.
func (q *jetQueue) make(ctx context.Context) error {
	if _, err := q.js[0].CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"work"},
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage}); err != nil {
		return err
	}
	_, err := q.js[0].CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: "workers",
		AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1})
	return err
}

func (q *jetQueue) close() {
	for _, c := range q.conns {
		c.Close()
	}
}

// Enqueue implements target.Queue.
func (q *jetQueue) Enqueue(ctx context.Context, client int, body []byte) error {
	_, err := q.js[client].Publish(ctx, "work", body)
	return err
}

// Dequeue implements target.Queue. It waits for a message for as long as nextAsk
// says: a request that does not wait may be told that there is none while others
// are served, or not be answered at all where another takes the last one.
func (q *jetQueue) Dequeue(ctx context.Context, client int) ([]byte, error) {
	in := q.inbox[client]
	if err := q.conns[client].PublishRequest(nextSubject, in.Subject, []byte(nextAsk)); err != nil {
		return nil, err
	}
	m, err := in.NextMsg(toAnswer)
	if err != nil {
		return nil, err
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		_, err = q.conns[client].RequestWithContext(ctx, m.Reply, []byte(ack))
		return m.Data, err
	case nextNone:
		return nil, nil
	default:
		return nil, fmt.Errorf("NATS answers %s %s", status, m.Header.Get("Description"))
	}
}
