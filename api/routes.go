package api

import (
	"bytes"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

const prefix = "/api/v1"

// bodyKind says what a route does with the body of a request.
type bodyKind uint8

const (
	noBody  bodyKind = iota // ignored
	object                  // JSON, held in memory
	large                   // JSON that carries content, held in memory
	stream                  // content of any length
	archive                 // a backup, as long as it is whatever the limit for content
)

// Limits of bodies in bytes, where the configuration does not set one.
const (
	maxObject = 1 << 20
	maxLarge  = 64 << 20
)

// route is one line of the API.
type route struct {
	method string // "ANY": all of them
	path   string
	body   bodyKind
	serve  func(*call) error
}

// table is the whole API.
func table() []route {
	return []route{
		{"ANY", "/", noBody, (*call).service},
		{"ANY", prefix + "/health", noBody, (*call).health},
		{"GET", prefix + "/ready", noBody, (*call).ready},
		{"GET", prefix + "/version", noBody, (*call).version},
		{"GET", prefix + "/capabilities", noBody, (*call).capabilities},
		{"GET", "/metrics", noBody, (*call).scrape},
		{"GET", "/healthz", noBody, (*call).healthz},
		{"GET", "/livez", noBody, (*call).livez},
		{"GET", "/readyz", noBody, (*call).readyz},

		{"GET", prefix + "/files", noBody, (*call).readFile},
		{"HEAD", prefix + "/files", noBody, (*call).readFile},
		{"PUT", prefix + "/files", stream, (*call).writeFile},
		{"POST", prefix + "/files", noBody, (*call).createFile},
		{"DELETE", prefix + "/files", noBody, (*call).remove},
		{"POST", prefix + "/write", large, (*call).write},
		{"POST", prefix + "/truncate", noBody, (*call).truncate},
		{"POST", prefix + "/touch", noBody, (*call).touch},
		{"POST", prefix + "/chmod", object, (*call).chmod},
		{"POST", prefix + "/rename", object, (*call).rename},
		{"POST", prefix + "/sync", noBody, (*call).sync},
		{"GET", prefix + "/stat", noBody, (*call).stat},

		{"GET", prefix + "/directories", noBody, (*call).list},
		{"GET", prefix + "/list", noBody, (*call).list},
		{"POST", prefix + "/directories", noBody, (*call).mkdir},
		{"POST", prefix + "/mkdir", noBody, (*call).mkdir},
		{"DELETE", prefix + "/directories", noBody, (*call).remove},

		{"POST", prefix + "/symlink", object, (*call).symlink},
		{"GET", prefix + "/readlink", noBody, (*call).readlink},

		{"POST", prefix + "/digest", object, (*call).digest},
		{"POST", prefix + "/grep", object, (*call).grep},

		{"POST", prefix + "/handles/open", noBody, (*call).openHandle},
		{"GET", prefix + "/handles", noBody, (*call).listHandles},
		{"ANY", prefix + "/handles/", noBody, (*call).listHandles},
		{"ANY", prefix + "/handles/{id}", noBody, (*call).handle},
		{"ANY", prefix + "/handles/{id}/{op:*}", stream, (*call).handleOp},

		{"GET", prefix + "/mounts", noBody, (*call).mounts},
		{"POST", prefix + "/mount", object, (*call).mount},
		{"POST", prefix + "/unmount", object, (*call).unmount},
		{"GET", prefix + "/plugins", noBody, (*call).pluginList},
		{"POST", prefix + "/plugins/load", large, (*call).pluginLoad},
		{"POST", prefix + "/plugins/unload", object, (*call).pluginUnload},

		{"GET", prefix + "/cluster", noBody, (*call).cluster},
		{"GET", prefix + "/cluster/digest", noBody, (*call).stateDigest},
		{"GET", prefix + "/cluster/verify", noBody, (*call).verify},
		{"POST", prefix + "/cluster/join", object, manage("join")},
		{"POST", prefix + "/cluster/remove", object, manage("remove")},
		{"POST", prefix + "/cluster/promote", object, manage("promote")},
		{"POST", prefix + "/cluster/demote", object, manage("demote")},
		{"POST", prefix + "/cluster/transfer", object, manage("transfer")},
		{"POST", prefix + "/cluster/snapshot", object, manage("snapshot")},
		{"ANY", "/mcp", object, (*call).tools},
		{"GET", prefix + "/backup", noBody, (*call).backup},
		{"POST", prefix + "/restore", archive, (*call).restore},
	}
}

// routes builds the router of the table.
func (s *Server) routes() *router.Router {
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleOPTIONS, r.HandleMethodNotAllowed = false, true
	unknown := &route{path: "unknown", serve: (*call).unknownRoute}
	r.NotFound = func(fc *fasthttp.RequestCtx) { s.run(fc, unknown) }
	wrong := &route{path: "unknown", serve: (*call).wrongMethod}
	r.MethodNotAllowed = func(fc *fasthttp.RequestCtx) { s.run(fc, wrong) }
	for _, e := range table() {
		if e.body >= large {
			s.bodies = append(s.bodies, e)
		}
		method := e.method
		if method == "ANY" {
			method = router.MethodWild
		}
		r.Handle(method, e.path, func(fc *fasthttp.RequestCtx) { s.run(fc, &e) })
	}
	return r
}

// bodyLimit returns how many bytes the body of a request may have; 0: any.
func (s *Server) bodyLimit(method string, path []byte) int64 {
	kind := object
	for _, e := range s.bodies {
		if e.method == method && e.path == string(path) {
			kind = e.body
		}
	}
	if method == "PUT" && bytes.HasPrefix(path, []byte(prefix+"/handles/")) {
		kind = stream
	}
	switch {
	case kind == archive:
		return 0
	case s.cfg.MaxBody > 0:
		return s.cfg.MaxBody
	case kind == stream:
		return 0
	case kind == large:
		return maxLarge
	}
	return maxObject
}

func (c *call) unknownRoute() error {
	c.problem(404, problem{Error: "no such route (not found)", Code: "not_found"})
	return nil
}

func (c *call) wrongMethod() error {
	allow := string(c.fc.Response.Header.Peek("Allow"))
	c.set("Allow", strings.TrimSuffix(allow, ", OPTIONS")) // the router adds it, but there is none
	c.problem(405, problem{Error: "method not allowed", Code: "method_not_allowed"})
	return nil
}
