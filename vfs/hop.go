package vfs

import "context"

type hopKey struct{}

// WithHop marks the context of a request that another node of the cluster has
// sent on: whoever answers it does not send it on again.
func WithHop(ctx context.Context) context.Context { return context.WithValue(ctx, hopKey{}, true) }

// WithoutHop is the context of what a plugin asks while it answers such a request:
// that is a request of its own.
func WithoutHop(ctx context.Context) context.Context { return context.WithValue(ctx, hopKey{}, nil) }

// Hopped reports whether a request came from another node.
func Hopped(ctx context.Context) bool { return ctx.Value(hopKey{}) != nil }

type viaKey struct{}

// WithVia notes through which clusters a request has come, by their ids.
func WithVia(ctx context.Context, clusters []string) context.Context {
	return context.WithValue(ctx, viaKey{}, clusters)
}

// Via returns through which clusters a request has come; nil: none.
func Via(ctx context.Context) []string {
	via, _ := ctx.Value(viaKey{}).([]string)
	return via
}

type idemKey struct{}

// WithKey notes the idempotency key of a change.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idemKey{}, key)
}

// KeyOf returns the idempotency key of a change, "" if it has none.
func KeyOf(ctx context.Context) string {
	key, _ := ctx.Value(idemKey{}).(string)
	return key
}

type freshKey struct{}

// WithFresh marks the context of a read that is to see every acknowledged write.
func WithFresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

// Fresh reports whether a read is to see every acknowledged write.
func Fresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }
