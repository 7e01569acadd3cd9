package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/wasmhost"
)

// Bounds of what another server is asked for.
const (
	mostRedirects   = 5
	mostHeader      = 64 << 10 // bytes
	mostFetchTime   = time.Hour
	leastFetchTime  = time.Second
	usualFetchTime  = time.Minute
	fetchDialTime   = 10 * time.Second
	fetchAgentStart = "pfs-server/"
)

// fetcher reads the code of plugins from servers that the configuration names.
type fetcher struct {
	hosts  []string // "host:port" in lower case
	within time.Duration
	client *http.Client
}

// newFetcher returns one that reads from hosts alone: "host", for the ports of
// http and https, or "host:port".
func newFetcher(hosts []string, within time.Duration) (*fetcher, error) {
	f := &fetcher{within: within}
	for _, h := range hosts {
		h = strings.ToLower(h)
		u, err := url.Parse("//" + h)
		if err != nil || u.Host != h || u.Hostname() == "" {
			return nil, fmt.Errorf("external_plugins.allow_hosts: %q is no host and no host:port", h)
		}
		if u.Port() != "" {
			f.hosts = append(f.hosts, h)
			continue
		}
		f.hosts = append(f.hosts, net.JoinHostPort(u.Hostname(), "80"), net.JoinHostPort(u.Hostname(), "443"))
	}
	f.client = &http.Client{
		Transport: &http.Transport{ // no proxy: the environment does not say where plugins come from
			DialContext:        (&net.Dialer{Timeout: fetchDialTime}).DialContext,
			DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: mostHeader,
		},
		CheckRedirect: func(r *http.Request, before []*http.Request) error {
			if len(before) > mostRedirects {
				return vfs.Invalid.Withf("the plugin is behind more than %d redirects", mostRedirects)
			}
			r.Header.Del("Referer") // in the URL there may be a key
			if before[len(before)-1].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return vfs.Permission.With("the server redirects from https to http")
			}
			return f.allows(r.URL)
		},
	}
	return f, nil
}

// allows returns nil for a URL of a server that the configuration names.
func (f *fetcher) allows(u *url.URL) error {
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return vfs.Invalid.Withf("a plugin is not loaded by a URL with %.20q: use http, https or pfs", u.Scheme)
	case len(f.hosts) == 0:
		return vfs.Permission.With("loading plugins from a URL is off on this node: upload the file, put it into the tree and load pfs://PATH, or set external_plugins.allow_hosts")
	case u.User != nil:
		return vfs.Invalid.With("the URL of a plugin must not hold a password")
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	if host := net.JoinHostPort(strings.ToLower(u.Hostname()), port); !slices.Contains(f.hosts, host) {
		return vfs.Permission.Withf("plugins are not loaded from %.200s: it is not in external_plugins.allow_hosts of this node", host)
	}
	return nil
}

// Fetch reads the code of a plugin from a URL; sum is what it is to be, which
// somebody else checks.
func (l *libraries) Fetch(ctx context.Context, address, sum string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, vfs.Invalid.With("library_path is no URL")
	}
	if err := l.fetch.allows(u); err != nil {
		return nil, err
	}
	if sum == "" {
		return nil, vfs.Invalid.With("sha256 is required to load a plugin from a URL: say what the code must be")
	}
	return l.fetch.get(ctx, u)
}

func (f *fetcher) get(ctx context.Context, u *url.URL) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, f.within)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, vfs.Invalid.With("library_path is no URL")
	}
	req.Header.Set("User-Agent", fetchAgentStart+version)
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, f.failed(ctx, within, u, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == 404 || resp.StatusCode == 410:
		return nil, vfs.NotFound.Withf("%s has no such file (not found)", u.Host)
	case resp.StatusCode != 200:
		return nil, vfs.Unavailable.Withf("%s answers %d", u.Host, resp.StatusCode)
	case resp.ContentLength > wasmhost.MaxModule:
		return nil, errLongCode
	}
	code, err := io.ReadAll(io.LimitReader(resp.Body, wasmhost.MaxModule+1))
	switch {
	case err != nil:
		return nil, f.failed(ctx, within, u, err)
	case len(code) > wasmhost.MaxModule:
		return nil, errLongCode
	}
	return code, nil
}

var errLongCode = vfs.TooLarge.Withf("the code of a plugin has at most %d bytes", wasmhost.MaxModule)

// failed says why the code did not come. The URL, in which there may be a key, is
// not in it.
func (f *fetcher) failed(ctx, within context.Context, u *url.URL, err error) error {
	var (
		tried *url.Error
		ours  *vfs.Error
		cert  *tls.CertificateVerificationError
	)
	if errors.As(err, &tried) {
		err = tried.Err
	}
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &cert):
		return vfs.Permission.Withf("the certificate of %s is not trusted: %v", u.Host, cert.Err)
	case ctx.Err() != nil:
		return ctx.Err()
	case within.Err() != nil:
		return vfs.Timeout.Withf("the plugin did not arrive from %s within %v", u.Host, f.within)
	}
	return vfs.Unavailable.Withf("the plugin did not arrive from %s: %v", u.Host, err)
}
