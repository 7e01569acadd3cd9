package proxyfs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// healthTime bounds how long a server may take to say that it is well.
const healthTime = 10 * time.Second

// connect makes a client, which asks nobody yet.
func (f *FS) connect() (*client.Client, error) {
	secure, err := f.tls.config()
	if err != nil {
		return nil, err
	}
	// Each of several servers is tried, and the one that answers twice.
	tries := len(f.urls)
	if tries == 1 {
		tries = -1
	}
	return client.New(client.Config{URLs: f.urls, TLS: secure, Retries: tries, Backoff: 50 * time.Millisecond})
}

// dial returns the client in use.
func (f *FS) dial() (*client.Client, error) {
	if cl := f.client.Load(); cl != nil {
		return cl, nil
	}
	return nil, vfs.Unavailable.With("not started")
}

// Start takes a client into use, if its server is well.
func (f *FS) Start(ctx context.Context) error {
	f.started = time.Now().UTC()
	return f.swap(ctx)
}

// swap takes a new client into use, if its server is well.
func (f *FS) swap(ctx context.Context) error {
	cl, err := f.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, min(healthTime, f.timeout))
	defer cancel()
	plain, err := f.well(ctx, cl)
	if err != nil {
		cl.Close()
		return err
	}
	f.plain.Store(plain)
	defer f.cache.clear()
	if old := f.client.Swap(cl); old != nil {
		old.Close() // calls under way have their connections to the end
	}
	return nil
}

// well finds out whether the server has the directory, and is another cluster
// than this one, or none of ours: plain.
func (f *FS) well(ctx context.Context, cl *client.Client) (plain bool, err error) {
	at := strings.Join(f.urls, ", ")
	i, err := cl.Stat(ctx, string(f.root))
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		return false, vfs.Invalid.Withf("remote %s has no directory %s", at, f.root)
	case err != nil:
		return false, vfs.Unavailable.Withf("remote %s is not well: %v", at, err)
	case !i.IsDir:
		return false, vfs.Invalid.Withf("remote %s: %s is not a directory", at, f.root)
	}
	s, err := cl.Cluster(ctx)
	var e *client.Error
	switch {
	case err == nil && s.ClusterID != "" && f.cluster != nil && s.ClusterID == f.cluster():
		return false, vfs.Invalid.Withf("loop: remote %s is this cluster itself", at)
	case err == nil, errors.As(err, &e) && e.RequestID != "": // all answers of ours have one
		return false, nil
	case e != nil && e.Status == http.StatusNotFound:
		return true, nil
	}
	return false, vfs.Unavailable.Withf("remote %s is not well: %v", at, err)
}

// reload takes a new client into use, as a write to the control file asks.
func (f *FS) reload(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if err := f.swap(ctx); err != nil {
		return vfs.Result{}, fmt.Errorf("the connection stays as it was: %w", err)
	}
	return vfs.Result{N: op.Size(), Data: []byte(`{"message":"ProxyFS reloaded successfully"}`)}, nil
}

// Close lets the server go.
func (f *FS) Close() error {
	if cl := f.client.Load(); cl != nil {
		cl.Close()
	}
	return nil
}
