package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/pfs-project/pfs/bench/target"
)

// Server is a server of the compatible REST API, PFS or another.
type Server struct {
	URLs  []string // of its nodes, as http://127.0.0.1:8080
	Token string   // "" for none
	TLS   *tls.Config
	Files string // an existing directory for files
	Queue string // a queue to be made
	// Consistency is that of small reads, as "linearizable"; "": the server's own.
	Consistency string
}

// rest speaks the compatible REST API. Client c asks node c modulo their number.
type rest struct {
	server   Server
	sessions []*session
	files    string // the query for a file in Server.Files
	queue    string
	http     *http.Client // for content too long for memory
}

// Target returns the server for up to clients clients. It asks for the name and
// the version, and makes nothing but the queue.
func (s Server) Target(ctx context.Context, clients int) (target.Target, error) {
	r, err := s.open(clients)
	if err != nil {
		return target.Target{}, err
	}
	t := target.Target{Name: "PFS", Nodes: len(s.URLs), KV: r, Blob: r, Close: r.close,
		Durability: "synced by a quorum of the nodes and applied on the one that answers"}
	body, err := r.sessions[0].do(ctx, "GET", "/health", nil)
	if err != nil {
		return t, fmt.Errorf("%s does not answer: %w", s.URLs[0], err)
	}
	var health struct{ Version string }
	if err := json.Unmarshal(body, &health); err != nil {
		return t, fmt.Errorf("%s/api/v1/health: %w", s.URLs[0], err)
	}
	t.Version = health.Version
	if _, err := r.sessions[0].do(ctx, "GET", "/cluster", nil); err != nil {
		t.Name, t.Durability = "compatible server", "what the server promises; it is not PFS"
	}
	if s.Queue != "" {
		if _, err := r.sessions[0].do(ctx, "POST", "/directories?path="+url.QueryEscape(s.Queue), nil); err != nil {
			return t, fmt.Errorf("the queue %s cannot be made: %w", s.Queue, err)
		}
		t.Queue = r
	}
	return t, nil
}

func (s Server) open(clients int) (*rest, error) {
	r := &rest{server: s, files: "/files?path=" + url.QueryEscape(s.Files+"/"), queue: "/files?path=" + url.QueryEscape(s.Queue),
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: s.TLS, DisableCompression: true}}}
	for c := range max(clients, len(s.URLs)) {
		one, err := dial(s.URLs[c%len(s.URLs)], s.Token, s.TLS)
		if err != nil {
			return nil, err
		}
		r.sessions = append(r.sessions, one)
	}
	return r, nil
}

func (r *rest) close() error {
	for _, s := range r.sessions {
		s.close()
	}
	r.http.CloseIdleConnections()
	return nil
}

// Put writes a file.
func (r *rest) Put(ctx context.Context, client int, key string, value []byte) error {
	_, err := r.sessions[client].do(ctx, "PUT", r.files+key, value)
	return err
}

// Get reads a file as the node has it that the client asks.
func (r *rest) Get(ctx context.Context, client int, key string, dst []byte) ([]byte, error) {
	query := r.files + key
	if r.server.Consistency != "" {
		query += "&consistency=" + r.server.Consistency
	}
	body, err := r.sessions[client].do(ctx, "GET", query, nil)
	return append(dst[:0], body...), err
}

// Enqueue adds a message to the queue.
func (r *rest) Enqueue(ctx context.Context, client int, body []byte) error {
	_, err := r.sessions[client].do(ctx, "PUT", r.queue+"/enqueue", body)
	return err
}

// Dequeue takes the oldest message out for good.
func (r *rest) Dequeue(ctx context.Context, client int) ([]byte, error) {
	body, err := r.sessions[client].once(ctx, "GET", r.queue+"/dequeue", nil)
	if err != nil || bytes.Equal(bytes.TrimSpace(body), []byte("{}")) {
		return nil, err
	}
	var m struct {
		Data   *string
		Binary []byte `json:"data_base64"`
	}
	switch err := json.Unmarshal(body, &m); {
	case err != nil:
		return nil, err
	case m.Data != nil:
		return []byte(*m.Data), nil
	}
	return m.Binary, nil
}

// Upload streams a file in through the first node.
func (r *rest) Upload(ctx context.Context, name string, body io.Reader, size int64) error {
	resp, err := r.long(ctx, "PUT", r.server.URLs[0]+"/api/v1"+r.files+name, body, size, "")
	if err != nil {
		return err
	}
	return resp.Close()
}

// Download streams a file out of the last node.
func (r *rest) Download(ctx context.Context, name string, w io.Writer) (int64, error) {
	return r.part(ctx, name, "", w)
}

// part is Download of the bytes that a Range header names; "": of all.
func (r *rest) part(ctx context.Context, name, bytes string, w io.Writer) (int64, error) {
	last := r.server.URLs[len(r.server.URLs)-1]
	body, err := r.long(ctx, "GET", last+"/api/v1"+r.files+name, nil, 0, bytes)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return Drain(w, body)
}

func (r *rest) long(ctx context.Context, method, url string, body io.Reader, size int64, part string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	if r.server.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.server.Token)
	}
	if part != "" {
		req.Header.Set("Range", "bytes="+part)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // the status says enough
		return nil, &refusal{status: resp.StatusCode, text: string(text)}
	}
	return resp.Body, nil
}

// Bases are the URLs of nodes as a user may give them, as a Server takes them.
func Bases(urls []string) []string {
	out := make([]string, len(urls))
	for i, u := range urls {
		u = strings.TrimSuffix(strings.TrimSuffix(u, "/"), "/api/v1")
		if !strings.Contains(u, "://") {
			u = "http://" + u
		}
		out[i] = u
	}
	return out
}
