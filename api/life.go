package api

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/trace"
	"github.com/pfs-project/pfs/vfs"
)

// life is what of a call outlives its handler, for a body that is still sent.
type life struct {
	*Server
	trace  *trace.Trace
	hopped bool     // another node has sent the request on
	via    []string // the clusters that the request has come through
	fresh  bool     // a read that is to be linearizable
}

func (c *call) life() life {
	if c.lived != nil {
		return *c.lived
	}
	v, _ := c.query.get("consistency")
	return life{c.s, c.trace, c.says && c.header(remote.HopHeader) != "", c.via, v == "linearizable"}
}

// maxVia is through how many clusters a request may come.
const maxVia = 8

// comesFrom finds out through which clusters the request has come, and refuses
// one that has been here before.
func (c *call) comesFrom() error {
	if !c.says {
		return nil
	}
	v := c.header(remote.ViaHeader)
	if v == "" {
		return nil
	}
	c.via = strings.Split(v, ",")
	own := c.s.cfg.ClusterID
	switch {
	case len(c.via) > maxVia:
		return vfs.Invalid.Withf("loop: the request has come through more than %d clusters", maxVia)
	case own != nil && own() != "" && slices.Contains(c.via, own()):
		return vfs.Invalid.With("loop: the request has come through this cluster before")
	}
	return nil
}

// context is that of all requests, and names this one.
func (l life) context() context.Context {
	ctx := trace.With(l.base, l.trace)
	if l.hopped {
		ctx = vfs.WithHop(ctx)
	}
	if l.fresh {
		ctx = vfs.WithFresh(ctx)
	}
	if l.via != nil {
		ctx = vfs.WithVia(ctx, l.via)
	}
	return ctx
}

func (c *call) context() context.Context { return c.life().context() }

// tell logs a request that was answered: a slow one for the operator, any for
// who looks for it. What the client took to send its body does not count.
func (c *call) tell(took time.Duration) {
	if c.in != nil {
		c.trace.Add("body", c.in.took)
		took -= c.in.took
	}
	level, msg := slog.LevelDebug, "request answered"
	if c.s.cfg.Slow > 0 && took >= c.s.cfg.Slow {
		level, msg = slog.LevelWarn, "slow request"
	}
	ctx := context.Background()
	if !c.s.log.Enabled(ctx, level) {
		return
	}
	path, _ := c.query.get("path")
	c.s.log.LogAttrs(ctx, level, msg, slog.String("request_id", c.id), slog.String("method", c.method()),
		slog.String("route", c.route.path), slog.String("path", printable(path)), slog.Int("status", c.fc.Response.StatusCode()),
		slog.Duration("took", took), slog.Any("stages", c.trace.Stages()))
}
