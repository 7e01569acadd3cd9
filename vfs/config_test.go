package vfs_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

func TestConfigForms(t *testing.T) {
	c := vfs.Config{
		"text": "x", "n": 7, "big": uint64(8), "json": float64(9), "digits": "10", "half": 1.5, "neg": -3,
		"size": "2KB", "dur": "90s", "list": []any{"a", "b"}, "own": []string{"c"}, "mixed": []any{"a", 1},
		"map": map[string]any{"k": "v", "n": 1}, "flat": map[string]string{"k": "v"}, "bad": map[string]any{"k": []any{}}, "bool": true,
	}
	get := func(v any, err error) string {
		if err != nil {
			return vfs.KindOf(err).Code() + ": " + err.Error()
		}
		return fmt.Sprint(v)
	}
	for _, x := range []struct{ got, want string }{
		{get(c.String("text", "d")), "x"},
		{get(c.String("none", "d")), "d"},
		{get(c.String("n", "")), "7"},
		{get(c.String("json", "")), "9"},
		{get(c.String("bool", "")), "invalid: bool must be a string"},
		{get(c.Int("n", 0)), "7"},
		{get(c.Int("big", 0)), "8"},
		{get(c.Int("json", 0)), "9"},
		{get(c.Int("digits", 0)), "10"},
		{get(c.Int("none", 3)), "3"},
		{get(c.Int("half", 0)), "invalid: half must be an integer"},
		{get(c.Int("text", 0)), "invalid: text must be an integer"},
		{get(c.Size("size", 0)), "2048"},
		{get(c.Size("n", 0)), "7"},
		{get(c.Size("none", 5)), "5"},
		{get(c.Size("text", 0)), `invalid: text: "x" is not a size such as 10MB`},
		{get(c.Duration("dur", 0)), "1m30s"},
		{get(c.Duration("n", 0)), "7s"},
		{get(c.Duration("digits", 0)), "10s"},
		{get(c.Duration("none", 5*time.Millisecond)), "5ms"},
		{get(c.Duration("neg", 0)), "invalid: neg must be a duration such as 30s, or seconds"},
		{get(c.Duration("text", 0)), "invalid: text must be a duration such as 30s, or seconds"},
		{get(c.Strings("list")), "[a b]"},
		{get(c.Strings("own")), "[c]"},
		{get(c.Strings("none")), "[]"},
		{get(c.Strings("mixed")), "invalid: mixed must be an array of strings"},
		{get(c.Strings("text")), "invalid: text must be an array"},
		{get(c.Map("map")), "map[k:v n:1]"},
		{get(c.Map("flat")), "map[k:v]"},
		{get(c.Map("none")), "map[]"},
		{get(c.Map("bad")), "invalid: bad: values must be strings"},
		{get(c.Map("text")), "invalid: text must be a map/object"},
	} {
		if x.got != x.want {
			t.Errorf("got %q, want %q", x.got, x.want)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	params := []vfs.Param{{Name: "url", Required: true}, {Name: "n"}}
	for _, c := range []struct {
		config vfs.Config
		params []vfs.Param
		want   string
	}{
		{vfs.Config{"url": "x"}, params, "ok"},
		{vfs.Config{"url": "x", "n": 1}, params, "ok"},
		{nil, nil, "ok"},
		{vfs.Config{}, params, "url is required in configuration"},
		{vfs.Config{"url": "x", "zz": 1, "foo": 1}, params, "unknown configuration parameter(s) 'foo', 'zz' - allowed parameters are: 'url', 'n'"},
		{vfs.Config{"foo": 1}, nil, "unknown configuration parameter(s) 'foo' - allowed parameters are: none"},
	} {
		if got := answer("ok", c.config.Check(c.params)); got != c.want {
			t.Errorf("%v: %s, want %s", c.config, got, c.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "512": 512, "1B": 1, "1kb": 1024, " 2 MB ": 2 << 20, "1.5GB": 3 << 29, "1TB": 1 << 40} {
		if got, err := vfs.ParseSize(in); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "MB", "-1", "1XB", "NaN", "Inf", "9999999999TB"} {
		if got, err := vfs.ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d", in, got)
		}
	}
}

func TestInfo(t *testing.T) {
	dir := vfs.Info{Mode: vfs.ModeDir | 0o755}
	if !dir.IsDir() || dir.Mode.Perm() != 0o755 || dir.Mode.IsLink() || dir.Consumes() {
		t.Error(dir)
	}
	take := vfs.Info{Meta: vfs.Meta{Content: map[string]string{vfs.ConsumeKey: "true"}}}
	if !take.Consumes() || reflect.DeepEqual(take, dir) {
		t.Error(take)
	}
}

// What no Mount may bring into the log is refused with a text that does not
// repeat it.
func TestConfigVet(t *testing.T) {
	params := []vfs.Param{{Name: "buffer_size"}, {Name: "base_url"}, {Name: "urls", Type: "list"},
		{Name: "dsn", Secret: true}, {Name: "data", Type: "map"}}
	shown := " must not hold a user or a password: it is shown, and in the log of every node"
	for _, c := range []struct {
		config vfs.Config
		want   string
	}{
		{vfs.Config{"buffer_size": 1, "base_url": "http://h/a@b?c=:d@e"}, "ok"},
		{vfs.Config{"bufer_size": 1}, "unknown configuration parameter(s) 'bufer_size' - allowed parameters are: 'buffer_size', 'base_url', 'urls', 'dsn', 'data'" +
			"; unknown key bufer_size: did you mean buffer_size?"},
		{vfs.Config{"Dsn": 1, "base-url": 1, "zzzzzz": 1}, "unknown configuration parameter(s) 'Dsn', 'base-url', 'zzzzzz' - allowed parameters are: 'buffer_size', 'base_url', 'urls', 'dsn', 'data'" +
			"; unknown key Dsn: did you mean dsn? unknown key base-url: did you mean base_url?"},
		{vfs.Config{"base_url": "http://u:hunter2@h"}, "base_url" + shown},
		{vfs.Config{"base_url": "http://a,https://hunter2@h/x"}, "base_url" + shown},
		{vfs.Config{"base_url": "u:hunter2@tcp(h:1)/d"}, "base_url" + shown},
		{vfs.Config{"urls": []any{"http://a", "http://u:hunter2@h"}}, "urls" + shown},
		{vfs.Config{"dsn": "u:hunter2@tcp(h:1)/d", "data": map[string]any{"a": "http://u:p@h"}}, "ok"},
	} {
		err := c.config.Vet(params)
		if got := answer("ok", err); got != c.want || err != nil && vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%v: %s, want %s", c.config, got, c.want)
		}
	}
}
