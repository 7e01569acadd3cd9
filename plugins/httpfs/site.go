package httpfs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// opTime is for one look into the tree, which may be a Device far away.
const opTime = 20 * time.Second

// site answers requests.
type site struct {
	tree   vfs.Tree
	source vfs.Path
	log    *slog.Logger
	busy   chan struct{} // holds a token for each request
	local  bool          // listens on loopback only
}

// visit is one request.
type visit struct {
	*site
	w  http.ResponseWriter
	r  *http.Request
	im vfs.Image
	at vfs.Path // what is asked for, below the source
}

// ServeHTTP answers one request.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", pagePolicy)
	v := &visit{site: s, w: w, r: r}
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	default:
		h.Set("Retry-After", "1")
		v.refuse(http.StatusServiceUnavailable, "too many requests at once: try again")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(stallTime)) // moved with every read
	if err := v.serve(); err != nil {
		v.fail(err)
	}
}

func (v *visit) serve() (err error) {
	switch {
	case v.r.Method != http.MethodGet && v.r.Method != http.MethodHead:
		v.w.Header().Set("Allow", "GET, HEAD")
		v.refuse(http.StatusMethodNotAllowed, "this server only shows files")
		return nil
	case v.local && !localName(v.r.Host):
		// A page of the web that had its own name point here could read along.
		v.refuse(http.StatusMisdirectedRequest, "this server answers to localhost and to addresses")
		return nil
	}
	if v.at, err = vfs.ParsePath(v.r.URL.Path); err != nil {
		return err
	}
	v.im = v.tree.Image()
	defer v.im.Release()
	ctx, cancel := context.WithTimeout(v.r.Context(), opTime)
	defer cancel()
	info, real, err := v.im.Lookup(ctx, "read", v.source.Join(v.at))
	switch {
	case err != nil:
		return err
	case !real.Under(v.source):
		return vfs.Permission.With("a link leads out of what is served")
	case !info.IsDir():
		return v.file(info)
	case !strings.HasSuffix(v.r.URL.Path, "/"):
		http.Redirect(v.w, v.r, href(v.at, true), http.StatusMovedPermanently)
		return nil
	case v.r.URL.Query().Has("zip"):
		return v.zip()
	}
	return v.page(ctx)
}

// localName reports whether a Host header names this machine or an address.
func localName(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	return net.ParseIP(name) != nil || strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost")
}

// href is the address of a path on this server.
func href(p vfs.Path, dir bool) string {
	s := string(p)
	if dir && !p.IsRoot() {
		s += "/"
	}
	return (&url.URL{Path: s}).EscapedPath()
}

// fail answers an error of the tree.
func (v *visit) fail(err error) {
	status, why := http.StatusInternalServerError, err.Error()
	switch vfs.KindOf(err) {
	case vfs.NotFound, vfs.NotDirectory:
		status, why = http.StatusNotFound, "there is no file "+string(v.at)
	case vfs.Permission:
		status = http.StatusForbidden
	case vfs.Invalid, vfs.TooLarge:
		status = http.StatusBadRequest
	case vfs.Unavailable, vfs.Throttled:
		status = http.StatusServiceUnavailable
		v.w.Header().Set("Retry-After", "1")
	default:
		if !errors.Is(err, context.Canceled) {
			v.log.Warn("request of the web server failed", "path", string(v.at), "error", err)
		}
	}
	v.refuse(status, why)
}

// refuse answers with a page that says why.
func (v *visit) refuse(status int, why string) {
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Del("Content-Length")
	h.Del("ETag")
	h.Del("Last-Modified")
	v.w.WriteHeader(status)
	if v.r.Method == http.MethodHead {
		return
	}
	// The client may have gone.
	_ = pages.ExecuteTemplate(v.w, "error", map[string]any{"Style": style, "Title": fmt.Sprint(status, " ", http.StatusText(status)), "Why": why})
}
