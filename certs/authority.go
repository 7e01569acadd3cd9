package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// skew is how far the clock of a node may be behind that of the authority.
const skew = time.Hour

// Pair is a certificate and its private key, both PEM.
type Pair struct{ Cert, Key []byte }

// Authority signs the certificates of one cluster's nodes.
type Authority struct {
	pair Pair
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes an authority that is valid from now on for a time.
func NewAuthority(valid time.Duration) (*Authority, error) {
	name := make([]byte, 4)
	if _, err := rand.Read(name); err != nil {
		return nil, err
	}
	// The name differs from that of every other one: while one authority
	// replaces another, nodes trust both.
	t := template("PFS cluster authority "+hex.EncodeToString(name), valid)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	p, err := sign(t, nil)
	if err != nil {
		return nil, err
	}
	return ParseAuthority(p)
}

// ParseAuthority reads an authority from its PEM texts.
func ParseAuthority(p Pair) (*Authority, error) {
	c, err := parseCert(p.Cert)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	b, _ := pem.Decode(p.Key)
	if b == nil {
		return nil, errors.New("authority: the key is not PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return nil, fmt.Errorf("authority: key: %w", err)
	}
	key, ok := k.(crypto.Signer)
	if !ok || !c.IsCA {
		return nil, errors.New("authority: not one that can sign")
	}
	if pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(c.PublicKey) {
		return nil, errors.New("authority: the key is not that of the certificate")
	}
	return &Authority{p, c, key}, nil
}

// Pair returns the authority's own certificate and key.
func (a *Authority) Pair() Pair { return a.pair }

// Expires returns until when the authority's certificate is valid.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// Issue makes the certificate of a node, valid from now on for a time, but not
// for longer than the authority. The hosts, names or IP addresses, are for
// other tools: nodes do not look at them.
func (a *Authority) Issue(node string, hosts []string, valid time.Duration) (Pair, error) {
	if node == "" {
		return Pair{}, errors.New("a node needs an id")
	}
	t := template(node, valid)
	t.URIs = []*url.URL{uri(node)}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return sign(t, a)
}

func template(name string, valid time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-skew), NotAfter: now.Add(valid)}
}

// sign makes a key and a certificate of it, signed by a or, without one, by
// itself.
func sign(t *x509.Certificate, a *Authority) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	parent, signer := t, crypto.Signer(key)
	if a != nil {
		parent, signer = a.cert, a.key
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return Pair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}

// parseCert reads the first certificate of a PEM text.
func parseCert(text []byte) (*x509.Certificate, error) {
	b, _ := pem.Decode(text)
	if b == nil || b.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM certificate")
	}
	return x509.ParseCertificate(b.Bytes)
}
