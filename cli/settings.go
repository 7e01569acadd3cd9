package cli

import (
	"encoding/json"
	"strings"
)

// Settings takes key=value apart. A value that is a JSON array or object is kept
// as such, any other as text.
func Settings(args []string) (map[string]any, error) {
	config := map[string]any{}
	for _, kv := range args {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, Usage("%q is not key=value", kv)
		}
		config[k] = v
		if raw := json.RawMessage(v); strings.HasPrefix(v, "[") || strings.HasPrefix(v, "{") {
			if !json.Valid(raw) {
				return nil, Usage("the value of %s is not valid JSON", k)
			}
			config[k] = raw
		}
	}
	return config, nil
}
