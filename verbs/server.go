package verbs

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// reach returns the clients of an end on a server. What tells who asks goes to the
// servers that it is for, and not to any other that a path names.
func (a *app) reach(e end) ([]*client.Client, error) {
	own, err := a.Clients()
	if e.url == "" {
		return own, err
	}
	urls, uerr := a.URLs()
	for i, u := range urls {
		if err == nil && uerr == nil && address(u) == address(e.url) && (secure(u) || !secure(e.url)) {
			return own[i : i+1], nil
		}
	}
	other := *a.Env
	other.URL = e.url
	other.Getenv = func(name string) string {
		switch name {
		case "PFS_TOKEN", "PFS_TOKEN_FILE", "PFS_CERT", "PFS_KEY":
			return ""
		}
		return a.Getenv(name)
	}
	return other.Clients()
}

// secure reports whether a URL asks for TLS.
func secure(s string) bool { return strings.HasPrefix(strings.ToLower(s), "https://") }

// address is the host and the port that a URL names, in one form.
func address(s string) string {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return host + ":" + port
}

// unite gives ends on one cluster that go by several names the same one, so that a
// file is known to be itself. A cluster is told by its id, or where a server has
// none, by its addresses; sure: one that cannot be told is an error.
func (a *app) unite(ctx context.Context, srcs []end, dst end, sure bool) ([]end, end, error) {
	all := append(append([]end{}, srcs...), dst)
	names := map[string]string{} // what a URL is called from now on
	var known []end
	for _, named := range []bool{false, true} { // what the command talks to goes first
		for _, e := range all {
			if _, seen := names[e.url]; seen || e.local || (e.url != "") != named {
				continue
			}
			names[e.url] = e.url
			for _, k := range known {
				same, err := a.same(ctx, k, e, sure)
				if err != nil {
					return nil, dst, err
				}
				if same {
					names[e.url] = k.url
					break
				}
			}
			if names[e.url] == e.url {
				known = append(known, e)
			}
		}
	}
	for i, e := range all {
		if !e.local {
			all[i].url = names[e.url]
		}
	}
	return all[:len(srcs)], all[len(srcs)], nil
}

// same reports whether two ends are on one cluster; sure: if that cannot be told, it
// is an error.
func (a *app) same(ctx context.Context, x, y end, sure bool) (bool, error) {
	one, err := a.cluster(ctx, x)
	other, oerr := a.cluster(ctx, y)
	err = errors.Join(err, oerr)
	switch kind := vfs.KindOf(err); {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case kind == vfs.Unavailable, kind == vfs.Timeout: // it may be any
		return false, err
	case one != "" && other != "":
		return one == other, nil
	}
	urls, uerr := a.URLs()
	if x.url != "" {
		urls = []string{x.url}
	}
	for _, u := range urls {
		if address(u) == address(y.url) {
			return true, nil
		}
	}
	if sure && uerr == nil {
		why := "a server tells no id of its cluster"
		if err != nil {
			why = err.Error()
		}
		return false, &cli.Hinted{Code: cli.ExitFailure, Text: "it cannot be told whether " + y.url + " is another cluster, so that nothing is moved: " + why,
			Hint: "copy with pfs cp -r, compare with pfs diff -r, and remove with pfs rm -r"}
	}
	return false, uerr
}

// cluster returns the id of the cluster that an end is on, "" where it does not tell.
func (a *app) cluster(ctx context.Context, e end) (string, error) {
	cs, err := a.reach(e)
	if err != nil {
		return "", err
	}
	s, err := cs[0].Cluster(ctx)
	return s.ClusterID, err
}

// targets is what several sources of one command were copied or moved to.
type targets map[string]*taken

// taken is the place of one source, until that is known to have failed. nil is that
// of a source alone.
type taken struct {
	over   chan struct{} // closed once it is known
	ended  sync.Once
	failed bool
}

// take refuses a second source for what has one. It waits until that is known.
func (t targets) take(ctx context.Context, at, src string) (*taken, error) {
	if t == nil {
		return nil, nil
	}
	if first := t[at]; first != nil {
		select {
		case <-first.over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !first.failed {
			return nil, &cli.Hinted{Code: cli.ExitConflict, Text: "will not overwrite just-created " + at + " with " + src,
				Hint: "copy them one by one, to names of their own"}
		}
	}
	t[at] = &taken{over: make(chan struct{})}
	return t[at], nil
}

// end tells how it has ended. The first word counts.
func (t *taken) end(err error) {
	if t == nil {
		return
	}
	t.ended.Do(func() {
		t.failed = err != nil && !errors.Is(err, client.ErrUnknown)
		close(t.over)
	})
}
