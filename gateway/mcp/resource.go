package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/vfs"
)

// Limits of resources.
const (
	maxResource = 1 << 20 // bytes
	maxWatches  = 100     // of one server
	lookEvery   = time.Second
)

// resource reads a whole file. The protocol has errors of its own here.
func (s *Server) resource(ctx context.Context, req *sdk.ReadResourceRequest) (res *sdk.ReadResourceResult, err error) {
	err = settled(ctx, 0, func() error {
		res, err = s.resourceOnce(ctx, req.Params.URI)
		return err
	})
	if err != nil {
		return nil, s.refused(req.Params.URI, err)
	}
	return res, nil
}

func (s *Server) resourceOnce(ctx context.Context, at string) (_ *sdk.ReadResourceResult, err error) {
	defer s.caught("resource", &err)
	p, err := s.readable(ctx, at)
	if err != nil {
		return nil, err
	}
	if p.info.Size > maxResource {
		return nil, hint(vfs.TooLarge.Withf("%s has %d bytes, at most %d are a resource", p.named, p.info.Size, maxResource), "Read a part of it by the read tool")
	}
	r, err := s.open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxResource+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxResource:
		return nil, hint(vfs.TooLarge.Withf("%s is too large for a resource", p.named), "Read a part of it by the read tool")
	}
	c := &sdk.ResourceContents{URI: at, MIMEType: kindOf(p.named, b)}
	if isText(b, false) {
		c.Text = string(b)
	} else {
		c.Blob = b
	}
	return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{c}}, nil
}

// refused is an error of a resource, with our words and code.
func (s *Server) refused(uri string, err error) error {
	code := int64(jsonrpc.CodeInternalError)
	switch vfs.KindOf(err) {
	case vfs.NotFound:
		code = int64(sdk.CodeResourceNotFound)
	case vfs.Invalid, vfs.Permission, vfs.IsDirectory, vfs.TooLarge:
		code = jsonrpc.CodeInvalidParams
	}
	data, jerr := json.Marshal(map[string]string{"uri": uri, "code": codeOf(err)})
	return errors.Join(jerr, &jsonrpc.Error{Code: code, Message: s.explain(err).Error(), Data: data})
}

// watches look after the resources that somebody wants to be told of.
type watches struct {
	s   *Server
	ctx context.Context // of all; it ends with close
	end context.CancelFunc

	mu   sync.Mutex
	open map[string]*watch // by URI
	work sync.WaitGroup
}

// watch is one resource that is looked at.
type watch struct {
	count int
	stop  context.CancelFunc
}

func newWatches(s *Server) *watches {
	w := &watches{s: s, open: map[string]*watch{}}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// subscribe begins to look at a resource, which need not be there yet.
func (w *watches) subscribe(ctx context.Context, req *sdk.SubscribeRequest) error {
	at := req.Params.URI
	p, err := w.s.at(ctx, at, true)
	if err != nil {
		return w.s.refused(at, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.open[at]; o != nil {
		o.count++
		return nil
	}
	if len(w.open) >= maxWatches {
		return w.s.refused(at, hint(vfs.Throttled.Withf("%d resources are watched already", maxWatches), "Unsubscribe from some"))
	}
	ctx, stop := context.WithCancel(w.ctx)
	w.open[at] = &watch{1, stop}
	w.work.Go(func() { w.look(ctx, at, version(p)) })
	return nil
}

// unsubscribe ends what subscribe began.
func (w *watches) unsubscribe(_ context.Context, req *sdk.UnsubscribeRequest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := req.Params.URI
	if o := w.open[at]; o != nil {
		if o.count--; o.count == 0 {
			o.stop()
			delete(w.open, at)
		}
	}
	return nil
}

// look tells of each new version, until ctx ends. What cannot be asked for is
// asked for again.
func (w *watches) look(ctx context.Context, at, known string) {
	for pause(ctx, lookEvery) == nil {
		p, err := w.s.at(ctx, at, true)
		if err != nil || version(p) == known {
			continue
		}
		known = version(p)
		_ = w.s.sdk.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: at}) // who has left is not told
	}
}

// close ends all of them, and waits.
func (w *watches) close() {
	w.end()
	w.work.Wait()
}
