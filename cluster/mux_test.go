package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// TestStrangersDoNoHarm sends what is not of a node to the port: the node goes
// on leading its term.
func TestStrangersDoNoHarm(t *testing.T) {
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	term := n.raft.CurrentTerm()
	junk := make([]byte, 4096)
	if _, err := rand.Read(junk); err != nil {
		t.Fatal(err)
	}
	inputs := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", string(junk), "R", "C\xff\xff", "C\x00\x02{}", "R\x00\x04null",
		"C\x00\x20" + `{"v":1,"from":"x","to":"other"}  `,
		"\x00" + strings.Repeat("A", 100),
	}
	var wg sync.WaitGroup
	for range 20 {
		for _, in := range inputs {
			wg.Go(func() {
				c, err := net.Dial("tcp", n.Address())
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				_, _ = io.WriteString(c, in) // it may be closed before
				_ = c.SetReadDeadline(time.Now().Add(greetTime + 2*time.Second))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("not closed after %q", in[:1])
				}
			})
		}
	}
	for range 3 * maxPending { // silent ones
		c, err := net.Dial("tcp", n.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	g.write(0, "/m/a", "x")
	m := &mux{self: &identity{c: card{Node: "x"}}, dialer: dialTCP}
	if _, _, err := m.connect(testContext(t), streamCall, target{address: n.Address()}); err != nil {
		t.Errorf("a node that greets is not heard among silent ones: %v", err)
	}
	if n.raft.CurrentTerm() != term || n.raft.State() != raft.Leader {
		t.Error("the node lost its term")
	}
}

func TestStrangersMayOnlyAskWho(t *testing.T) {
	g := newGang(t, 1, nil)
	m := &mux{self: &identity{c: card{Node: "x"}}, dialer: dialTCP}
	p := newPeers(m)
	defer p.close()
	to := target{address: g.nodes[0].Address()}
	if _, err := p.call(testContext(t), to, short, callHello); err != nil {
		t.Errorf("hello: %v", err)
	}
	for _, method := range []byte{callPropose, callIndex, callKeep, callHave, callFetch, callState} {
		if _, err := p.call(testContext(t), to, short, method, nil); vfs.KindOf(err) != vfs.Permission {
			t.Errorf("call %d: %v", method, err)
		}
	}
	for _, body := range []string{"", `{"id":"n1","address":"127.0.0.1:1"}`, `{"id":"x"}`} {
		if _, err := p.call(testContext(t), to, short, callJoin, []byte(body)); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("join %q: %v", body, err)
		}
	}
	if _, err := p.call(testContext(t), to, short, callForm, []byte(`{"cluster":"evil","servers":[{"id":"n1"}]}`)); err == nil {
		t.Error("the node promised to be in another cluster")
	}
	m.self.c.Cluster = "other"
	p.reset()
	var r *refusal
	if _, err := p.call(testContext(t), to, short, callHello); !errors.As(err, &r) {
		t.Errorf("node of another cluster: %v", err)
	}
	if _, _, err := m.connect(testContext(t), streamRaft, to); !errors.As(err, &r) {
		t.Errorf("raft of another cluster: %v", err)
	}
}

func TestTermOutOfBounds(t *testing.T) {
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	term := n.raft.CurrentTerm()
	m := &mux{self: &identity{c: card{Node: "x", Cluster: n.self.cluster()}}, dialer: dialTCP, advertise: "127.0.0.1:1",
		rafts: make(chan net.Conn), closed: make(chan struct{})}
	b := &book{}
	b.learn("n1", n.Address())
	nt := newNetwork(m, b, newLogBridge(n.c.Log))
	defer nt.Close()
	defer close(m.closed)
	for _, bad := range []uint64{term + maxTermLead + 1, 1 << 50, 1<<64 - 1} {
		h := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("x"), Addr: []byte("127.0.0.1:1")}
		var ae raft.AppendEntriesResponse
		if err := nt.AppendEntries("n1", "", &raft.AppendEntriesRequest{RPCHeader: h, Term: bad, PrevLogEntry: 1}, &ae); err == nil {
			t.Errorf("append at term %d is taken", bad)
		}
		if err := nt.AppendEntries("n1", "", &raft.AppendEntriesRequest{RPCHeader: h, Term: bad}, &ae); err == nil {
			t.Errorf("heartbeat at term %d is taken", bad)
		}
		var rv raft.RequestVoteResponse
		if err := nt.RequestVote("n1", "", &raft.RequestVoteRequest{RPCHeader: h, Term: bad}, &rv); err == nil && rv.Granted {
			t.Errorf("vote at term %d is granted", bad)
		}
		var is raft.InstallSnapshotResponse
		if err := nt.InstallSnapshot("n1", "", &raft.InstallSnapshotRequest{RPCHeader: h, Term: bad}, &is, strings.NewReader("")); err == nil {
			t.Errorf("snapshot at term %d is taken", bad)
		}
	}
	if n.raft.CurrentTerm() != term || n.raft.State() != raft.Leader {
		t.Errorf("term %d became %d", term, n.raft.CurrentTerm())
	}
	g.write(0, "/m/a", "x")
}

func TestBudget(t *testing.T) {
	b := newBudget(10)
	ctx := context.Background()
	if err := b.take(ctx, 100); err != nil || b.used() != 10 {
		t.Fatalf("all of it: %v, %d", err, b.used())
	}
	gone, cancel := context.WithCancel(ctx)
	got := make(chan error, 2)
	go func() { got <- b.take(gone, 5) }()
	poll(t, "one to wait", b.short)
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { got <- b.take(ctx, 4) }()
	poll(t, "one to wait", b.short)
	b.give(100)
	if err := <-got; err != nil || b.used() != 4 {
		t.Errorf("%v, %d used", err, b.used())
	}
}
