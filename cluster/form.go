package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/vfs"
)

const (
	formEvery  = 200 * time.Millisecond // between two looks for a cluster
	watchEvery = time.Second            // between two looks at our own place in it
	// formPatience is for how long what hinders a node is not told: while a
	// cluster forms there is no leader, for one.
	formPatience = 2 * time.Second
	helloTime    = time.Second
)

// hello is what a node says of itself to one that looks for a cluster.
type hello struct {
	ID      string   `json:"id"`
	Nonce   string   `json:"nonce"` // of the process: two nodes may have one id
	Address string   `json:"address"`
	Cluster string   `json:"cluster,omitempty"`
	State   bool     `json:"state,omitempty"`  // it is part of a cluster
	Looked  bool     `json:"looked,omitempty"` // for others, at least once
	Sees    []string `json:"sees,omitempty"`   // nodes of no cluster, itself among them

	// What its state says of the one who asks.
	Config uint64      `json:"config,omitempty"` // index of the newest set of members there
	Member bool        `json:"member,omitempty"` // who asks is one of them
	Of     *fsm.Member `json:"of,omitempty"`
}

// forming asks a node to promise that it will be in a cluster and in no other.
type forming struct {
	Cluster string   `json:"cluster"`
	Key     string   `json:"key"`
	Servers []server `json:"servers"`
}

// sight is what a node that looks for a cluster has seen.
type sight struct {
	fresh   []server // of no cluster, this node among them; by id
	state   *hello   // of a node that is part of one
	all     bool     // every address answered
	sees    map[string][]string
	members *hello // the answer with the newest set of members
}

// form brings the node into a cluster, and keeps its address there right.
func (n *Node) form(ctx context.Context) {
	every := formEvery / 10
	var said saying
	well := time.Now() // when all was well last
	for pause(ctx, every) {
		var err error
		switch conf := n.configuration(); {
		case len(conf.Servers) > 0:
			every = watchEvery
			err = n.keepPlace(ctx, conf)
		default:
			every = formEvery
			err = n.seek(ctx)
		}
		if err == nil {
			well = time.Now()
		} else if ctx.Err() == nil {
			every = watchEvery
			if time.Since(well) > formPatience && said.news(err.Error()) {
				n.c.Log.Warn("forming a cluster", "error", err)
			}
		}
	}
}

// sayEvery is between two times that a log says the same of something that
// goes on.
const sayEvery = 10 * time.Second

// saying is what was said last, so that it is not said all the time.
type saying struct {
	text string
	at   time.Time
}

// news reports whether text is to be said, again or for the first time.
func (s *saying) news(text string) bool {
	if text == s.text && time.Since(s.at) < sayEvery {
		return false
	}
	s.text, s.at = text, time.Now()
	return true
}

// seek is one step of a node that is in no cluster yet.
func (n *Node) seek(ctx context.Context) error {
	card := n.self.card()
	if len(card.Forming) > 0 { // a crash came between the promise and the start
		return n.start(ctx, card.Cluster, card.Key, card.Forming)
	}
	s := n.look(ctx)
	n.sayWaiting(card, s)
	switch {
	case s.state != nil:
		return n.enlist(ctx, s.state)
	case card.Cluster != "":
		return nil // the one that we promised will come
	case len(s.fresh) > n.c.Expect && n.c.Expect > 1:
		return fmt.Errorf("%d nodes look for a cluster of %d", len(s.fresh), n.c.Expect)
	case len(s.fresh) < n.c.Expect || n.c.Expect == 1 && (len(s.fresh) > 1 || !s.all):
		return nil
	case s.fresh[0].ID != n.id || n.c.NonVoter:
		return nil // the first by id starts
	}
	mine := ids(s.fresh)
	for _, f := range s.fresh {
		if f.ID != n.id && !slices.Equal(s.sees[f.ID], mine) {
			return nil // it does not see all of us yet
		}
	}
	return n.start(ctx, randomText(), secret.NewKey().Text(), s.fresh)
}

// sayWaiting tells whom a node without a cluster waits for.
func (n *Node) sayWaiting(card card, s sight) {
	if s.state != nil || card.Cluster != "" || len(n.c.Join) == 0 {
		return
	}
	seen := strings.Join(ids(s.fresh), " ")
	switch {
	case n.c.Expect > 1 && n.waiting.news(seen):
		n.c.Log.Info("waiting for nodes", "seen", seen, "expect", n.c.Expect)
	case n.c.Expect == 1 && s.all && len(s.fresh) > 1 && n.waiting.news(seen):
		n.c.Log.Warn("none of these nodes is in a cluster: start them with -bootstrap-expect to form one", "seen", seen)
	case n.c.Expect == 1 && !s.all && n.waiting.news(seen):
		n.c.Log.Info("looking for a cluster", "join", strings.Join(n.c.Join, " "))
	}
}

func ids(servers []server) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		out[i] = s.ID
	}
	return out
}

// look asks every address of Join, and tells who asks us what it saw.
func (n *Node) look(ctx context.Context) sight {
	s := sight{all: true, sees: map[string][]string{}}
	if n.self.cluster() == "" && !n.c.NonVoter {
		s.fresh = append(s.fresh, server{n.id, n.mux.advertise})
	}
	around := n.around()
	rand.Shuffle(len(around), func(i, j int) { around[i], around[j] = around[j], around[i] }) // the last may be cut off
	for _, addr := range around {
		h, err := n.hello(ctx, target{address: addr})
		switch {
		case err != nil:
			s.all = false
			continue
		case h.ID == n.id && h.Nonce != n.nonce:
			n.c.Log.Error("two nodes have one id", "node", n.id, "address", addr)
			s.all = false
			continue
		case h.ID == n.id || h.Cluster == "" && slices.Contains(ids(s.fresh), h.ID):
			continue
		}
		n.book.learn(h.ID, h.Address)
		n.judge(h)
		if h.State && (s.members == nil || h.Config > s.members.Config) {
			s.members = &h
		}
		switch {
		case h.State && h.Cluster != "":
			s.state = &h
		case h.Cluster == "" && slices.Contains(h.Sees, h.ID): // it would vote
			s.fresh = append(s.fresh, server{h.ID, h.Address})
			s.sees[h.ID] = h.Sees
		case !h.State && !h.Looked: // it is about to be in a cluster, or cannot tell yet
			s.all = false
		}
	}
	slices.SortFunc(s.fresh, func(a, b server) int { return strings.Compare(a.ID, b.ID) })
	sees := ids(s.fresh)
	n.sees.Store(&sees)
	return s
}

// around returns the addresses at which other nodes may be.
func (n *Node) around() []string {
	var out []string
	add := func(addr string) {
		if addr != n.mux.advertise && addr != n.c.Address && !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	for _, addr := range n.c.Join {
		add(addr)
	}
	for _, s := range n.configuration().Servers {
		if string(s.ID) != n.id {
			add(string(s.Address))
		}
	}
	return out
}

func (n *Node) hello(ctx context.Context, to target) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	var h hello
	b, err := n.peers.call(ctx, to, short, callHello)
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	if err == nil && (h.ID == "" || len(h.ID) > maxID || h.Address == "") {
		err = errors.New("hello says nothing")
	}
	return h, err
}

func (n *Node) serveHello(_ context.Context, from string, _ []byte) (reply, error) {
	h := hello{ID: n.id, Nonce: n.nonce, Address: n.mux.advertise, Cluster: n.self.cluster(),
		State: len(n.configuration().Servers) > 0 && !n.removed.Load()}
	if p := n.sees.Load(); p != nil && h.Cluster == "" {
		h.Looked, h.Sees = true, *p
	}
	var conf raft.Configuration
	conf, h.Config = n.machine.LastConfig()
	_, h.Member = serverOf(conf, from)
	h.Of = n.record(from)
	return jsonReply(h)
}

// record returns what this node's state says of a node; nil for nothing.
func (n *Node) record(id string) *fsm.Member {
	im := n.machine.Image()
	defer im.Release()
	for _, m := range im.Members() {
		if m.ID == id {
			return &m
		}
	}
	return nil
}

// serverOf returns a node of a configuration; false if it has none of that id.
func serverOf(conf raft.Configuration, id string) (raft.Server, bool) {
	i := slices.IndexFunc(conf.Servers, func(s raft.Server) bool { return string(s.ID) == id })
	if i < 0 {
		return raft.Server{}, false
	}
	return conf.Servers[i], true
}

// start begins a cluster of the given voters: all promise to be in it, this
// node first, and only then raft hears of it. Every step may be repeated.
func (n *Node) start(ctx context.Context, cluster, key string, servers []server) error {
	if err := n.promise(cluster, key, servers); err != nil {
		return err
	}
	n.peers.reset()
	b, err := json.Marshal(forming{cluster, key, servers})
	if err != nil {
		return err
	}
	conf := raft.Configuration{}
	for _, s := range servers {
		conf.Servers = append(conf.Servers, raft.Server{ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address)})
		if s.ID == n.id {
			continue
		}
		n.book.learn(s.ID, s.Address)
		call, cancel := context.WithTimeout(ctx, helloTime)
		_, err := n.peers.call(call, target{s.ID, s.Address}, short, callForm, b)
		cancel()
		if err != nil {
			return fmt.Errorf("node %s has not promised: %w", s.ID, err)
		}
	}
	if err := n.raft.BootstrapCluster(conf).Error(); err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("begin cluster: %w", err)
	}
	n.peers.reset() // the others know us as a member from now on
	n.c.Log.Info("cluster begun", "cluster", cluster, "voters", len(servers))
	return n.self.formed()
}

func (n *Node) serveForm(_ context.Context, from string, b []byte) (reply, error) {
	var f forming
	if err := json.Unmarshal(b, &f); err != nil || f.Cluster == "" {
		return reply{}, vfs.Invalid.With("form: bad request")
	}
	if !slices.Contains(ids(f.Servers), n.id) {
		return reply{}, vfs.Invalid.With("this node is not one of them")
	}
	if _, err := secret.ParseKey(f.Key); err != nil {
		return reply{}, vfs.Invalid.With("form: " + err.Error())
	}
	fresh := n.self.cluster() == ""
	if err := n.promise(f.Cluster, f.Key, nil); err != nil {
		return reply{}, vfs.Permission.With(err.Error())
	}
	for _, s := range f.Servers {
		n.book.learn(s.ID, s.Address)
	}
	if fresh {
		n.c.Log.Info("cluster promised", "cluster", f.Cluster, "to", from)
		n.crew.spawn(n.peers.reset)
	}
	return reply{}, nil
}

func jsonReply(v any) (reply, error) {
	b, err := json.Marshal(v)
	return reply{payload: b}, err
}
