// Hello is the smallest plugin: one file to read.
package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/pfs-project/pfs/examples/go-http/plugin"
)

type hello struct {
	text string
	at   time.Time
}

func (h hello) Stat(path string) (plugin.File, error) {
	switch path {
	case "/":
		return plugin.File{Name: "/", IsDir: true, Mode: 0o555, ModTime: h.at}, nil
	case "/hello":
		return plugin.File{Name: "hello", Size: int64(len(h.text)), Mode: 0o444, ModTime: h.at}, nil
	}
	return plugin.File{}, plugin.NotFound
}

func (h hello) List(path string) ([]plugin.File, error) {
	switch path {
	case "/":
		f, err := h.Stat("/hello")
		return []plugin.File{f}, err
	case "/hello":
		return nil, plugin.NotDir
	}
	return nil, plugin.NotFound
}

func (h hello) Read(path string, b []byte, off int64) (int, error) {
	switch path {
	case "/":
		return 0, plugin.IsDir
	case "/hello":
		if off >= int64(len(h.text)) {
			return 0, nil
		}
		return copy(b, h.text[off:]), nil
	}
	return 0, plugin.NotFound
}

func main() {
	plugin.Run(plugin.Kind{
		Contract: "fileSystem", Type: "hellofs-http", Description: "One file that says hello.",
		Schema: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object",
			"properties": {"greeting": {"type": "string", "maxLength": 100, "description": "what the file says"}},
			"additionalProperties": false
		}`,
		Open: func(settings json.RawMessage) (http.Handler, error) {
			var s struct{ Greeting string }
			if err := json.Unmarshal(settings, &s); err != nil {
				return nil, err
			}
			if s.Greeting == "" {
				s.Greeting = "Hello from Go HTTP plugin!"
			}
			return plugin.Serve(hello{strings.TrimSpace(s.Greeting) + "\n", time.Now().UTC().Truncate(time.Second)}), nil
		},
	})
}
