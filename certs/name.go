package certs

import (
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
)

const (
	scheme = "pfs"
	kind   = "node"
)

// ErrNoNode says that a certificate does not name a node, or more than one: it
// is a client's, or not of PFS at all.
var ErrNoNode = errors.New("certificate names no node (a URI pfs://node/ID)")

func uri(node string) *url.URL { return &url.URL{Scheme: scheme, Host: kind, Path: "/" + node} }

// Node returns the id of the node that a certificate names, or ErrNoNode.
func Node(c *x509.Certificate) (id string, err error) {
	for _, u := range c.URIs {
		if u.Scheme != scheme || u.Host != kind {
			continue
		}
		name := strings.TrimPrefix(u.Path, "/")
		if id != "" || name == "" {
			return "", ErrNoNode
		}
		id = name
	}
	if id == "" {
		return "", ErrNoNode
	}
	return id, nil
}
