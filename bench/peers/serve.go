package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/child"
	"github.com/pfs-project/pfs/bench/standin"
	"github.com/pfs-project/pfs/bench/target"
)

// Servers that Serve can be. They are processes of their own, as the others.
const (
	handler = "fasthttp" // every GET is answered with the last body that was put
	inMap   = "standin"  // package standin
	echo    = "echo"     // what comes goes back
)

// ServeArg is the first argument with which Site.Self must call Serve on the
// rest.
const ServeArg = "serve"

// Serve listens and serves what Site.Self was started for, until it is killed.
func Serve(args []string) error {
	if len(args) != 2 {
		return errors.New("serve wants a kind of server and an address")
	}
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return err
	}
	switch args[0] {
	case handler:
		var body atomic.Pointer[[]byte]
		none := []byte("{}")
		body.Store(&none)
		return fasthttp.Serve(l, func(c *fasthttp.RequestCtx) {
			if c.IsPut() {
				b := append([]byte(nil), c.PostBody()...)
				body.Store(&b)
			} else {
				c.SetBody(*body.Load())
			}
		})
	case inMap:
		return http.Serve(l, standin.New())
	case echo:
		return serveEcho(l)
	}
	return fmt.Errorf("no server is called %s", args[0])
}

func serveEcho(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) // until the other side closes
		}()
	}
}

// self starts this program as a server of a kind.
func self(ctx context.Context, s Site, kind string) (addr string, c *child.Process, end func() error, err error) {
	addrs, free, err := hold(1)
	if err != nil {
		return "", nil, nil, err
	}
	c, err = start(ctx, filepath.Join(s.Dir, kind), s.Self, ServeArg, kind, addrs[0])
	if err != nil {
		free()
		return "", nil, nil, err
	}
	end = func() error { defer free(); return c.Stop(toEnd) }
	if err := ready(ctx, c, accepts(addrs[0])); err != nil {
		return "", nil, nil, errors.Join(err, end())
	}
	return addrs[0], c, end, nil
}

// StartHandler starts a fasthttp handler that answers with bytes from memory:
// those of the last Put, whatever its key.
func StartHandler(ctx context.Context, s Site) (*target.Target, error) {
	return memory(ctx, s, handler, "fasthttp handler", linked("github.com/valyala/fasthttp"))
}

// StartStandin starts the stand-in for servers that keep files in memory.
func StartStandin(ctx context.Context, s Site) (*target.Target, error) {
	return memory(ctx, s, inMap, "in-memory server", "net/http of "+runtime.Version())
}

// linked is the version of a module that this program is linked with.
func linked(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == module {
				return d.Version
			}
		}
	}
	return runtime.Version() // a program that was built without modules
}

func memory(ctx context.Context, s Site, kind, name, version string) (*target.Target, error) {
	addr, c, end, err := self(ctx, s, kind)
	if err != nil {
		return nil, err
	}
	t, err := bench.Server{URLs: []string{"http://" + addr}, Files: files}.Target(ctx, s.Clients)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	t.Groups = children{c}.groups()
	drop := t.Close
	t.Name, t.Version, t.Close = name, version, func() error { return errors.Join(drop(), end()) }
	t.Durability = "in the memory of one process: neither on a disk nor on another node"
	return &t, nil
}

// StartFloor is no server: a Put by one client is what no durable server can do
// without, 4 KiB written in place and fdatasync, and two round trips of 256 bytes
// to another process over TCP on loopback.
func StartFloor(ctx context.Context, s Site) (*target.Target, error) {
	return startFloor(ctx, s, false, "one fdatasync and two round trips", "in a file made ready before, with fdatasync")
}

// StartAppendFloor is StartFloor with 4 KiB appended and fsync instead.
func StartAppendFloor(ctx context.Context, s Site) (*target.Target, error) {
	return startFloor(ctx, s, true, "one appending fsync and two round trips", "in a file that grows, with fsync")
}

func startFloor(ctx context.Context, s Site, grows bool, name, durability string) (*target.Target, error) {
	addr, c, end, err := self(ctx, s, echo)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	f, err := bench.NewSynced(filepath.Join(s.Dir, echo, fmt.Sprintf("synced-%t", grows)), grows)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), end())
	}
	return &target.Target{Name: name, Version: runtime.GOOS, Nodes: 1, Durability: durability, KV: &floor{conn, f}, Groups: children{c}.groups(),
		Close: func() error { return errors.Join(f.Close(), conn.Close(), end()) }}, nil
}

type floor struct {
	conn net.Conn
	file *bench.Synced
}

// Put implements target.KV.
func (f *floor) Put(context.Context, int, string, []byte) error {
	buf := make([]byte, 256)
	for range 2 {
		if _, err := f.conn.Write(buf); err != nil {
			return err
		}
		if _, err := io.ReadFull(f.conn, buf); err != nil {
			return err
		}
	}
	return f.file.Write()
}

// Get implements target.KV.
func (f *floor) Get(context.Context, int, string, []byte) ([]byte, error) {
	return nil, errors.New("a file that is only synced is not read")
}
