package api

import (
	"encoding/json"
	"testing"
)

// An entry of a listing is written as encoding/json would write it.
func TestAppendInfo(t *testing.T) {
	for _, name := range []string{"", "plain.txt", `"`, `\`, "<&>", "\x00\x1f\x7f", "日本", "\u2028\u2029", "\xff", "~ "} {
		for _, content := range []map[string]string{nil, {}, {"b<": "1", "a": name}} {
			i := info{Name: name, Size: 1 << 40, Mode: 0o644, ModTime: "2024-01-02T03:04:05.000000006Z", IsDir: name == "",
				Meta: meta{Name: name, Type: "file", Content: content}}
			want, err := json.Marshal(i)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := appendInfo([]byte("x"), &i); err != nil || string(got) != "x"+string(want) {
				t.Errorf("%s, %v, want x%s", got, err, want)
			}
		}
	}
}
