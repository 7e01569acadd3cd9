package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pfs-project/pfs/trace"
)

// callNames are the calls in logs and metrics.
var callNames = [...]string{
	callHello: "hello", callForm: "form", callJoin: "join", callPropose: "propose", callIndex: "index",
	callKeep: "keep", callHave: "have", callFetch: "fetch", callState: "state",
	callManage: "manage", callDigest: "digest", callVouch: "vouch",
	callTerm: "term",
}

func callName(method byte) string {
	if int(method) < len(callNames) && callNames[method] != "" {
		return callNames[method]
	}
	return fmt.Sprintf("call %d", method)
}

// tell logs a call that was answered for a client's request of another node,
// under the id of that request: a slow one for the operator, any for who looks
// for it.
func (d *desk) tell(ctx context.Context, method byte, from string, took time.Duration, err error) {
	t := trace.From(ctx)
	if t == nil {
		return
	}
	level, msg := slog.LevelDebug, "call answered"
	if d.slow > 0 && took >= d.slow {
		level, msg = slog.LevelWarn, "slow call"
	}
	if !d.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("request_id", t.ID()), slog.String("call", callName(method)), slog.String("from", from),
		slog.Duration("took", took), slog.Any("stages", t.Stages())}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	d.log.LogAttrs(ctx, level, msg, attrs...)
}
