// Package standin is a server of files in memory on net/http: the design of
// servers that speak the compatible HTTP API and neither sync nor replicate. It
// answers the same routes as PFS does, as far as loads use them, from a map, so
// that what durability costs can be measured in this tree. It is no part of the
// product.
package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server holds all files. Directories are those that were made, and /memfs.
type Server struct {
	mu    sync.RWMutex
	nodes map[string]node
}

type node struct {
	data  []byte
	dir   bool
	mode  uint32
	mtime time.Time
}

// New returns a handler with an empty /memfs.
func New() http.Handler {
	s := &Server{nodes: map[string]node{"/": {dir: true, mode: 0o755}, "/memfs": {dir: true, mode: 0o755}}}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, string){
		"GET /api/v1/files": s.read, "PUT /api/v1/files": s.write, "DELETE /api/v1/files": s.remove,
		"GET /api/v1/stat": s.stat, "GET /api/v1/directories": s.list, "POST /api/v1/directories": s.mkdir,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			p := r.URL.Query().Get("path")
			if p == "" {
				fail(w, 400, "path parameter is required")
				return
			}
			serve(w, r, path.Clean("/"+p))
		})
	}
	mux.HandleFunc("GET /api/v1/health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]string{"status": "healthy", "version": "stand-in"})
	})
	return mux
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func (s *Server) read(w http.ResponseWriter, _ *http.Request, p string) {
	s.mu.RLock()
	n, ok := s.nodes[p]
	s.mu.RUnlock()
	switch {
	case !ok:
		fail(w, 404, "read: "+p+": not found")
	case n.dir:
		fail(w, 400, "read: "+p+": is a directory")
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(n.data) // the client may have gone
	}
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, p string) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, 400, err.Error())
		return
	}
	s.mu.Lock()
	parent, there := s.nodes[path.Dir(p)]
	old, known := s.nodes[p]
	if there && parent.dir && !old.dir {
		mode := uint32(0o644)
		if known {
			mode = old.mode
		}
		s.nodes[p] = node{data: data, mode: mode, mtime: time.Now()}
	}
	s.mu.Unlock()
	switch {
	case old.dir:
		fail(w, 400, "write: "+p+": is a directory")
	case !there:
		fail(w, 404, "write: "+p+": not found (parent directory)")
	case !parent.dir:
		fail(w, 400, "write: "+p+": not a directory")
	default:
		answer(w, 200, map[string]string{"message": fmt.Sprintf("Written %d bytes", len(data))})
	}
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.nodes[p]
	below := s.below(p)
	switch {
	case !ok:
		fail(w, 404, "remove: "+p+": not found")
	case len(below) > 0 && r.URL.Query().Get("recursive") != "true":
		fail(w, 409, "directory not empty: "+p)
	default:
		for _, b := range append(below, p) {
			delete(s.nodes, b)
		}
		answer(w, 200, map[string]string{"message": "deleted"})
	}
}

// below returns the paths inside a directory, at any depth. s.mu is held.
func (s *Server) below(p string) (out []string) {
	for q := range s.nodes {
		if strings.HasPrefix(q, strings.TrimSuffix(p, "/")+"/") && q != "/" {
			out = append(out, q)
		}
	}
	return out
}

// info is a file's line in a listing.
type info struct {
	Name  string    `json:"name"`
	Size  int       `json:"size"`
	Mode  uint32    `json:"mode"`
	MTime time.Time `json:"modTime"`
	Dir   bool      `json:"isDir"`
	Meta  struct {
		Name, Type string
		Content    map[string]string
	} `json:"meta"`
}

func (n node) info(p string) info {
	i := info{Name: path.Base(p), Size: len(n.data), Mode: n.mode, MTime: n.mtime, Dir: n.dir}
	i.Meta.Name, i.Meta.Type = "memfs", "file"
	if n.dir {
		i.Meta.Type = "dir"
	}
	return i
}

func (s *Server) stat(w http.ResponseWriter, _ *http.Request, p string) {
	s.mu.RLock()
	n, ok := s.nodes[p]
	s.mu.RUnlock()
	if !ok {
		fail(w, 404, "stat: "+p+": not found")
		return
	}
	answer(w, 200, n.info(p))
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request, p string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, ok := s.nodes[p]
	switch {
	case !ok:
		fail(w, 404, "readdir: "+p+": not found")
	case !n.dir:
		fail(w, 400, "readdir: "+p+": not a directory")
	default:
		files := []info{}
		for _, q := range s.below(p) {
			if path.Dir(q) == p {
				files = append(files, s.nodes[q].info(q))
			}
		}
		slices.SortFunc(files, func(a, b info) int { return strings.Compare(a.Name, b.Name) })
		answer(w, 200, map[string]any{"files": files})
	}
}

func (s *Server) mkdir(w http.ResponseWriter, _ *http.Request, p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.nodes[p]
	parent, there := s.nodes[path.Dir(p)]
	switch {
	case known:
		fail(w, 409, "directory already exists: "+p)
	case !there:
		fail(w, 404, "mkdir: "+p+": not found")
	case !parent.dir:
		fail(w, 400, "mkdir: "+p+": not a directory")
	default:
		s.nodes[p] = node{dir: true, mode: 0o755, mtime: time.Now()}
		answer(w, 201, map[string]string{"message": "directory created"})
	}
}
