package mcp

import (
	"context"
	"math/rand/v2"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// scheme is that of the URIs of files.
const scheme = "pfs://"

// uri returns the URI of a file, as pfs:///memfs/a%20b.
func uri(p vfs.Path) string { return (&url.URL{Scheme: "pfs", Host: "", Path: string(p)}).String() }

// place is a file that an agent may reach, or where one may be made.
type place struct {
	named vfs.Path     // as the agent called it, cleaned
	path  vfs.Path     // without links that lead there
	info  *client.Info // nil: nothing is there
}

// parse cleans what an agent gave as a path: a rooted one, one below the root, or
// the URI of a file. Outside of the root it is refused.
func (s *Server) parse(given string) (vfs.Path, error) {
	full := given
	switch {
	case strings.HasPrefix(given, scheme):
		u, err := url.Parse(given)
		if err != nil || u.Host != "" || u.Path == "" {
			return "", hint(vfs.Invalid.Withf("%q is not the URI of a file", clip(given, 200)), "It has the form %s/dir/file", scheme)
		}
		full = u.Path
	case !strings.HasPrefix(given, "/"):
		full = string(s.root) + "/" + given
	}
	p, err := vfs.ParsePath(full)
	if err != nil {
		return "", hint(vfs.Invalid.Withf("path %q: %v", clip(given, 200), err), "Give a path such as %s", s.root.Child("file"))
	}
	if !p.Under(s.root) {
		return "", s.outside(p)
	}
	return p, nil
}

func (s *Server) outside(p vfs.Path) error {
	return hint(vfs.Permission.Withf("%s is outside of %s", p, s.root), "Only %s and what is below it can be reached", s.root)
}

// at finds the place of a path. With final, a link at its end is followed. Where
// the whole tree may be reached the server follows the links before that itself.
func (s *Server) at(ctx context.Context, given string, final bool) (place, error) {
	p, err := s.parse(given)
	if err != nil {
		return place{}, err
	}
	w := walk{s: s, root: vfs.Root, named: p}
	if s.root.IsRoot() {
		return w.whole(ctx, p, final)
	}
	// The root itself is the operator's, and may lead through links.
	if w.root, _, err = w.resolve(ctx, vfs.Root, s.root.Elems(), true); err != nil {
		return place{}, err
	}
	real, info, err := w.resolve(ctx, w.root, p.Rel(s.root).Elems(), final)
	if err != nil {
		return place{}, err
	}
	return place{p, real, info}, nil
}

// walk follows a path element by element, since a server follows links wherever
// they lead.
type walk struct {
	s     *Server
	root  vfs.Path
	named vfs.Path
	links int
}

// whole looks at a path of the whole tree.
func (w *walk) whole(ctx context.Context, p vfs.Path, final bool) (place, error) {
	info, err := w.stat(ctx, p)
	if err == nil && info != nil && final && info.IsLink() {
		p, info, err = w.resolve(ctx, vfs.Root, p.Elems(), true)
	}
	return place{w.named, p, info}, err
}

// stat describes what is at p; nil if nothing is.
func (w *walk) stat(ctx context.Context, p vfs.Path) (*client.Info, error) {
	info, err := w.s.cfg.Client.Stat(ctx, string(p))
	switch k := vfs.KindOf(err); {
	case err == nil:
		return &info, nil
	case k == vfs.NotFound:
		return nil, nil
	}
	return nil, err
}

// target returns where the link at p leads.
func (w *walk) target(ctx context.Context, p vfs.Path) (vfs.Path, error) {
	if w.links++; w.links > vfs.MaxLinks {
		return "", vfs.Invalid.Withf("%s: too many levels of symbolic links", w.named)
	}
	t, err := w.s.cfg.Client.Readlink(ctx, string(p))
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(t, "/") {
		t = path.Join(string(p.Dir()), t)
	}
	return vfs.ParsePath(t)
}

// resolve goes from dir, which has no links, through elems. What is not there
// leads to itself.
func (w *walk) resolve(ctx context.Context, dir vfs.Path, elems []string, final bool) (vfs.Path, *client.Info, error) {
	at := dir
	info, err := (*client.Info)(nil), error(nil)
	for len(elems) > 0 {
		at, elems = at.Child(elems[0]), elems[1:]
		if info, err = w.stat(ctx, at); err != nil {
			return "", nil, err
		}
		if info == nil {
			rest, err := vfs.ParsePath(strings.Join(append([]string{string(at)}, elems...), "/"))
			return rest, nil, err
		}
		if !info.IsLink() || len(elems) == 0 && !final {
			continue
		}
		to, err := w.target(ctx, at)
		if err != nil {
			return "", nil, err
		}
		if to.Under(w.s.root) {
			to = w.root.Join(to.Rel(w.s.root)) // as named: the root may be a link itself
		}
		if !to.Under(w.root) {
			return "", nil, hint(vfs.Permission.Withf("%s leads through a symbolic link out of %s", w.named, w.s.root),
				"Only %s and what is below it can be reached", w.s.root)
		}
		at, elems = w.root, append(to.Rel(w.root).Elems(), elems...)
		info = nil
	}
	if info == nil { // the directory itself
		info, err = w.stat(ctx, at)
	}
	return at, info, err
}

// found is at for a file that must be there.
func (s *Server) found(ctx context.Context, given string, final bool) (place, error) {
	p, err := s.at(ctx, given, final)
	if err == nil && p.info == nil {
		err = vfs.NotFound.Withf("%s: not found", p.named)
	}
	return p, err
}

// same makes an operation hold for the version that was checked, where it matters
// that a path leads to what it led to then.
func (s *Server) same(p place) []client.Option {
	if s.root.IsRoot() || p.info == nil || p.info.ETag == "" {
		return nil
	}
	return []client.Option{client.IfMatch(p.info.ETag)}
}

// bare is an ETag as agents know it, without the quotes that JSON would escape.
func bare(etag string) string { return strings.Trim(etag, `"`) }

// quoted is an ETag as the API knows it.
func quoted(etag string) string { return `"` + bare(etag) + `"` }

// settled repeats do while what it found has changed before it could use it: a few
// times, and for as long as patience says.
func settled(ctx context.Context, patience time.Duration, do func() error) error {
	since := time.Now()
	longest := 4 * time.Millisecond
	for try := 1; ; try++ {
		err := do()
		if vfs.KindOf(err) != vfs.Stale || try >= settleTries && time.Since(since) >= patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(longest)):
		}
		longest = min(2*longest, settlePause)
	}
}

const (
	settleTries = 5
	settlePause = 100 * time.Millisecond
	// appendTime is for how long an append is tried: so many agents may append to one
	// file, each of whom another one may forestall.
	appendTime = 10 * time.Second
)
