package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// fort is a cluster of three whose second node was taken out; it is attacked
// at its leader, and should not notice.
type fort struct {
	*gang
	t      *testing.T
	office *office // nil: plain TCP on loopback
	logs   []*journal
	lord   *Node // that leads
	gone   *Node // that was taken out, and still runs
	before keep
}

// keep is what attacks must not change. Nodes may tell the log about themselves
// meanwhile.
type keep struct {
	term  uint64
	state [32]byte
}

func newFort(t *testing.T, secure bool) *fort {
	f := &fort{t: t}
	if secure {
		f.office = newOffice(t)
	}
	f.gang = newGang(t, 3, func(_ int, c *Config) {
		j := &journal{}
		f.logs = append(f.logs, j)
		c.Log = j.logger()
		c.Election = unshaken // no choice but for a reason
		c.slow = time.Second
		if secure {
			c.TLS = f.office.files(c.NodeID)
		}
	})
	f.write(0, "/m/a", "x")
	i := f.leader()
	f.lord, f.gone = f.nodes[i], f.nodes[(i+1)%3]
	if err := f.lord.raft.RemoveServer(raft.ServerID(f.gone.ID()), 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	f.settle()
	return f
}

// settle takes note of how things stand.
func (f *fort) settle() {
	f.t.Helper()
	out, err := f.lord.Propose(testContext(f.t), writeOp("/m/b", vfs.Content{Data: []byte("y")}))
	if err != nil || out.Err != nil {
		f.t.Fatal(err, out.Err)
	}
	f.before = f.now()
}

func (f *fort) now() keep {
	f.t.Helper()
	s, err := f.lord.Sums(testContext(f.t), 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return keep{f.lord.raft.CurrentTerm(), s.State}
}

func (f *fort) log(n *Node) *journal {
	for i := range f.nodes {
		if f.nodes[i] == n {
			return f.logs[i]
		}
	}
	f.t.Fatal("no such node")
	return nil
}

// trust is the certificate of a node, whoever holds it; nil on plain TCP.
func (f *fort) trust(id string) *trust {
	if f.office == nil {
		return nil
	}
	return f.office.trust(id)
}

// raider is somebody who talks as a node does.
type raider struct {
	f  *fort
	id string
	m  *mux
	nt *network
}

func (f *fort) raider(id string, tr *trust) *raider {
	m := &mux{self: &identity{c: card{Node: id, Cluster: f.lord.self.cluster()}}, trust: tr, dialer: dialTCP,
		advertise: "127.0.0.1:1", closed: make(chan struct{})}
	b := &book{}
	for _, n := range f.nodes {
		b.learn(n.ID(), n.Address())
	}
	r := &raider{f, id, m, newNetwork(m, new(atomic.Bool), b, newLogBridge(f.conf[0].Log))}
	f.t.Cleanup(func() {
		close(m.closed)
		_ = r.nt.Close()
	})
	return r
}

func (r *raider) head() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(r.id), Addr: []byte("127.0.0.1:1")}
}

// try sends one request to the leader and returns what came of it.
func (r *raider) try(request any) error {
	id := raft.ServerID(r.f.lord.ID())
	r.nt.CloseStreams() // one that was refused is no more
	switch q := request.(type) {
	case *raft.AppendEntriesRequest:
		var a raft.AppendEntriesResponse
		return either(r.nt.NetworkTransport.AppendEntries(id, "", q, &a), a.Success)
	case *raft.RequestVoteRequest:
		var a raft.RequestVoteResponse
		return either(r.nt.RequestVote(id, "", q, &a), a.Granted)
	case *raft.RequestPreVoteRequest:
		var a raft.RequestPreVoteResponse
		return either(r.nt.RequestPreVote(id, "", q, &a), a.Granted)
	case *raft.TimeoutNowRequest:
		var a raft.TimeoutNowResponse
		return r.nt.TimeoutNow(id, "", q, &a)
	case *raft.InstallSnapshotRequest:
		var a raft.InstallSnapshotResponse
		return either(r.nt.NetworkTransport.InstallSnapshot(id, "", q, &a, strings.NewReader(strings.Repeat("x", 100))), a.Success)
	}
	panic("no such request")
}

var errTurnedDown = errors.New("turned down")

func either(err error, yes bool) error {
	if err == nil && !yes {
		err = errTurnedDown
	}
	return err
}

// requests are all kinds that raft knows, at a term.
func (r *raider) requests(term uint64) map[string]any {
	h := r.head()
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(r.id), Address: "127.0.0.1:1"}}})
	return map[string]any{
		"append":    &raft.AppendEntriesRequest{RPCHeader: h, Term: term, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 2, Term: term}}},
		"heartbeat": &raft.AppendEntriesRequest{RPCHeader: h, Term: term},
		"vote":      &raft.RequestVoteRequest{RPCHeader: h, Term: term, LastLogIndex: 1 << 40, LastLogTerm: term, LeadershipTransfer: true},
		"pre-vote":  &raft.RequestPreVoteRequest{RPCHeader: h, Term: term, LastLogIndex: 1 << 40, LastLogTerm: term},
		"timeout":   &raft.TimeoutNowRequest{RPCHeader: h},
		"snapshot": &raft.InstallSnapshotRequest{RPCHeader: h, SnapshotVersion: 1, Term: term, LastLogIndex: 1 << 40, LastLogTerm: term,
			Configuration: conf, ConfigurationIndex: 1, Size: 100},
	}
}

// dial opens a stream to the leader that has said nothing yet.
func (f *fort) dial() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.lord.Address())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

// holds makes an attack and looks whether it was noticed: the counter of its
// reason and the log should, the cluster should not.
func (f *fort) holds(name, reason string, attack func(t *testing.T)) {
	f.t.Run(name, func(t *testing.T) {
		was := f.lord.count(t, "pfs_node_port_refused_total", reason)
		attack(t)
		poll(t, "the counter of "+reason, func() bool { return f.lord.count(t, "pfs_node_port_refused_total", reason) > was })
		poll(t, "a line of the log", func() bool {
			return f.log(f.lord).has("level=WARN", "refused on the node-to-node port", "reason="+reason)
		})
		if f.lord.raft.State() != raft.Leader || f.now() != f.before {
			t.Errorf("%x became %x, %s", f.before, f.now(), f.lord.raft.State())
		}
		if left := unpacked(f.lord); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

func TestAttacks(t *testing.T) {
	for name, secure := range map[string]bool{"loopback": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			f := newFort(t, secure)
			f.strangers()
			f.members()
			f.noise()
			f.liar()
			if secure {
				f.papers()
			} else {
				f.holds("TLS to plain", becauseTLS, func(*testing.T) {
					c := tls.Client(f.dial(), &tls.Config{InsecureSkipVerify: true})
					if c.Handshake() == nil {
						t.Error("a handshake with a plain port")
					}
				})
			}
			f.write(f.leader(), "/m/a", "still here")
		})
	}
}

// strangers sends every request of raft from nodes that are not in the
// configuration: one that never was, and one that was taken out.
func (f *fort) strangers() {
	for _, id := range []string{"x", f.gone.ID()} {
		r := f.raider(id, f.trust(id))
		for _, term := range []uint64{f.before.term, f.before.term + 1, 1e15, 1<<64 - 1} {
			for kind, q := range r.requests(term) {
				f.holds(kind+" from "+id, becauseMember, func(t *testing.T) {
					var no *refusal
					if err := r.try(q); !errors.As(err, &no) {
						t.Errorf("term %d: %v", term, err)
					}
				})
			}
		}
		f.holds("calls from "+id, becauseMember, func(t *testing.T) {
			p := newPeers(r.m)
			defer p.close()
			for _, method := range []byte{callPropose, callIndex, callKeep, callHave, callFetch, callState} {
				var e *elsewhereError
				if _, err := p.call(testContext(t), target{f.lord.ID(), f.lord.Address()}, short, method, nil); !errors.As(err, &e) {
					t.Errorf("call %d: %v", method, err)
				}
			}
		})
	}
	f.holds("the node that was taken out itself", becauseMember, func(*testing.T) {
		for _, q := range []any{&raft.TimeoutNowRequest{}, &raft.RequestVoteRequest{Term: f.before.term + 5, LeadershipTransfer: true}} {
			r := &raider{f: f, id: f.gone.ID(), nt: f.gone.net}
			_ = r.try(q) // refused; the counter tells
		}
	})
	f.holds("another cluster", becauseCluster, func(t *testing.T) {
		r := f.raider("x", f.trust("x"))
		r.m.self.c.Cluster = "other"
		if err := r.try(&raft.TimeoutNowRequest{}); err == nil {
			t.Error("taken")
		}
	})
	f.holds("our own name", becauseGreeting, func(t *testing.T) {
		if err := f.raider(f.lord.ID(), f.trust(f.lord.ID())).try(&raft.TimeoutNowRequest{}); err == nil {
			t.Error("taken")
		}
	})
}

// members sends what no member sends from one that is in the configuration.
func (f *fort) members() {
	id := ""
	for _, n := range f.nodes {
		if n != f.lord && n != f.gone {
			id = n.ID()
		}
	}
	r := f.raider(id, f.trust(id))
	turned := func(what, reason string, q any) {
		f.holds(what, reason, func(t *testing.T) {
			if err := r.try(q); err == nil || errors.Is(err, errTurnedDown) {
				t.Errorf("not refused: %v", err)
			}
		})
	}
	for _, term := range []uint64{f.before.term + maxTermLead + 1, 1e15, 1<<64 - 1} {
		for kind, q := range r.requests(term) {
			if kind != "timeout" {
				turned(kind+" of an impossible term", becauseTerm, q)
			}
		}
	}
	h, term := r.head(), f.before.term
	turned("leadership handed over by a follower", becauseRequest, &raft.TimeoutNowRequest{RPCHeader: h})
	turned("another's name in a request", becauseRequest, &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("x"), Addr: []byte("x")}, Term: term})
	for what, entries := range map[string][]*raft.Log{
		"none":            {nil},
		"a gap":           {{Index: 2, Term: 1}, {Index: 4, Term: 1}},
		"a later term":    {{Index: 2, Term: term + 1}},
		"no term":         {{Index: 2}},
		"an unknown type": {{Index: 2, Term: 1, Type: 77}},
		"an old type":     {{Index: 2, Term: 1, Type: raft.LogRemovePeerDeprecated}},
		"a configuration": {{Index: 2, Term: 1, Type: raft.LogConfiguration, Data: []byte("what")}},
		"no length":       {{Index: 2, Term: 1, Data: make([]byte, 2<<20)}},
	} {
		turned("an entry of "+what, becauseRequest, &raft.AppendEntriesRequest{RPCHeader: h, Term: term, PrevLogEntry: 1, PrevLogTerm: 1, Entries: entries})
	}
	for what, size := range map[string]int64{"1 TiB": 1 << 40, "2^63-1 bytes": 1<<63 - 1, "-1 bytes": -1, "nothing": 0} {
		q := r.requests(term)["snapshot"].(*raft.InstallSnapshotRequest)
		q.Size = size
		turned("a snapshot of "+what, becauseSnapshot, q)
	}
	q := r.requests(term)["snapshot"].(*raft.InstallSnapshotRequest)
	q.Configuration = []byte("what")
	turned("a snapshot without a configuration", becauseRequest, q)
	for what, raw := range bombs() {
		f.holds("raw: "+what, becauseRequest, func(t *testing.T) {
			c, _, err := r.m.connect(testContext(t), streamRaft, target{f.lord.ID(), f.lord.Address()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			_, _ = io.Copy(c, io.MultiReader(raw(), strings.NewReader("behind"))) // closed on the way, most likely
			_, _ = io.Copy(io.Discard, c)                                         // until the node closes it
		})
	}
}

// liar sends a follower, in the name of its leader, snapshots that end before
// their length, or do not go on.
func (f *fort) liar() {
	r := f.raider(f.lord.ID(), f.trust(f.lord.ID()))
	archive := f.archive()
	for _, n := range f.nodes {
		if n == f.lord || n == f.gone {
			continue
		}
		ctx, cancel := context.WithCancel(f.t.Context())
		for what, rest := range map[string]io.Reader{"ends": strings.NewReader(""), "stands still": silenceReader{ctx}} {
			q := r.requests(f.before.term)["snapshot"].(*raft.InstallSnapshotRequest)
			q.Size = 2 * int64(len(archive))
			c, _, err := r.m.connect(testContext(f.t), streamRaft, target{n.ID(), n.Address()})
			if err != nil {
				f.t.Fatal(err)
			}
			one := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
				Stream: once{c}, Timeout: 30 * time.Second, Logger: r.nt.log.named("raider")})
			var a raft.InstallSnapshotResponse
			ended := make(chan error, 1)
			go func() {
				ended <- one.InstallSnapshot(raft.ServerID(n.ID()), "", q, &a, io.MultiReader(bytes.NewReader(archive[:len(archive)/2]), rest))
			}()
			poll(f.t, "the file of the snapshot", func() bool { return len(unpacked(n)) > 0 })
			if what == "ends" {
				c.Close()
			}
			poll(f.t, "no file of the snapshot that "+what, func() bool { return len(unpacked(n)) == 0 })
			poll(f.t, "the follower to go on", func() bool {
				_, leader := n.raft.LeaderWithID()
				s, err := n.Sums(testContext(f.t), 0)
				return err == nil && s.State == f.before.state && string(leader) == f.lord.ID() && n.raft.CurrentTerm() == f.before.term
			})
			c.Close()
			if what != "ends" {
				cancel()
			}
			<-ended
			_ = one.Close()
			if a.Success {
				f.t.Errorf("a snapshot that %s was taken", what)
			}
		}
		cancel()
		if n.count(f.t, "pfs_node_port_refused_total", becauseRequest) == 0 {
			f.t.Error("a snapshot that stands still is not told of")
		}
	}
}

// archive is a snapshot as the leader sends it.
func (f *fort) archive() []byte {
	all := f.lord.machine.Snapshots()
	list, err := all.List()
	if err != nil || len(list) == 0 {
		f.t.Fatalf("no snapshot of the leader: %v", err)
	}
	_, r, err := all.Open(list[0].ID)
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func unpacked(n *Node) []string {
	list, _ := filepath.Glob(filepath.Join(n.c.Dir, stateDir, "install*"))
	return list
}

// silenceReader is one that has nothing until the test ends.
type silenceReader struct{ ctx context.Context }

func (s silenceReader) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, io.EOF
}

// once is a layer of raft's transport that dials one stream.
type once struct{ net.Conn }

func (o once) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) { return o.Conn, nil }
func (o once) Accept() (net.Conn, error)                                { return nil, net.ErrClosed }
func (o once) Addr() net.Addr                                           { return o.LocalAddr() }

// bombs are streams of raft that no node sends.
func bombs() map[string]func() io.Reader {
	pack := func(b ...byte) func() io.Reader { return func() io.Reader { return bytes.NewReader(b) } }
	return map[string]func() io.Reader{
		"an unknown request":     pack(99),
		"an array of 2^31":       pack(0, 0xdd, 0x7f, 0xff, 0xff, 0xff),
		"a map of 2^31":          pack(1, 0xdf, 0x7f, 0xff, 0xff, 0xff),
		"entries of 2^31":        pack(append([]byte{0, 0x81, 0xa7}, append([]byte("Entries"), 0xdd, 0x7f, 0xff, 0xff, 0xff, 0xc0, 0xc1)...)...),
		"a leader of 2^31 bytes": pack(append([]byte{0, 0x81, 0xa6}, append([]byte("Leader"), 0xc6, 0x7f, 0xff, 0xff, 0xff)...)...),
		"5,000,000 levels": func() io.Reader {
			return io.MultiReader(bytes.NewReader([]byte{0, 0x81, 0xa1, 'x'}), bytes.NewReader(bytes.Repeat([]byte{0x91}, 5_000_000)))
		},
		"no end": func() io.Reader {
			head := append([]byte{0, 0x81, 0xa6}, "Leader"...)
			head = binary.BigEndian.AppendUint32(append(head, 0xc6), 1<<31-1)
			return io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, maxRequest+1<<20))
		},
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// noise sends what is not of a node, and silence.
func (f *fort) noise() {
	junk := make([]byte, 4096)
	_, _ = rand.Read(junk)
	junk[0] = 7
	for what, in := range map[string]struct{ text, reason string }{
		"HTTP":         {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", becauseAlien},
		"random bytes": {string(junk), becauseAlien},
		"cut greeting": {"C\x00\x10{", becauseSilent},
		"long":         {"C\xff\xff", becauseGreeting},
		"no greeting":  {"R\x00\x04[[[[", becauseGreeting},
		"another":      {"C\x00\x1f" + `{"v":1,"from":"x","to":"other"}`, becauseGreeting},
		"version":      {"C\x00\x12" + `{"v":9,"from":"x"}`, becauseGreeting},
	} {
		reason := in.reason
		if f.office != nil && reason != becauseAlien {
			reason = becausePlain
		}
		f.holds(what, reason, func(t *testing.T) {
			for range 20 {
				c := f.dial()
				_, _ = io.WriteString(c, in.text) // it may be closed before
				if c, ok := c.(*net.TCPConn); ok && what == "cut greeting" {
					_ = c.CloseWrite()
				}
				_ = c.SetReadDeadline(time.Now().Add(2 * greetTime))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("not closed after %q", in.text[:1])
				}
			}
		})
	}
	f.holds("a thousand silent ones", becauseCrowded, func(t *testing.T) {
		peer := f.raider("x", f.trust("x"))
		peer.m.dialer = func(ctx context.Context, address string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
			return d.DialContext(ctx, "tcp", address)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 250 {
					f.dial()
				}
				for { // and they come again
					select {
					case <-stop:
						return
					default:
						f.dial().Close()
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		for range 20 {
			if _, _, err := peer.m.connect(testContext(t), streamCall, target{f.lord.ID(), f.lord.Address()}); err != nil {
				t.Errorf("a node that greets is not heard among silent ones: %v", err)
			}
		}
		close(stop)
		wg.Wait()
	})
	f.holds("strangers without end", becauseCrowded, func(t *testing.T) {
		peer := f.raider("x", f.trust("x"))
		for range 3 * maxStrangers {
			c, _, err := peer.m.connect(testContext(t), streamCall, target{f.lord.ID(), f.lord.Address()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		p := newPeers(f.raider("y", f.trust("y")).m)
		defer p.close()
		if _, err := p.call(testContext(t), target{f.lord.ID(), f.lord.Address()}, short, callHello); err != nil {
			t.Errorf("a newcomer is not heard among strangers: %v", err)
		}
	})
}

// papers shows certificates that are not those of a node of this cluster.
func (f *fort) papers() {
	shake := func(t *testing.T, c tls.Certificate) {
		s := tls.Client(f.dial(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{c}})
		if err := s.Handshake(); err != nil {
			return
		}
		_ = s.SetDeadline(time.Now().Add(2 * greetTime))
		if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not closed: %v", err)
		}
	}
	f.holds("a client's certificate", becauseNoNode, func(t *testing.T) { shake(t, f.office.client()) })
	f.holds("no certificate", becauseHandshake, func(t *testing.T) { shake(t, tls.Certificate{}) })
	f.holds("another authority", becauseCertificate, func(t *testing.T) {
		shake(t, newOffice(t).trust(f.lord.ID()).now.Load().Cert)
	})
	f.holds("an old TLS", becauseHandshake, func(t *testing.T) {
		s := tls.Client(f.dial(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if s.Handshake() == nil {
			t.Error("TLS 1.2 is taken")
		}
	})
	f.holds("half a handshake", becauseSilent, func(*testing.T) {
		c := f.dial()
		_, _ = c.Write([]byte{tlsRecord, 3, 1, 0, 100, 1})
		_ = c.(*net.TCPConn).CloseWrite()
	})
	f.holds("another's name", becauseCertificate, func(t *testing.T) {
		r := f.raider("n4", f.trust("n5"))
		if err := r.try(&raft.TimeoutNowRequest{}); err == nil {
			t.Error("taken")
		}
	})
}
