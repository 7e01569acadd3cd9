package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// heardLines is how many lines of a plugin are kept.
const heardLines = 20

// heard keeps the last lines that a plugin has printed, and what its host had to
// say of it: the log of a server, for one who tests.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) logger() *slog.Logger { return slog.New(h) }

// Enabled takes all levels: what a plugin prints is logged as debug.
func (h *heard) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs adds nothing: there is one plugin.
func (h *heard) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup adds nothing.
func (h *heard) WithGroup(string) slog.Handler { return h }

// Handle keeps the line that the plugin has printed.
func (h *heard) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "line" {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.lines = append(h.lines, a.Value.String())
			h.lines = h.lines[max(0, len(h.lines)-heardLines):]
		}
		return true
	})
	return nil
}

// forget begins anew.
func (h *heard) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = nil
}

// unlike returns the lines that text does not have already.
func (h *heard) unlike(text string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.lines), func(line string) bool { return strings.Contains(text, line) })
}
