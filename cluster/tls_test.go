package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/certs"
	"github.com/pfs-project/pfs/vfs"
)

// office issues certificates.
type office struct {
	t   testing.TB
	dir string
	a   *certs.Authority
}

func newOffice(t testing.TB) *office {
	t.Helper()
	a, err := certs.NewAuthority(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &office{t, t.TempDir(), a}
}

func (o *office) pair(id string, valid time.Duration) certs.Pair {
	o.t.Helper()
	p, err := o.a.Issue(id, nil, valid)
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

// files are those of a node; each has its own.
func (o *office) files(id string) TLSFiles {
	o.t.Helper()
	f := TLSFiles{CA: filepath.Join(o.dir, id+"-ca.pem")}
	f.Cert, f.Key = certs.Files(o.dir, id)
	o.replace(f, o.a.Pair().Cert, o.pair(id, time.Hour))
	return f
}

func (o *office) replace(f TLSFiles, ca []byte, p certs.Pair) {
	o.t.Helper()
	for name, text := range map[string][]byte{f.CA: ca, f.Cert: p.Cert, f.Key: p.Key} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
}

// client is a certificate of the authority that names no node.
func (o *office) client() tls.Certificate {
	o.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		o.t.Fatal(err)
	}
	ca, err := tls.X509KeyPair(o.a.Pair().Cert, o.a.Pair().Key)
	if err != nil {
		o.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n2"}, DNSNames: []string{"n2"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		o.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// trust is what a node of that id would have.
func (o *office) trust(id string) *trust {
	o.t.Helper()
	t, err := openTrust(o.files(id), id, slog.New(slog.DiscardHandler), newMetrics().reloads)
	if err != nil {
		o.t.Fatal(err)
	}
	return t
}

// journal is a log that tests read.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) has(words ...string) bool {
	for line := range strings.Lines(j.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// count is a counter of the node, of all labels or of one value.
func (n *Node) count(t testing.TB, name, label string) (sum int) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(n.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				sum += int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return sum
}

func TestTLS(t *testing.T) {
	o := newOffice(t)
	g := newGang(t, 3, func(i int, c *Config) { c.TLS = o.files(c.NodeID) })
	g.write(0, "/m/a", "x")
	big := strings.Repeat("0123456789abcdef", 1<<16) // chunks go under TLS too
	g.propose(1, writeOp("/m/big", g.keep(1, []byte(big))))
	g.sameDigest()
	for i, n := range g.nodes {
		var s Status
		poll(t, "all to answer", func() bool {
			s = n.Status(testContext(t), false)
			return !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.State == "unreachable" })
		})
		if s.NodePort != portTLS {
			t.Errorf("node %d: %s", i+1, s.NodePort)
		}
		for _, o := range s.Nodes {
			if o.CertExpires == nil || time.Until(*o.CertExpires) > time.Hour {
				t.Errorf("node %d says of %s that its certificate ends at %v", i+1, o.ID, o.CertExpires)
			}
		}
		if left := time.Until(time.Unix(int64(n.count(t, "pfs_node_certificate_expiry_seconds", "")), 0)); left < time.Minute || left > time.Hour {
			t.Errorf("node %d: its certificate expires in %s", i+1, left)
		}
	}
	if b, err := g.read(2, "/m/a", vfs.Level{Linearizable: true}); string(b) != "x" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestRotation replaces the certificates of all nodes, and then their
// authority, while clients write.
func TestRotation(t *testing.T) {
	o, next := newOffice(t), newOffice(t)
	g := newGang(t, 3, func(i int, c *Config) {
		c.TLS = o.files(c.NodeID)
		c.Election = unshaken
	})
	ctx, cancel := context.WithCancel(t.Context())
	var (
		wg     sync.WaitGroup
		writes atomic.Int64
	)
	for _, n := range g.nodes {
		wg.Go(func() {
			for ; ctx.Err() == nil; writes.Add(1) {
				r := writeOp("/m/a", vfs.Content{Data: []byte(n.ID())})
				out, err := n.Propose(testContext(t), r)
				if err = errors.Join(err, out.Err); err != nil {
					t.Errorf("write at %s: %v", n.ID(), err)
				}
			}
		})
	}
	old, fresh := o.a.Pair().Cert, next.a.Pair().Cert
	both := append(append([]byte{}, old...), fresh...)
	for step, set := range []struct {
		ca []byte
		of *office
	}{{old, o}, {both, o}, {both, next}, {fresh, next}} {
		for i, n := range g.nodes {
			p := set.of.pair(n.ID(), time.Hour)
			o.replace(g.conf[i].TLS, set.ca, p)
			if err := n.ReloadCertificates(); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			for j, other := range g.nodes { // fresh streams in every mixture
				if j != i {
					n.peers.reset()
					n.net.CloseStreams()
					poll(t, fmt.Sprintf("step %d, %s to %s", step, n.ID(), other.ID()), func() bool {
						_, err := n.hello(ctx, target{other.ID(), other.Address()})
						return err == nil
					})
				}
			}
		}
		if got := g.nodes[0].count(t, "pfs_node_certificate_reloads_total", "ok"); got < step+1 { // it looks at the files itself, too
			t.Errorf("step %d: %d reloads", step, got)
		}
	}
	done := writes.Load()
	poll(t, "writes after the rotation", func() bool { return writes.Load() > done+10 })
	cancel()
	wg.Wait()
	g.sameDigest()
}

// TestCertificateFiles watches the files: what is whole is taken once it stands
// still, what is broken is told of once and leaves the old.
func TestCertificateFiles(t *testing.T) {
	o := newOffice(t)
	var log journal
	reloads := newMetrics().reloads
	f := o.files("n1")
	tr, err := openTrust(f, "n1", log.logger(), reloads)
	if err != nil {
		t.Fatal(err)
	}
	watch := func() (stop func()) { // not while the test is half-way through the files: it may be held up there
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { tr.watch(ctx, 100*time.Millisecond) })
		return func() { cancel(); wg.Wait() }
	}
	errors := func() int { return strings.Count(log.String(), "level=ERROR") }
	first := tr.now.Load()
	for i, broken := range []struct {
		text string
		make func()
	}{
		{"PEM", func() { o.replace(f, []byte("what"), o.pair("n1", time.Hour)) }},
		{"private key does not match", func() {
			o.replace(f, o.a.Pair().Cert, certs.Pair{Cert: o.pair("n1", time.Hour).Cert, Key: o.pair("n1", time.Hour).Key})
		}},
		{"is the certificate of node", func() { o.replace(f, o.a.Pair().Cert, o.pair("n2", time.Hour)) }},
		{"has expired", func() { o.replace(f, o.a.Pair().Cert, o.pair("n1", -time.Minute)) }},
		{"no such file", func() { _ = os.Remove(f.Key) }},
	} {
		broken.make()
		stop := watch()
		poll(t, "an error about "+broken.text, func() bool { return log.has("level=ERROR", broken.text) })
		holds(t, "it is told of once", 300*time.Millisecond, func() bool { return errors() == i+1 })
		stop()
		if tr.now.Load() != first || errors() != i+1 {
			t.Errorf("%s: taken, or told of more than once:\n%s", broken.text, log.String())
		}
	}
	second := o.pair("n1", time.Hour/2)
	o.replace(f, o.a.Pair().Cert, second)
	defer watch()()
	poll(t, "the new certificate", func() bool { return tr.now.Load() != first })
	if s := tr.now.Load(); time.Until(s.Expires) > time.Hour/2 || !log.has("node certificates replaced") {
		t.Errorf("expires %v", s.Expires)
	}
}

// TestCertificateSettings starts nodes that must not start.
func TestCertificateSettings(t *testing.T) {
	o := newOffice(t)
	n1 := o.files("n1")
	for name, c := range map[string]struct {
		want string
		edit func(*Config)
	}{
		"off loopback":       {"pfs cluster init-certs", func(c *Config) { c.Address = "0.0.0.0:0" }},
		"advertised":         {"pfs cluster init-certs", func(c *Config) { c.Advertise = "10.1.2.3:7946" }},
		"by name":            {"pfs cluster init-certs", func(c *Config) { c.Advertise = "node.example:7946" }},
		"one file":           {"all three or none", func(c *Config) { c.TLS.CA = n1.CA }},
		"no such file":       {"no such file", func(c *Config) { c.TLS = n1; c.TLS.Key += "x" }},
		"of another node":    {`of node "n1"`, func(c *Config) { c.TLS, c.NodeID = n1, "n2" }},
		"of another cluster": {"unknown authority", func(c *Config) { c.TLS = n1; c.TLS.CA = newOffice(t).files("n1").CA }},
	} {
		conf := Config{NodeID: "n1", Dir: filepath.Join(t.TempDir(), "data"), Address: "127.0.0.1:0"}
		c.edit(&conf)
		n, err := Start(t.Context(), conf)
		if n != nil {
			t.Errorf("%s: it starts", name)
			_ = n.Stop(t.Context())
			continue
		}
		if !errors.As(err, new(*ConfigError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, edit := range map[string]func(*Config){
		portTLS:      func(c *Config) { c.TLS, c.Address, c.Advertise = n1, "0.0.0.0:0", "10.1.2.3:7946" },
		portPlain:    func(c *Config) { c.Address, c.Advertise, c.Plaintext = "0.0.0.0:0", "10.1.2.3:7946", true },
		portLoopback: func(c *Config) { c.Address, c.Advertise = "127.0.0.1:0", "localhost:7946" },
	} {
		var log journal
		conf := Config{NodeID: "n1", Dir: filepath.Join(t.TempDir(), "data"), Log: log.logger()}
		edit(&conf)
		n, err := Start(t.Context(), conf)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := n.Status(testContext(t), false).NodePort; got != want || log.has("level=WARN", "plain TCP") != (want == portPlain) {
			t.Errorf("%s: %s\n%s", want, got, log.String())
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestWhoIsThere dials nodes that are not who they should be.
func TestWhoIsThere(t *testing.T) {
	o, other := newOffice(t), newOffice(t)
	g := newGang(t, 1, func(_ int, c *Config) { c.TLS = o.files(c.NodeID) })
	addr := g.nodes[0].Address()
	dial := func(tr *trust, id string, to target) error {
		var log journal
		m := &mux{self: &identity{c: card{Node: id}}, trust: tr, dialer: dialTCP, refused: newRefusals(log.logger())}
		c, _, err := m.connect(testContext(t), streamCall, to)
		if err == nil {
			return c.Close()
		}
		if told := log.has("reason=dialled"); !told {
			t.Errorf("not told of: %v", err)
		}
		return err
	}
	if err := dial(o.trust("n2"), "n2", target{"n1", addr}); err != nil {
		t.Errorf("a node: %v", err)
	}
	if err := dial(o.trust("n2"), "n2", target{"", addr}); err != nil {
		t.Errorf("whoever is there: %v", err)
	}
	if err := dial(o.trust("n2"), "n2", target{"n3", addr}); err == nil || !strings.Contains(err.Error(), "certificate of node n1, not n3") {
		t.Errorf("another node: %v", err)
	}
	if err := dial(other.trust("n2"), "n2", target{"n1", addr}); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("of another authority: %v", err)
	}
	// One that has a certificate, and says that it is another.
	liar, err := listenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer liar.Close()
	go func() {
		for {
			c, err := liar.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				s, _, err := o.trust("n4").accept(context.Background(), c)
				if err != nil {
					return
				}
				_, _ = io.ReadFull(s, make([]byte, 1))
				var hi greeting
				if readShort(s, &hi) == nil {
					_ = writeShort(s, nil, welcome{ID: "n1"})
				}
			}()
		}
	}()
	if err := dial(o.trust("n2"), "n2", target{"", liar.Addr().String()}); err == nil || !strings.Contains(err.Error(), `answers as "n1"`) {
		t.Errorf("a liar: %v", err)
	}
}
