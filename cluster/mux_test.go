package cluster

import (
	"context"
	"errors"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

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
