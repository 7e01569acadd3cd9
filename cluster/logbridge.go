package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
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

// outrun is what a follower says that hears of a commit before it has the
// entry: a nudge often is faster.
const outrun = "failed to get previous log"

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
	if msg == outrun || slices.ContainsFunc(args, ownClose) {
		l = slog.LevelDebug
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

// ownClose reports whether a value of a record is the error of a stream that
// this node has closed itself.
func ownClose(v any) bool {
	err, ok := v.(error)
	return ok && (errors.Is(err, net.ErrClosed) || errors.Is(err, raft.ErrTransportShutdown))
}
