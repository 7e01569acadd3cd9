package api

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// query holds the parameters of a request target, decoded once.
type query []param

type param struct{ key, value string }

// parseQuery decodes a query strictly, into q, which is empty: a bad escape or a
// key that is given twice is Invalid, since two readers might see two requests in it.
func parseQuery(q query, raw string) (query, error) {
	if raw == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, ok1 := unescape(k)
		value, ok2 := unescape(v)
		if !ok1 || !ok2 {
			return nil, vfs.Invalid.With("malformed escape in query")
		}
		if _, dup := q.get(key); dup && !repeats(key) {
			return nil, vfs.Invalid.Withf("parameter given twice: %s", printable(key))
		}
		q = append(q, param{key, value})
	}
	return q, nil
}

// repeats reports whether a parameter is a list: given once for each entry.
func repeats(key string) bool {
	return key == "grant_read" || key == "grant_write" || key == "grant_http"
}

func (q query) get(key string) (string, bool) {
	for _, p := range q {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

// unescape decodes %XX and plus once.
func unescape(s string) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || s[i+1] == '+' || s[i+1] == '_' {
				return "", false
			}
			b = append(b, byte(n))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

// printable cuts what a client sent down to something that can be quoted.
func printable(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}

// has reports whether key is exactly "true".
func (c *call) is(key string) bool {
	v, _ := c.query.get(key)
	return v == "true"
}

// path returns the required parameter path.
func (c *call) path() (vfs.Path, error) {
	v, _ := c.query.get("path")
	if v == "" {
		return "", vfs.Invalid.With("path parameter is required")
	}
	return c.parse(v)
}

// dir returns the parameter path, the root if there is none.
func (c *call) dir() (vfs.Path, error) {
	v, _ := c.query.get("path")
	if v == "" {
		return vfs.Root, nil
	}
	return c.parse(v)
}

// parse reads the path that the request asks for.
func (c *call) parse(s string) (p vfs.Path, err error) {
	p, err = parsePath(s)
	c.asked = p
	return p, err
}

func parsePath(s string) (vfs.Path, error) {
	p, err := vfs.ParsePath(s)
	if err != nil {
		return "", vfs.Invalid.Withf("invalid path: %v", err)
	}
	return p, nil
}

// integer returns a decimal parameter, def if it is not given; text is the
// answer to anything else.
func (c *call) integer(key string, def int64, text string) (int64, error) {
	v, ok := c.query.get(key)
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || v[0] == '+' {
		return 0, vfs.Invalid.With(text)
	}
	return n, nil
}

// octal returns a mode, def if it is not given. Type bits above the
// permissions are accepted and dropped, as S_IFREG in 100644.
func (c *call) octal(key string, def vfs.Mode, text string) (vfs.Mode, error) {
	v, ok := c.query.get(key)
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(v, "0o"), 8, 32)
	if err != nil || n > 0o177777 {
		return 0, vfs.Invalid.With(text)
	}
	return vfs.Mode(n) & vfs.ModePerm, nil
}

// level returns how fresh a read must be.
func (c *call) level() (vfs.Level, error) {
	var l vfs.Level
	switch v, ok := c.query.get("consistency"); {
	case v == "linearizable":
		l.Linearizable = true
	case ok && v != "local":
		return l, vfs.Invalid.With("consistency must be local or linearizable")
	}
	if v, ok := c.query.get("min_index"); ok {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return l, vfs.Invalid.With("min_index must be a number")
		}
		l.MinIndex = n
	}
	l.Linearizable = l.Linearizable || c.fresh
	wait, err := c.duration("timeout", 5*time.Second, time.Minute)
	l.Wait = wait
	return l, err
}

// duration returns a time such as 5s, or seconds, cut down to most.
func (c *call) duration(key string, def, most time.Duration) (time.Duration, error) {
	v, ok := c.query.get(key)
	if !ok {
		return def, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(n) || math.Abs(n) > 1e9 {
			return 0, vfs.Invalid.Withf("%s must be a duration such as 5s, or seconds", key)
		}
		d = time.Duration(n * float64(time.Second))
	}
	if d < 0 {
		return 0, vfs.Invalid.Withf("%s must not be negative", key)
	}
	return min(d, most), nil
}
