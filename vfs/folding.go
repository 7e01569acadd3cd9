package vfs

import "context"

type foldKey struct{}

// foldContext is the context of the reads that are part of a fold.
func foldContext() context.Context {
	return context.WithValue(context.Background(), foldKey{}, true)
}

// Folding reports whether a Stat is asked for by a fold. A Folder then reads
// nothing beside its View, where the nodes may differ: it may leave Size 0, but
// existence, Mode and Version must be right.
func Folding(ctx context.Context) bool { return ctx.Value(foldKey{}) != nil }
