package vfs

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Config is the settings of one mount, as YAML or JSON gave them. Its getters
// accept every form in which a value may arrive: a number may be text, a
// JSON number is a float64. A value of the wrong form gives [Invalid].
type Config map[string]any

// Check refuses settings that params does not name, and names missing ones. Its
// texts are in outcomes that the state keeps: they stay as they are.
func (c Config) Check(params []Param) error {
	var unknown, allowed []string
	for _, p := range params {
		allowed = append(allowed, "'"+p.Name+"'")
		if _, ok := c[p.Name]; p.Required && !ok {
			return Invalid.Withf("%s is required in configuration", p.Name)
		}
	}
	for k := range c {
		if !slices.ContainsFunc(params, func(p Param) bool { return p.Name == k }) {
			unknown = append(unknown, "'"+k+"'")
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	sort.Strings(unknown)
	list := "none"
	if len(allowed) > 0 {
		list = strings.Join(allowed, ", ")
	}
	return Invalid.Withf("unknown configuration parameter(s) %s - allowed parameters are: %s",
		strings.Join(unknown, ", "), list)
}

// Vet refuses what no Mount should bring into the log: what Check refuses, and a
// password in a setting that is shown. It names what an unknown setting may have
// been meant to be.
func (c Config) Vet(params []Param) error {
	if err := c.Check(params); err != nil {
		if s := c.suggest(params); s != "" {
			return fmt.Errorf("%w; %s", err, s)
		}
		return err
	}
	for _, p := range params {
		if !p.Secret && p.Type != "map" && passwordIn.MatchString(fmt.Sprint(c[p.Name])) {
			return Invalid.Withf("%s must not hold a user or a password: it is shown, and in the log of every node", p.Name)
		}
	}
	return nil
}

// Named returns params and one more for each setting that they lack: those of a
// plugin that checks its settings itself.
func (c Config) Named(params []Param) []Param {
	out := slices.Clone(params)
	for _, k := range slices.Sorted(maps.Keys(c)) {
		if !slices.ContainsFunc(params, func(p Param) bool { return p.Name == k }) {
			out = append(out, Param{Name: k})
		}
	}
	return out
}

// passwordIn finds the user of a URL, or of a data source name.
var passwordIn = regexp.MustCompile(`://[^/?#\s]*@|:[^\s]*@(tcp|unix)\(`)

// suggest asks whether the unknown settings were meant to be others.
func (c Config) suggest(params []Param) string {
	var names, out []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	for k := range c {
		if n := Nearest(k, names); n != "" && !slices.Contains(names, k) {
			out = append(out, fmt.Sprintf("unknown key %s: did you mean %s?", k, n))
		}
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// HasSecret reports whether a secret is set.
func (c Config) HasSecret(params []Param) bool {
	for _, p := range params {
		if v, ok := c[p.Name]; ok && p.Secret && v != "" {
			return true
		}
	}
	return false
}

// CheckSecrets refuses secrets in the clear: settings are in the log of every
// node.
func (c Config) CheckSecrets(params []Param) error {
	_, err := c.MapSecrets(params, func(name, value string) (string, error) {
		if !IsSecretRef(value) {
			return "", Invalid.Withf("%s is a secret and not sealed", name)
		}
		return value, nil
	})
	return err
}

// IsSecretRef reports whether the value of a secret does not tell it: it is
// kept elsewhere, or sealed.
func IsSecretRef(s string) bool {
	return strings.HasPrefix(s, "env:") || strings.HasPrefix(s, "file:") || strings.HasPrefix(s, "sealed:")
}

// MapSecrets returns c with f's answer in the place of every secret that is
// set, and c itself if there is none. It fails with f.
func (c Config) MapSecrets(params []Param, f func(name, value string) (string, error)) (Config, error) {
	out, cloned := c, false
	for _, p := range params {
		v, ok := c[p.Name]
		if !p.Secret || !ok || v == "" {
			continue
		}
		s, err := f(p.Name, fmt.Sprint(v))
		if err != nil {
			return nil, err
		}
		if !cloned {
			out, cloned = maps.Clone(c), true
		}
		out[p.Name] = s
	}
	return out, nil
}

// String returns the text of key, or def. Numbers are taken as text.
func (c Config) String(key, def string) (string, error) {
	switch v := c[key].(type) {
	case nil:
		return def, nil
	case string:
		return v, nil
	case int, int64, uint64:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", Invalid.Withf("%s must be a string", key)
}

// Int returns the whole number at key, or def.
func (c Config) Int(key string, def int64) (int64, error) {
	switch v := c[key].(type) {
	case nil:
		return def, nil
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, Invalid.Withf("%s must be an integer", key)
}

// Bool returns the truth at key, or def: a boolean, or text as "true" or "0".
func (c Config) Bool(key string, def bool) (bool, error) {
	switch v := c[key].(type) {
	case nil:
		return def, nil
	case bool:
		return v, nil
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, nil
		}
	}
	return false, Invalid.Withf("%s must be a boolean", key)
}

// Size returns bytes: a whole number, or text such as "10MB" (1024-based).
func (c Config) Size(key string, def int64) (int64, error) {
	s, ok := c[key].(string)
	if !ok {
		return c.Int(key, def)
	}
	n, err := ParseSize(s)
	if err != nil {
		return 0, Invalid.Withf("%s: %v", key, err)
	}
	return n, nil
}

// Duration returns a time: text as Go writes it, or a number of seconds.
func (c Config) Duration(key string, def time.Duration) (time.Duration, error) {
	if s, ok := c[key].(string); ok {
		if d, err := time.ParseDuration(s); err == nil && d >= 0 {
			return d, nil
		}
	}
	n, err := c.Int(key, int64(def/time.Second))
	if err != nil || n < 0 || n > math.MaxInt64/int64(time.Second) {
		return 0, Invalid.Withf("%s must be a duration such as 30s, or seconds", key)
	}
	if c[key] == nil {
		return def, nil
	}
	return time.Duration(n) * time.Second, nil
}

// Strings returns the list of texts at key, nil if there is none.
func (c Config) Strings(key string) ([]string, error) {
	switch v := c[key].(type) {
	case nil:
		return nil, nil
	case []string:
		return v, nil
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, Invalid.Withf("%s must be an array of strings", key)
			}
			out[i] = s
		}
		return out, nil
	}
	return nil, Invalid.Withf("%s must be an array", key)
}

// Map returns the object at key with its values as text, nil if there is none.
func (c Config) Map(key string) (map[string]string, error) {
	switch v := c[key].(type) {
	case nil:
		return nil, nil
	case map[string]string:
		return v, nil
	case map[string]any:
		out := make(map[string]string, len(v))
		for k := range v {
			s, err := Config(v).String(k, "")
			if err != nil {
				return nil, Invalid.Withf("%s: values must be strings", key)
			}
			out[k] = s
		}
		return out, nil
	}
	return nil, Invalid.Withf("%s must be a map/object", key)
}

// ParseSize reads a size in bytes: digits with B, KB, MB, GB or TB behind them
// (1024-based, any case, a fraction allowed), or digits alone.
func ParseSize(s string) (int64, error) {
	t := strings.ToUpper(strings.TrimSpace(s))
	unit := 1.0
	for _, u := range []struct {
		suffix string
		bytes  float64
	}{{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}} {
		if num, ok := strings.CutSuffix(t, u.suffix); ok {
			t, unit = strings.TrimSpace(num), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(t, 64)
	if err != nil || n < 0 || n*unit > math.MaxInt64/2 || math.IsNaN(n) {
		return 0, fmt.Errorf("%q is not a size such as 10MB", s)
	}
	return int64(n * unit), nil
}
