// Upper is a processor: text goes in and comes out in capitals. Its contract is
// that of the samples of the Go Plugin Framework.
package main

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/pfs-project/pfs/examples/go-http/plugin"
)

// value is what goes in, and what comes out.
type value struct {
	Data     []byte            `json:"data"` // base64 in JSON
	Format   string            `json:"format"`
	Config   map[string]string `json:"config,omitempty"`
	Metadata map[string]any    `json:"metadata,omitempty"`
}

func formats(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(map[string][]string{"formats": {"text/plain", "text"}})
}

func process(w http.ResponseWriter, r *http.Request) {
	var v value
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		http.Error(w, "Invalid request body", http.StatusBadRequest)
		return
	}
	v.Data = bytes.ToUpper(v.Data)
	v.Metadata = map[string]any{"operation": "uppercase", "bytes": len(v.Data)}
	if v.Config["repeat"] == "twice" {
		v.Data = append(v.Data, v.Data...)
	}
	v.Config = nil
	json.NewEncoder(w).Encode(v)
}

func main() {
	plugin.Run(plugin.Kind{
		Contract: "dataProcessor", Type: "upper", Description: "Text in capitals.",
		Schema: `{"type": "object", "properties": {"format": {"type": "string", "description": "what goes in: text"}}, "additionalProperties": false}`,
		Open: func(json.RawMessage) (http.Handler, error) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /formats", formats)
			mux.HandleFunc("POST /process", process)
			return mux, nil
		},
	})
}
