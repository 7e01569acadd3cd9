package vfs

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// WebMethods are the methods of HTTP requests that a plugin can be granted.
func WebMethods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
}

// WebGrant is one of [Grants].HTTP, taken apart.
type WebGrant struct {
	Methods []string   // that may be used; none: all of WebMethods
	Scheme  string     // "http" or "https"; "": both
	Host    string     // exactly, in lower case: a name, or an address
	Addr    netip.Addr // of a Host that is an address; the zero Addr of a name
	Port    string     // "": that of the scheme
}

// ParseWebGrant reads "[METHOD[,METHOD…] ][http://|https://]HOST[:PORT]", such as
// "api.example.com", "https://[2001:db8::1]:8443" or "GET,HEAD 10.0.0.7:8080".
// Invalid says what it is not.
func ParseWebGrant(s string) (g WebGrant, err error) {
	bad := Invalid.Withf("%.80q is no grant for HTTP requests: it has the form [METHOD,… ][https://]HOST[:PORT]", s)
	rest := s
	if methods, after, ok := strings.Cut(s, " "); ok {
		for m := range strings.SplitSeq(methods, ",") {
			if !slices.Contains(WebMethods(), m) {
				return g, bad
			}
			g.Methods = append(g.Methods, m)
		}
		rest = after
	}
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return g, bad
		}
		g.Scheme, rest = scheme, after
	}
	g.Host = rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		g.Host, g.Port = rest[:i], rest[i+1:]
		if n, err := strconv.ParseUint(g.Port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != g.Port {
			return g, bad
		}
	}
	if inner, ok := strings.CutPrefix(g.Host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		g.Addr, err = netip.ParseAddr(inner)
		if !ok || err != nil || !g.Addr.Is6() || g.Addr.Zone() != "" {
			return g, bad
		}
		g.Host = inner
	} else if g.Addr, err = netip.ParseAddr(g.Host); err != nil && !hostName(g.Host) || g.Addr.Is6() {
		return g, bad
	}
	g.Addr = g.Addr.Unmap()
	g.Host = webHost(g.Host)
	return g, nil
}

// hostName reports whether s may be the name of a host.
func hostName(s string) bool {
	return s != "" && len(s) <= 253 && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
}

// webHost is how hosts are compared: one address is one text.
func webHost(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// webPorts are those of the schemes.
var webPorts = map[string]string{"http": "80", "https": "443"}

// Allows reports whether a request may be made: its method, and of its URL the
// scheme, the host without brackets, and the port, "" for that of the scheme.
func (g WebGrant) Allows(method, scheme, host, port string) bool {
	fallback, known := webPorts[scheme]
	if port == "" {
		port = fallback
	}
	wanted := g.Port
	if wanted == "" {
		wanted = fallback
	}
	return known && (g.Scheme == "" || g.Scheme == scheme) && port == wanted && g.Host == webHost(host) &&
		(len(g.Methods) == 0 && slices.Contains(WebMethods(), method) || slices.Contains(g.Methods, method))
}

// Names reports whether the grant names an address to connect to, not a name
// that leads to it.
func (g WebGrant) Names(to netip.AddrPort) bool {
	if !g.Addr.IsValid() || g.Addr != to.Addr().Unmap().WithZone("") {
		return false
	}
	port := strconv.Itoa(int(to.Port()))
	return port == g.Port || g.Port == "" && (port == webPorts["http"] && g.Scheme != "https" || port == webPorts["https"] && g.Scheme != "http")
}
