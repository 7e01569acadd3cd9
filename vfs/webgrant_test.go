package vfs

import (
	"net/netip"
	"testing"
)

// What may be written as a grant, and what it lets through.
func TestWebGrant(t *testing.T) {
	for _, c := range []struct {
		grant                      string
		method, scheme, host, port string
		want                       bool
	}{
		{"api.example.com", "GET", "https", "api.example.com", "", true},
		{"api.example.com", "POST", "http", "API.example.com.", "80", true},
		{"api.example.com", "GET", "https", "api.example.com", "8443", false},
		{"api.example.com", "GET", "https", "example.com", "", false},
		{"api.example.com", "GET", "https", "api.example.com.evil.net", "", false},
		{"api.example.com", "CONNECT", "https", "api.example.com", "", false},
		{"api.example.com", "TRACE", "http", "api.example.com", "", false},
		{"api.example.com", "GET", "ftp", "api.example.com", "", false},
		{"api.example.com", "GET", "unix", "api.example.com", "", false},
		{"https://a", "GET", "https", "a", "443", true},
		{"https://a", "GET", "http", "a", "", false},
		{"https://a", "GET", "http", "a", "443", false},
		{"a:8080", "GET", "http", "a", "8080", true},
		{"a:8080", "GET", "http", "a", "", false},
		{"GET,HEAD a", "HEAD", "http", "a", "", true},
		{"GET,HEAD a", "POST", "http", "a", "", false},
		{"[2001:db8::1]:81", "GET", "http", "2001:0db8:0::1", "81", true},
		{"10.0.0.7", "GET", "http", "::ffff:10.0.0.7", "", true},
		{"10.0.0.7", "GET", "http", "10.0.0.70", "", false},
	} {
		g, err := ParseWebGrant(c.grant)
		if err != nil {
			t.Errorf("%s: %v", c.grant, err)
		} else if got := g.Allows(c.method, c.scheme, c.host, c.port); got != c.want {
			t.Errorf("%q lets %s %s://%s:%s through: %v", c.grant, c.method, c.scheme, c.host, c.port, got)
		}
	}
	for _, s := range []string{
		"", " ", "*", "*.example.com", "a b", "get a", "GET, a", "CONNECT a", "ftp://a", "unix:///run/x", "https://", "a:", "a:0", "a:080",
		"a:65536", "a:http", "a/path", "a?x", "user@a", "http://user:pw@a", "ä.example", "::1", "[::1", "[fe80::1%eth0]", "[10.0.0.1]", "10.0.0.0/8", "a,b",
	} {
		if g, err := ParseWebGrant(s); KindOf(err) != Invalid {
			t.Errorf("%q is taken for %+v", s, g)
		}
	}
}

// An address is named by its number alone, with its port.
func TestWebGrantNames(t *testing.T) {
	for _, c := range []struct {
		grant, to string
		want      bool
	}{
		{"127.0.0.1:81", "127.0.0.1:81", true}, {"127.0.0.1:81", "[::ffff:127.0.0.1]:81", true},
		{"127.0.0.1:81", "127.0.0.1:82", false}, {"127.0.0.1", "127.0.0.1:80", true}, {"127.0.0.1", "127.0.0.1:443", true},
		{"https://127.0.0.1", "127.0.0.1:80", false}, {"http://127.0.0.1", "127.0.0.1:443", false}, {"localhost:81", "127.0.0.1:81", false},
		{"[fe80::1]", "[fe80::1%1]:80", true}, {"[::]", "127.0.0.1:80", false},
	} {
		g, err := ParseWebGrant(c.grant)
		if err != nil || g.Names(netip.MustParseAddrPort(c.to)) != c.want {
			t.Errorf("%s names %s: %v, %v", c.grant, c.to, !c.want, err)
		}
	}
}
