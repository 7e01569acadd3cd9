package mcp

import (
	"context"
	"net/http"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// newHandler serves m over HTTP without sessions: a request is answered in JSON, and
// any node may get the next one. Bodies are bounded by the caller.
func newHandler(m *sdk.Server) http.Handler {
	h := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return m },
		&sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true, PropagateRequestCancellation: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), requestKey{}, r.Context())
		if i, ok := w.(idler); ok {
			ctx = context.WithValue(ctx, idleKey{}, i)
		}
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// ServeHTTP answers one request of the streamable HTTP transport
// (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// requestKey has the context of the HTTP request, whose end the SDK keeps from tools.
type requestKey struct{}

// withRequest ends what a tool does when the request that asked for it ends.
func withRequest(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		if asked, ok := ctx.Value(requestKey{}).(context.Context); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(asked, cancel)()
		}
		return next(ctx, method, req)
	}
}

// idler is an http.ResponseWriter of a server that bounds how many calls are under way.
type idler interface {
	Idle() (resume func(ctx context.Context) error)
}

// idleKey has the idler of a request.
type idleKey struct{}

// idle gives the place of a call to others while do waits.
func idle(ctx context.Context, do func()) error {
	i, ok := ctx.Value(idleKey{}).(idler)
	if !ok {
		do()
		return nil
	}
	resume := i.Idle()
	do()
	return resume(ctx)
}
