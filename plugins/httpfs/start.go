package httpfs

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	headTime  = 10 * time.Second // for the head of a request
	idleTime  = time.Minute
	stallTime = 30 * time.Second // a client that takes nothing for so long has gone
	closeTime = 2 * time.Second  // for answers under way, when the mount goes
	freeTime  = time.Second      // for the port, when another mount had it
	maxHead   = 32 << 10         // bytes of a request's head
	maxAtOnce = 256              // requests at once
)

// Start listens. A port that is taken is an error that says so.
func (f *FS) Start(ctx context.Context) error {
	if err := f.exists(ctx); err != nil {
		return err
	}
	l, err := f.listen(ctx)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return vfs.Invalid.Withf("port %d of %s is in use: choose another http_port", f.port, f.host)
	case err != nil:
		return vfs.Invalid.With(err.Error())
	}
	f.started = time.Now().UTC()
	s := &site{tree: f.tree, source: f.source, log: f.log, busy: make(chan struct{}, maxAtOnce), local: local(l.Addr())}
	f.server = &http.Server{
		Handler: s, ReadHeaderTimeout: headTime, ReadTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHead,
		ErrorLog: slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := f.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			f.log.Error("web server has ended", "error", err)
		}
	}()
	return nil
}

// listen takes the port, which a mount that has just gone may still be giving up.
func (f *FS) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	for until := time.Now().Add(freeTime); ; {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(f.host, strconv.FormatInt(f.port, 10)))
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(until) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(freeTime / 20):
		}
	}
}

// exists demands that there is a directory to serve.
func (f *FS) exists(ctx context.Context) error {
	im := f.tree.Image()
	defer im.Release()
	info, _, err := im.Lookup(ctx, "stat", f.source)
	if err == nil && !info.IsDir() {
		err = vfs.At(vfs.NotDirectory, "httpfs", f.source)
	}
	return err
}

// local reports whether only this machine reaches an address.
func local(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// Close frees the port at once, and breaks off what has not ended soon.
func (f *FS) Close() error {
	if f.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := f.server.Shutdown(ctx); err == nil {
		return nil
	}
	return f.server.Close()
}
