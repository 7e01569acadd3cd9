package test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// web speaks plain HTTP to one node, as a client that knows nothing of PFS.
type web struct {
	t   testing.TB
	url string // of the API
}

func newWeb(t testing.TB, n *harness.Node) web { return web{t, n.URL + "/api/v1"} }

// answer is what a node said.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends one request; headers are pairs of name and value.
func (w web) do(method, route string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+route, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// patient sends a request, and again, for two minutes, as long as the node asks for
// patience and has done nothing, as every client of ours does: one that compiles a
// plugin, or elects a leader, takes its time on a busy machine.
func (w web) patient(method, route, body string, headers ...string) (answer, error) {
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		a, err := w.do(method, route, strings.NewReader(body), headers...)
		if err != nil || a.status != 503 || a.header.Get("Retry-After") == "" || strings.Contains(a.body, `"outcome"`) || time.Now().After(until) {
			return a, err
		}
		w.t.Logf("%s %s is asked for again: %.200s", method, route, a.body)
	}
}

// want sends one request and reports an answer of another status, but for the one
// that asks for patience.
func (w web) want(status int, method, route, body string, headers ...string) answer {
	w.t.Helper()
	var a answer
	var err error
	if status == 503 {
		a, err = w.do(method, route, strings.NewReader(body), headers...)
	} else {
		a, err = w.patient(method, route, body, headers...)
	}
	switch {
	case err != nil:
		w.t.Errorf("%s %s: %v", method, route, err)
	case a.status != status:
		w.t.Errorf("%s %s: status %d, expected %d: %.300s", method, route, a.status, status, a.body)
	case status >= 400:
		w.problem(a, method+" "+route)
	}
	return a
}

// problem reports an error answer that clients cannot read.
func (w web) problem(a answer, what string) {
	w.t.Helper()
	var p struct{ Error string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Error == "" {
		w.t.Errorf("%s: status %d without an error in JSON: %.300s", what, a.status, a.body)
	}
}

// json decodes the answer of a request with status 200 into out.
func (w web) json(method, route, body string, out any) {
	w.t.Helper()
	a := w.want(200, method, route, body)
	if err := json.Unmarshal([]byte(a.body), out); err != nil {
		w.t.Errorf("%s %s: %v: %.300s", method, route, err, a.body)
	}
}

// The requests that most tests make; each fails the test if it fails.

func (w web) put(path, content string, headers ...string) answer {
	w.t.Helper()
	return w.want(200, "PUT", "/files?path="+path, content, headers...)
}

func (w web) mkdir(path string) {
	w.t.Helper()
	w.want(201, "POST", "/directories?path="+path, "")
}

func (w web) link(path, target string) {
	w.t.Helper()
	w.want(201, "POST", "/symlink?path="+path, `{"target":"`+target+`"}`)
}

// reads fails the test unless the file has this content.
func (w web) reads(path, content string) answer {
	w.t.Helper()
	a := w.want(200, "GET", "/files?path="+path, "")
	if a.body != content {
		w.t.Errorf("%s holds %.100q, expected %.100q", path, a.body, content)
	}
	return a
}

// entry is a file as a listing shows it.
type entry struct {
	Name  string
	Size  int64
	IsDir bool
	Mode  uint32
	Meta  struct {
		Type    string
		Content map[string]string
	}
}

func (w web) stat(path string) (e entry) {
	w.t.Helper()
	w.json("GET", "/stat?path="+path, "", &e)
	return e
}

// names returns what a directory holds.
func (w web) names(path string) []string {
	w.t.Helper()
	var out struct{ Files []entry }
	w.json("GET", "/directories?path="+path, "", &out)
	names := []string{}
	for _, f := range out.Files {
		names = append(names, f.Name)
	}
	return names
}

// mount mounts a plugin with settings in JSON, "" for none.
func (w web) mount(fstype, path, config string) {
	w.t.Helper()
	if config == "" {
		config = "{}"
	}
	w.want(200, "POST", "/mount", `{"fstype":"`+fstype+`","path":"`+path+`","config":`+config+`}`)
}

// digest returns the hash of the replicated state.
func (w web) digest() string {
	w.t.Helper()
	var out struct{ Digest string }
	w.json("GET", "/cluster/digest", "", &out)
	return out.Digest
}

// decode reads an answer's JSON.
func decode(a answer, out any) error { return json.Unmarshal([]byte(a.body), out) }

// drain reads an answer away, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, resp.Body) // its status is what counts
	resp.Body.Close()
}
