package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Config says what a Server serves.
type Config struct {
	Client   *client.Client // of the tree
	Root     string         // what agents may reach, with all below; "" or "/": the whole tree
	ReadOnly bool           // nothing may be changed
	AGFS     bool           // the tools of agfs-mcp in place of our own
	Local    bool           // those may also read and write files of this machine
	Version  string         // of the program, for clients to show
	Log      *slog.Logger   // nil: nothing is logged
}

// Server answers agents. Make one with New; it is safe for concurrent use.
type Server struct {
	cfg     Config
	root    vfs.Path
	sdk     *sdk.Server
	handler http.Handler
	watches *watches
	names   []string // of the tools
}

// New returns a Server. An error is vfs.Invalid: the root is not a path.
func New(cfg Config) (*Server, error) {
	root, err := vfs.ParsePath(cfg.Root + "/")
	if err != nil {
		return nil, vfs.Invalid.Withf("root %q: %v", cfg.Root, err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, root: root}
	s.watches = newWatches(s)
	s.sdk = s.newSDK(true)
	s.handler = newHandler(s.newSDK(false))
	return s, nil
}

// newSDK returns the protocol's side of a Server. Only a session that lasts can be
// told of changes.
func (s *Server) newSDK(lasts bool) *sdk.Server {
	o := &sdk.ServerOptions{
		Instructions: s.instructions(),
		Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}, Resources: &sdk.ResourceCapabilities{}},
	}
	if lasts {
		o.SubscribeHandler, o.UnsubscribeHandler = s.watches.subscribe, s.watches.unsubscribe
	}
	m := sdk.NewServer(&sdk.Implementation{Name: "pfs", Title: "PFS", Version: s.cfg.Version}, o)
	s.names = nil
	if s.cfg.AGFS {
		s.addAGFS(m)
	} else {
		s.addTools(m)
	}
	m.AddResourceTemplate(&sdk.ResourceTemplate{Name: "file", URITemplate: scheme + "/{+path}",
		Description: "A file of the tree, at most 1 MiB."}, s.resource)
	m.AddReceivingMiddleware(s.unknownTool, withRequest)
	return m
}

// instructions is what a model is told once.
func (s *Server) instructions() string {
	var b strings.Builder
	b.WriteString("PFS is one tree of files over a cluster: queues, keys and streams are files too. ")
	if s.root.IsRoot() {
		b.WriteString("Paths start with /; list / to see the mounts.")
	} else {
		fmt.Fprintf(&b, "Only %s and what is below it can be reached; a path without a leading / is below it.", s.root)
	}
	if s.cfg.ReadOnly {
		b.WriteString(" Nothing can be changed.")
	}
	return b.String()
}

// Tools returns the names of the tools, in order.
func (s *Server) Tools() []string { return slices.Sorted(slices.Values(s.names)) }

// hints of tools, as the protocol names them.
type hints struct{ reads, destroys, repeats, outside bool }

// tool adds one to m. Errors of do are answers that say what to do next.
func tool[In, Out any](s *Server, m *sdk.Server, name, doc string, h hints, do func(context.Context, In) (*sdk.CallToolResult, Out, error)) {
	if s.cfg.ReadOnly && !h.reads {
		return
	}
	s.names = append(s.names, name)
	a := &sdk.ToolAnnotations{ReadOnlyHint: h.reads, IdempotentHint: h.repeats, OpenWorldHint: &h.outside}
	if !h.reads {
		a.DestructiveHint = &h.destroys
	}
	sdk.AddTool(m, &sdk.Tool{Name: name, Description: doc, Annotations: a},
		func(ctx context.Context, _ *sdk.CallToolRequest, in In) (r *sdk.CallToolResult, out Out, err error) {
			defer func() {
				if err != nil {
					err = s.explain(err)
				}
			}()
			defer s.caught(name, &err)
			return do(ctx, in)
		})
}

// caught turns a panic into an error: it is on a goroutine of the SDK, and would end
// the whole program.
func (s *Server) caught(name string, err *error) {
	if p := recover(); p != nil {
		s.cfg.Log.Error("tool panicked", "tool", name, "panic", p, "stack", string(debug.Stack()))
		*err = vfs.Internal.Withf("%s failed by a mistake of its own", name)
	}
}

// addTools adds our own tools.
func (s *Server) addTools(m *sdk.Server) {
	reads := hints{reads: true, repeats: true}
	tool(s, m, "read", "Read lines of a text file; other files are linked, small images shown.", reads, s.read)
	tool(s, m, "list", "List a directory by name, with all below if recursive, or describe one file.", reads, s.list)
	tool(s, m, "search", "Find lines that match a regular expression in a file or in all files below a directory.", reads, s.search)
	tool(s, m, "wait", "Wait until a file appears, changes or goes.", reads, s.wait)
	tool(s, m, "write", "Create, replace or append to a text file with missing directories, or make a directory (path ends in /).",
		hints{destroys: true}, s.write)
	tool(s, m, "edit", "Replace an exact text in a file, which must occur once unless all is set.", hints{destroys: true}, s.edit)
	tool(s, m, "move", "Rename a file or directory within its mount, replacing a file at the new path.", hints{destroys: true}, s.move)
	tool(s, m, "remove", "Remove a file or an empty directory, or all below it if recursive.", hints{destroys: true, repeats: true}, s.remove)
	if s.cfg.ReadOnly {
		return
	}
	tool(s, m, "queue", "Work with a queue: put, take (a lease), ack, nack, extend, stats, redrive.", hints{destroys: true}, s.queue)
	tool(s, m, "mounts", "List mounts or the plugins that can be mounted, mount one, or unmount.", hints{destroys: true, repeats: true, outside: true}, s.mounts)
}

// unknownTool answers calls of tools that are not there, as a tool would.
func (s *Server) unknownTool(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		call, ok := req.(*sdk.CallToolRequest)
		if !ok || call.Params == nil || slices.Contains(s.names, call.Params.Name) {
			return next(ctx, method, req)
		}
		name := call.Params.Name
		text := fmt.Sprintf("there is no tool %q.", clip(name, 100))
		switch near := vfs.Nearest(name, s.names); {
		case near != "":
			text += fmt.Sprintf(" Did you mean %q?", near)
		case s.cfg.ReadOnly:
			text += " This server changes nothing (it is read-only)."
		}
		var r sdk.CallToolResult
		r.SetError(fmt.Errorf("%s Tools: %s (not_found)", text, strings.Join(s.Tools(), ", ")))
		return &r, nil
	}
}

// clip cuts s to n bytes, at the start of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// asJSON renders what a tool answers for those who read text.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
