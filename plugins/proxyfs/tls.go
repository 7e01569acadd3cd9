package proxyfs

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/pfs-project/pfs/vfs"
)

// tlsSettings say how a server proves who it is.
type tlsSettings struct {
	ca   string // PEM file on this node; "": the system's roots
	name string // "": that in the URL
	skip bool
}

func newTLS(c vfs.Config) (s tlsSettings, err error) {
	if s.ca, err = c.String("tls_ca_file", ""); err != nil {
		return s, err
	}
	if s.name, err = c.String("tls_server_name", ""); err != nil {
		return s, err
	}
	s.skip, err = c.Bool("tls_skip_verify", false)
	if err == nil && s.skip && s.ca != "" {
		err = vfs.Invalid.With("tls_ca_file and tls_skip_verify contradict each other: leave one out")
	}
	return s, err
}

// config reads the file anew.
func (s tlsSettings) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.name, InsecureSkipVerify: s.skip}
	if s.ca == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, vfs.Invalid.Withf("tls_ca_file on this node: %v", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, vfs.Invalid.Withf("tls_ca_file %s has no certificate in PEM form", s.ca)
	}
	return c, nil
}
