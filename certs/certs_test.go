package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, node string, valid time.Duration) Pair {
	t.Helper()
	p, err := a.Issue(node, []string{"host", "10.0.0.1"}, valid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newSet(t *testing.T, roots []byte, p Pair) *Set {
	t.Helper()
	s, err := NewSet(roots, p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown is the chain that a pair is shown with.
func shown(t *testing.T, p Pair) []*x509.Certificate {
	t.Helper()
	c, err := parseCert(p.Cert)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

func TestPeers(t *testing.T) {
	a, other := authority(t), authority(t)
	for _, id := range []string{"n1", "a.b-c_d", "käse", "a/b"} {
		p := issue(t, a, id, time.Hour/2)
		s := newSet(t, a.Pair().Cert, p)
		if s.Node != id || time.Until(s.Expires) > time.Hour/2 {
			t.Errorf("%q: %+v", id, s)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if got, err := s.Peer(shown(t, p), use, time.Now()); got != id || err != nil {
				t.Errorf("%q: %q, %v", id, got, err)
			}
		}
	}
	n1 := issue(t, a, "n1", time.Hour)
	if c := shown(t, n1)[0]; c.DNSNames[0] != "host" || c.IPAddresses[0].String() != "10.0.0.1" {
		t.Errorf("hosts: %v %v", c.DNSNames, c.IPAddresses)
	}
	s := newSet(t, a.Pair().Cert, n1)
	alien := shown(t, issue(t, other, "n2", time.Hour))
	if _, err := s.Peer(alien, x509.ExtKeyUsageClientAuth, time.Now()); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("of another authority: %v", err)
	}
	both := newSet(t, append(append([]byte{}, a.Pair().Cert...), other.Pair().Cert...), n1)
	if id, err := both.Peer(alien, x509.ExtKeyUsageClientAuth, time.Now()); id != "n2" || err != nil {
		t.Errorf("two authorities: %q, %v", id, err)
	}
	if _, err := s.Peer(nil, x509.ExtKeyUsageClientAuth, time.Now()); err == nil {
		t.Error("no certificate is enough")
	}
	if _, err := s.Peer(shown(t, n1), x509.ExtKeyUsageClientAuth, s.Expires.Add(time.Second)); err == nil {
		t.Error("an expired certificate is taken")
	}
	if _, err := s.Peer(shown(t, a.Pair()), x509.ExtKeyUsageClientAuth, time.Now()); err == nil {
		t.Error("the authority itself is taken for a node")
	}
}

// A certificate of the authority that does not name one node is not a node's.
func TestNoNode(t *testing.T) {
	a := authority(t)
	s := newSet(t, a.Pair().Cert, issue(t, a, "n1", time.Hour))
	for name, uris := range map[string][]*url.URL{
		"none":       nil,
		"two":        {uri("n1"), uri("n2")},
		"empty":      {uri("")},
		"other kind": {{Scheme: "pfs", Host: "client", Path: "/n1"}},
		"web":        {{Scheme: "https", Host: "node", Path: "/n1"}},
	} {
		c := template("n1", time.Hour)
		c.URIs = uris
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		p, err := sign(c, a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Peer(shown(t, p), x509.ExtKeyUsageClientAuth, time.Now()); !errors.Is(err, ErrNoNode) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := NewSet(a.Pair().Cert, p); !errors.Is(err, ErrNoNode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadSets(t *testing.T) {
	a, other := authority(t), authority(t)
	n1, n2 := issue(t, a, "n1", time.Hour), issue(t, a, "n2", time.Hour)
	root := a.Pair().Cert
	for name, err := range map[string]error{
		"no authority":      second(NewSet(nil, n1)),
		"other authority":   second(NewSet(other.Pair().Cert, n1)),
		"key of another":    second(NewSet(root, Pair{n1.Cert, n2.Key})),
		"no certificate":    second(NewSet(root, Pair{nil, n1.Key})),
		"cut certificate":   second(NewSet(root, Pair{n1.Cert[:len(n1.Cert)/2], n1.Key})),
		"no key":            second(NewSet(root, Pair{n1.Cert, []byte("what")})),
		"authority":         second(ParseAuthority(n1)),
		"authority's key":   second(ParseAuthority(Pair{root, other.Pair().Key})),
		"no authority's":    second(ParseAuthority(Pair{})),
		"authority no key":  second(ParseAuthority(Pair{Cert: root})),
		"authority bad key": second(ParseAuthority(Pair{root, root})),
		"no id":             second(a.Issue("", nil, time.Hour)),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	gone := issue(t, a, "n1", -time.Minute)
	if s := newSet(t, root, gone); time.Now().Before(s.Expires) {
		t.Error("not expired")
	}
	if long := shown(t, issue(t, a, "n1", 1000*time.Hour))[0]; long.NotAfter.After(a.Expires()) {
		t.Error("a node's certificate outlives its authority")
	}
}

func second[T any](_ T, err error) error { return err }

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	a := authority(t)
	n1 := issue(t, a, "n1", time.Hour)
	if err := Write(dir, map[string]Pair{AuthorityName: a.Pair(), "n1": n1}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"ca.pem": 0o644, "ca-key.pem": 0o600, "n1.pem": 0o644, "n1-key.pem": 0o600} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm()&^mode != 0 {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	p, err := Read(dir, AuthorityName)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAuthority(p)
	if err != nil {
		t.Fatal(err)
	}
	n2 := issue(t, again, "n2", time.Hour)
	if s := newSet(t, a.Pair().Cert, n2); s.Node != "n2" {
		t.Error(s.Node)
	}
	for range 5 { // whatever the order
		if err := Write(dir, map[string]Pair{"n1": n2, "n2": n2, "n3": n2}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("overwritten: %v", err)
		}
	}
	list, _ := filepath.Glob(filepath.Join(dir, "*"))
	if got, err := Read(dir, "n1"); len(list) != 4 || err != nil || !bytes.Equal(got.Cert, n1.Cert) {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", "ca", "a/b", "..", ".x", "a b", "a=b", "a\\b", "a\nb", strings.Repeat("x", 129)} {
		if CheckName(bad) == nil {
			t.Errorf("%q names a file", bad)
		}
	}
	if err := CheckName("pfs-0.pfs"); err != nil {
		t.Error(err)
	}
}
