package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Set is what a node shows to others and whom it trusts. It does not change.
type Set struct {
	Node    string          // the id that the node's certificate names
	Expires time.Time       // when it does
	Cert    tls.Certificate // with its key
	roots   *x509.CertPool
}

// NewSet reads the PEM texts of a node: the authorities that it trusts, one or
// several, and its own pair. The pair must be of one of those authorities and
// name a node; it may have expired.
func NewSet(authorities []byte, p Pair) (*Set, error) {
	s := &Set{roots: x509.NewCertPool()}
	if !s.roots.AppendCertsFromPEM(authorities) {
		return nil, errors.New("no PEM certificate of an authority")
	}
	var err error
	if s.Cert, err = tls.X509KeyPair(p.Cert, p.Key); err != nil {
		return nil, err
	}
	leaf := s.Cert.Leaf
	if s.Node, err = Node(leaf); err != nil {
		return nil, err
	}
	s.Expires = leaf.NotAfter
	chain := []*x509.Certificate{leaf}
	for _, der := range s.Cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	at := time.Now()
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := s.Peer(chain, use, at); err != nil {
			return nil, fmt.Errorf("the node's own certificate: %w", err)
		}
	}
	return s, nil
}

// Peer returns the id of the node that has shown a chain of certificates, its
// own first, for a use at a time. One that this set does not trust is an error,
// and so is one that names no node (ErrNoNode).
func (s *Set) Peer(chain []*x509.Certificate, use x509.ExtKeyUsage, at time.Time) (id string, err error) {
	if len(chain) == 0 {
		return "", errors.New("no certificate was shown")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: s.roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use}})
	if err != nil {
		return "", err
	}
	return Node(chain[0])
}
