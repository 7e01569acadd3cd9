//go:build wasip1

package guest

import (
	"encoding/json"
	"errors"
)

//go:wasmimport env host_http_request
func hostHTTP(request uint32) uint64

// Request is one HTTP request. Zero fields are defaults: GET, no body, as long as
// the call may take.
type Request struct {
	Method  string            `json:"method,omitempty"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    []byte            `json:"body,omitempty"`    // at most 1 MiB
	Timeout float64           `json:"timeout,omitempty"` // seconds
}

// Response is the answer to it, with at most 4 MiB.
type Response struct {
	Status  int               `json:"status_code"`
	Headers map[string]string `json:"headers"` // the first value of each
	Body    []byte            `json:"body"`
	Error   string            `json:"error"`
}

// HTTP makes a request, as far as the plugin is granted its host and method. Any
// answer of the server is no error.
func HTTP(r Request) (out Response, err error) {
	b, err := json.Marshal(r)
	if err != nil {
		return out, err
	}
	at := lent(string(b))
	defer free(at)
	answer := hostHTTP(at)
	if uint32(answer) == 0 {
		return out, errors.New("no memory for the answer")
	}
	if err := json.Unmarshal(read(uint32(answer), uint32(answer>>32)), &out); err != nil {
		return out, err
	}
	if out.Error != "" {
		return out, errors.New(out.Error)
	}
	return out, nil
}
