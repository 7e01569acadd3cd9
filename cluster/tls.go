package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/certs"
)

// TLSFiles are the PEM files of a node: the authorities that it trusts, its
// certificate and the key. Either all or none are named.
type TLSFiles struct{ CA, Cert, Key string }

func (f TLSFiles) names() []string { return []string{f.CA, f.Cert, f.Key} }

const (
	tlsRecord = 22              // the first byte that a TLS client sends
	certsPoll = 3 * time.Second // between two looks at the files
)

// trust is the node's side of TLS: what it shows and whom it believes. Streams
// that are begun use what the files held last; those that stand are left alone.
// A nil *trust is plain TCP.
type trust struct {
	files   TLSFiles
	node    string
	log     *slog.Logger
	reloads *prometheus.CounterVec // by how they ended
	now     atomic.Pointer[certs.Set]

	mu    sync.Mutex
	tried found // when the files were last read in
}

// found is what the files hold, or why they cannot be read.
type found struct {
	texts [][]byte
	err   error
}

func (f found) same(o found) bool {
	return fmt.Sprint(f.err) == fmt.Sprint(o.err) && slices.EqualFunc(f.texts, o.texts, bytes.Equal)
}

// openTrust reads the files; nil without an error if none are named.
func openTrust(f TLSFiles, node string, log *slog.Logger, reloads *prometheus.CounterVec) (*trust, error) {
	named := slices.DeleteFunc(f.names(), func(s string) bool { return s == "" })
	if len(named) == 0 {
		return nil, nil
	}
	if len(named) < len(f.names()) {
		return nil, &ConfigError{errors.New("cluster.tls_ca, tls_cert and tls_key go together: name all three or none")}
	}
	t := &trust{files: f, node: node, log: log, reloads: reloads}
	t.tried = t.look()
	s, err := t.parse(t.tried)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("node certificates: %w", err)}
	}
	if time.Now().After(s.Expires) {
		log.Error("the node's certificate has expired: peers refuse it until the file is replaced", "file", f.Cert, "expired", s.Expires)
	}
	t.now.Store(s)
	for _, outcome := range []string{"ok", "failed"} {
		reloads.WithLabelValues(outcome)
	}
	return t, nil
}

func (t *trust) look() found {
	var f found
	for _, name := range t.files.names() {
		b, err := os.ReadFile(name)
		if err != nil {
			return found{err: err}
		}
		f.texts = append(f.texts, b)
	}
	return f
}

func (t *trust) parse(f found) (*certs.Set, error) {
	if f.err != nil {
		return nil, f.err
	}
	s, err := certs.NewSet(f.texts[0], certs.Pair{Cert: f.texts[1], Key: f.texts[2]})
	if err != nil {
		return nil, err
	}
	if s.Node != t.node {
		return nil, fmt.Errorf("%s is the certificate of node %q, but this is node %q", t.files.Cert, s.Node, t.node)
	}
	return s, nil
}

// watch reads the files in when they have changed, until ctx is done. It waits
// until they stand still for one look: three files do not change at once.
func (t *trust) watch(ctx context.Context, every time.Duration) {
	for last := t.tried; pause(ctx, every); {
		f := t.look()
		if f.same(last) && !f.same(t.known()) {
			if err := t.take(f); err != nil {
				t.log.Error("node certificates are not replaced", "error", err)
			}
		}
		last = f
	}
}

func (t *trust) known() found {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tried
}

// take makes what was found what the node shows and trusts; if that cannot be,
// all stays as it is.
func (t *trust) take(f found) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tried = f
	s, err := t.parse(f)
	if err == nil && time.Now().After(s.Expires) {
		err = fmt.Errorf("%s has expired", t.files.Cert)
	}
	if err != nil {
		t.reloads.WithLabelValues("failed").Inc()
		return err
	}
	t.now.Store(s)
	t.reloads.WithLabelValues("ok").Inc()
	t.log.Info("node certificates replaced", "node", s.Node, "expires", s.Expires)
	return nil
}

// secured is a stream under TLS. Its Close does not say goodbye to the other
// side, which might keep it waiting: what is sent tells its own length.
type secured struct {
	*tls.Conn
	raw net.Conn
}

func (s *secured) Close() error { return s.raw.Close() }

// accept does the accepting side's handshake, and returns the id that the
// other node's certificate names.
func (t *trust) accept(ctx context.Context, c net.Conn) (net.Conn, string, error) {
	set := t.now.Load()
	return t.shake(ctx, set, x509.ExtKeyUsageClientAuth, c, func(conf *tls.Config) *tls.Conn {
		conf.ClientAuth = tls.RequireAnyClientCert // and Peer looks at it
		conf.SessionTicketsDisabled = true         // every stream shows a certificate
		return tls.Server(c, conf)
	})
}

// dial does the dialling side's handshake, likewise.
func (t *trust) dial(ctx context.Context, c net.Conn) (net.Conn, string, error) {
	set := t.now.Load()
	return t.shake(ctx, set, x509.ExtKeyUsageServerAuth, c, func(conf *tls.Config) *tls.Conn {
		conf.InsecureSkipVerify = true // no host name decides, and Peer looks at the rest
		return tls.Client(c, conf)
	})
}

func (t *trust) shake(ctx context.Context, set *certs.Set, use x509.ExtKeyUsage, raw net.Conn,
	side func(*tls.Config) *tls.Conn) (net.Conn, string, error) {
	var (
		id     string
		peer   error
		verify = func(s tls.ConnectionState) error {
			id, peer = set.Peer(s.PeerCertificates, use, time.Now())
			return peer
		}
	)
	c := side(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{set.Cert}, VerifyConnection: verify})
	err := c.HandshakeContext(ctx)
	switch {
	case peer != nil:
		return nil, "", &peerError{peer}
	case err != nil:
		return nil, "", fmt.Errorf("TLS handshake: %w", err)
	}
	return &secured{c, raw}, id, nil
}

// peerError is a certificate of another node that this one does not take.
type peerError struct{ error }

func (e *peerError) Unwrap() error { return e.error }

// begun is a stream whose first byte was looked at.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// peek reads one byte ahead.
func peek(c net.Conn) (*begun, error) {
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return nil, err
	}
	return &begun{c, first[:]}, nil
}
