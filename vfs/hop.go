package vfs

import "context"

type hopKey struct{}

// WithHop marks the context of a request that another node of the cluster has
// sent on: whoever answers it does not send it on again.
func WithHop(ctx context.Context) context.Context { return context.WithValue(ctx, hopKey{}, true) }

// Hopped reports whether a request came from another node.
func Hopped(ctx context.Context) bool { return ctx.Value(hopKey{}) != nil }
