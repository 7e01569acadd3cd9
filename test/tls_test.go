package test

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
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// papers are the certificate files of a cluster, and the node's copies.
type papers struct {
	t        *testing.T
	bin, dir string
}

// newPapers makes an authority, in "old", and gives the nodes certificates of it.
func newPapers(t *testing.T, ids ...string) *papers {
	t.Helper()
	p := &papers{t, harness.Build(t), t.TempDir()}
	p.initCerts("old", ids...)
	for _, id := range ids {
		p.install(id, "old", "old/ca.pem")
	}
	return p
}

func (p *papers) initCerts(dir string, args ...string) {
	p.t.Helper()
	args = append([]string{"cluster", "init-certs", "--dir", filepath.Join(p.dir, dir)}, args...)
	if out, err := harness.Output(filepath.Join(p.bin, "pfs"), args...); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}

func (p *papers) read(name ...string) (text []byte) {
	p.t.Helper()
	for _, n := range name {
		b, err := os.ReadFile(filepath.Join(p.dir, n))
		if err != nil {
			p.t.Fatal(err)
		}
		text = append(text, b...)
	}
	return text
}

// install gives a node its files: authorities, and its pair from a directory.
func (p *papers) install(id, from string, authorities ...string) {
	p.t.Helper()
	for name, text := range map[string][]byte{
		id + "/ca.pem": p.read(authorities...), id + "/cert.pem": p.read(from + "/" + id + ".pem"), id + "/key.pem": p.read(from + "/" + id + "-key.pem"),
	} {
		name = filepath.Join(p.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o600)); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *papers) config(id string) string {
	dir := filepath.Join(p.dir, id)
	return fmt.Sprintf("cluster: {tls_ca: %s/ca.pem, tls_cert: %s/cert.pem, tls_key: %s/key.pem}\nplugins: {memfs: {path: /memfs}}\n", dir, dir, dir)
}

// client is a certificate of the authority in dir that names no node.
func (p *papers) client(dir string) tls.Certificate {
	p.t.Helper()
	ca, err := tls.X509KeyPair(p.read(dir+"/ca.pem"), p.read(dir+"/ca-key.pem"))
	if err != nil {
		p.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n2"}, DNSNames: []string{"n2"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// metric is a figure of a node; 0 if it has none of that name and label.
func metric(t *testing.T, n *harness.Node, name string) (v float64) {
	t.Helper()
	for line := range strings.Lines(web{t, n.URL + "/api/v1"}.metrics()) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatal(err)
			}
		}
	}
	return v
}

func refused(reason string) string {
	return fmt.Sprintf("pfs_node_port_refused_total{reason=%q}", reason)
}

// logged reports whether a line of the node's log has all words.
func logged(t *testing.T, n *harness.Node, words ...string) bool {
	t.Helper()
	b, err := os.ReadFile(n.Log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		all := true
		for _, w := range words {
			all = all && bytes.Contains(line, []byte(w))
		}
		if all {
			return true
		}
	}
	return false
}

// TestNodeCertificates runs three nodes under TLS, replaces their certificates
// and then the authority while clients write without retrying, and shows them
// who is not to be let in.
func TestNodeCertificates(t *testing.T) {
	t.Parallel()
	ids := []string{"n1", "n2", "n3"}
	p := newPapers(t, ids...)
	c := harness.Start(t, harness.Options{Nodes: 3, Bin: p.bin, Config: func(i int) string { return p.config(ids[i]) }})
	if s := (web{t, c.Nodes[0].URL + "/api/v1"}).want(200, "GET", "/cluster", "").body; !strings.Contains(s, `"node_port":"tls"`) {
		t.Errorf("cluster: %s", s)
	}
	rotate(t, p, c)
	c.Nodes[2].Stop() // and all streams are new
	c.Nodes[2].Start()
	c.Ready()
	c.SameDigest()
	outsiders(t, p, c)
}

// rotate replaces all certificates under a load of which nothing may fail.
func rotate(t *testing.T, p *papers, c *harness.Cluster) {
	ctx, stop := context.WithCancel(t.Context())
	var (
		wg      sync.WaitGroup
		writes  atomic.Int64
		excused atomic.Int64
	)
	defer wg.Wait()
	defer stop()
	for i, n := range c.Nodes {
		cl := n.Client()
		term := metric(t, n, "pfs_term")
		elected := func() bool { // a machine that stands still has leaders elected, whatever they show each other
			return harness.Poll(10*time.Second, func() bool {
				was := term
				term = metric(t, n, "pfs_term")
				return term > was || ctx.Err() != nil
			})
		}
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				path := fmt.Sprintf("/memfs/c%d-%d", i, k%10)
				if _, err := cl.WriteFile(ctx, path, []byte("x")); err != nil && ctx.Err() == nil {
					// One election interrupts a write on each node.
					if !errors.Is(err, vfs.Unavailable) || !elected() || excused.Add(1) > 6 {
						t.Errorf("write through %s: %v", n.ID, err)
					}
					continue
				}
				if _, err := cl.ReadFile(ctx, path); err != nil && ctx.Err() == nil {
					t.Errorf("read through %s: %v", n.ID, err)
				}
				writes.Add(1)
			}
		})
	}
	expires := metric(t, c.Nodes[0], "pfs_node_certificate_expiry_seconds")
	p.initCerts("renewed", "--ca", filepath.Join(p.dir, "old"), "--days", "90", "n1", "n2", "n3")
	p.initCerts("new", "--days", "90", "n1", "n2", "n3")
	for step, s := range []struct {
		from string
		ca   []string
		hup  bool
	}{
		{"renewed", []string{"old/ca.pem"}, false}, // noticed without a word
		{"renewed", []string{"old/ca.pem", "new/ca.pem"}, true},
		{"new", []string{"old/ca.pem", "new/ca.pem"}, true},
		{"new", []string{"new/ca.pem"}, true},
	} {
		for _, n := range c.Nodes {
			name := `pfs_node_certificate_reloads_total{outcome="ok"}`
			was := metric(t, n, name)
			p.install(n.ID, s.from, s.ca...)
			if s.hup {
				n.Signal(syscall.SIGHUP)
			}
			// It is more than once where the node has noticed before the signal came.
			if !harness.Poll(30*time.Second, func() bool { return metric(t, n, name) > was }) {
				t.Fatalf("step %d: %s has not replaced its certificates\n%s", step, n.ID, n.Tail())
			}
		}
	}
	if now := metric(t, c.Nodes[0], "pfs_node_certificate_expiry_seconds"); now >= expires || now < float64(time.Now().Unix()) {
		t.Errorf("expired at %f, and now at %f", expires, now)
	}
	n := writes.Load()
	if !harness.Poll(30*time.Second, func() bool { return writes.Load() > n+20 }) {
		t.Error("no writes after the rotation")
	}
	t.Logf("%d writes and reads", writes.Load())
}

// outsiders are not let in.
func outsiders(t *testing.T, p *papers, c *harness.Cluster) {
	n1 := c.Nodes[0]
	turned := func(what, reason string, act func()) {
		was := metric(t, n1, refused(reason))
		act()
		if !harness.Poll(20*time.Second, func() bool { return metric(t, n1, refused(reason)) > was }) {
			t.Errorf("%s: not counted as %s", what, reason)
		}
		if !harness.Poll(20*time.Second, func() bool { return logged(t, n1, "level=WARN", "reason="+reason) }) {
			t.Errorf("%s: not in the log\n%s", what, n1.Tail())
		}
	}
	p.initCerts("wrong", "n4")
	p.install("n4", "wrong", "wrong/ca.pem")
	stranger := func(until func(out string) bool, args ...string) (out string, code int) {
		args = append([]string{"-addr", "127.0.0.1:0", "-node-id", "n4", "-data-dir", t.TempDir()}, args...)
		var b syncBuffer
		cmd := exec.Command(filepath.Join(p.bin, "pfs-server"), args...)
		cmd.Stdout, cmd.Stderr = &b, &b
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // what it ends with is looked at below
			close(ended)
		}()
		harness.Poll(time.Minute, func() bool {
			select {
			case <-ended:
				return true
			default:
				return until(b.String())
			}
		})
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		return b.String(), cmd.ProcessState.ExitCode()
	}
	says := func(what string) func(string) bool {
		return func(out string) bool { return strings.Contains(out, what) }
	}
	join := []string{"-raft-addr", "127.0.0.1:0", "-join", n1.Raft, "-bootstrap-expect", "3"}
	dir := filepath.Join(p.dir, "n4")
	files := []string{"-tls-ca", dir + "/ca.pem", "-tls-cert", dir + "/cert.pem", "-tls-key", dir + "/key.pem"}
	turned("a node of another authority", "handshake", func() {
		if out, _ := stranger(says("unknown authority"), append(join, files...)...); !strings.Contains(out, "unknown authority") {
			t.Errorf("it does not say why it cannot join:\n%s", out)
		}
	})
	turned("a node without certificates", "plaintext", func() {
		was := metric(t, n1, refused("plaintext"))
		stranger(func(string) bool { return metric(t, n1, refused("plaintext")) > was }, join...)
	})
	turned("a client of the same authority", "not_a_node", func() {
		conn, err := tls.Dial("tcp", n1.Raft, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{p.client("new")}})
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("not closed: %v", err)
		}
	})
	for _, args := range [][]string{{"-raft-addr", "0.0.0.0:0"}, {"-raft-addr", "127.0.0.1:0", "-raft-advertise", "10.1.2.3:7946"}} {
		if out, code := stranger(func(string) bool { return false }, args...); code != 2 || !strings.Contains(out, "pfs cluster init-certs") || strings.Count(out, "\n") != 1 {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
	if out, _ := stranger(says("plain TCP"), "-raft-addr", ports.Free(t, 1)[0], "-raft-advertise", "10.1.2.3:7946", "-raft-plaintext"); !strings.Contains(out, "level=WARN") || !strings.Contains(out, "plain TCP") {
		t.Errorf("plain TCP that was asked for:\n%s", out)
	}
}
