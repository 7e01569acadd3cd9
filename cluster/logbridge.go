package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// logBridge gives raft a logger whose records go to slog.
type logBridge struct {
	log *slog.Logger
	to  hclog.InterceptLogger
}

func newLogBridge(log *slog.Logger) *logBridge {
	b := &logBridge{log: log}
	b.to = hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Debug, Output: io.Discard})
	b.to.RegisterSink(b)
	return b
}

func (b *logBridge) named(name string) hclog.Logger { return b.to.NamedIntercept(name) }

// Accept takes one record from raft.
func (b *logBridge) Accept(name string, level hclog.Level, msg string, args ...any) {
	l := slog.LevelDebug
	switch level {
	case hclog.Error:
		l = slog.LevelError
	case hclog.Warn:
		l = slog.LevelWarn
	case hclog.NoLevel, hclog.Trace, hclog.Debug, hclog.Info, hclog.Off:
		// What raft finds worth telling is detail here: the node itself says
		// who leads.
	}
	ctx := context.Background()
	if !b.log.Enabled(ctx, l) {
		return
	}
	args = slices.Clone(args)
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	b.log.Log(ctx, l, name+": "+msg, args...)
}
