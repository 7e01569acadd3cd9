package api

import (
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// span is a part of a file in bytes; size -1 means to its end. ranged: the
// client asked by a Range header.
type span struct {
	off, size int64
	ranged    bool
}

// within returns how many bytes of the span a file of the given size has.
func (s span) within(size int64) int64 {
	n := max(size-s.off, 0)
	if s.size >= 0 {
		n = min(n, s.size)
	}
	return n
}

// errEndless refuses to read a file to its end that has none.
var errEndless = vfs.Invalid.With("it has no end: ask for a part of it with size=BYTES")

// of returns how many bytes of the span a file has.
func (s span) of(i vfs.Info) int64 {
	if i.Endless() {
		return max(s.size, 0)
	}
	return s.within(i.Size)
}

// conditions applies the conditional headers of a read, in the order of RFC
// 9110, and its Range. done: an answer has been given.
func (c *call) conditions(i vfs.Info, part *span, rangeAllowed bool) (done bool, err error) {
	if !c.says {
		return false, nil
	}
	if v := c.header("If-Match"); v != "" {
		if !matches(v, i.Version, false) {
			return false, &vfs.Error{Kind: vfs.Stale, Version: i.Version}
		}
	} else if t, ok := date(c.header("If-Unmodified-Since")); ok && i.ModTime.Truncate(time.Second).After(t) {
		return false, &vfs.Error{Kind: vfs.Stale, Version: i.Version}
	}
	if v := c.header("If-None-Match"); v != "" {
		if matches(v, i.Version, true) {
			c.fc.SetStatusCode(304)
			return true, nil
		}
	} else if t, ok := date(c.header("If-Modified-Since")); ok && !i.ModTime.Truncate(time.Second).After(t) {
		c.fc.SetStatusCode(304)
		return true, nil
	}
	v := c.header("Range")
	if v == "" || !rangeAllowed || !c.sameAs(c.header("If-Range"), i) {
		return false, nil
	}
	off, n, verdict := parseRange(v, i.Size)
	switch verdict {
	case rangeGood:
		*part = span{off, n, true}
	case rangeBad:
		c.set("Content-Range", "bytes */"+strconv.FormatInt(i.Size, 10))
		return false, vfs.Range.With("range is not within the file")
	}
	return false, nil
}

// sameAs judges If-Range.
func (c *call) sameAs(v string, i vfs.Info) bool {
	switch {
	case v == "":
		return true
	case strings.Contains(v, `"`):
		return matches(v, i.Version, false) && v != "*"
	}
	t, ok := date(v)
	return ok && i.ModTime.Truncate(time.Second).Equal(t)
}

// matches reports whether a list of entity tags has the version. Tags without
// quotes are taken as well. Weak tags only match where weak is allowed.
func matches(list string, version uint64, weak bool) bool {
	for t := range strings.SplitSeq(list, ",") {
		t = strings.TrimSpace(t)
		if t == "*" {
			return true
		}
		if w, ok := strings.CutPrefix(t, "W/"); ok {
			if !weak {
				continue
			}
			t = w
		}
		if n, ok := tag(t); ok && n == version && version > 0 {
			return true
		}
	}
	return false
}

// tag reads one strong entity tag, with or without quotes.
func tag(s string) (uint64, bool) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

func date(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	t, err := time.Parse(httpTime, s)
	return t, err == nil
}

// What became of a Range header.
const (
	rangeIgnored = iota // not understood, or more than one part: the whole file
	rangeGood
	rangeBad // lies outside
)

// parseRange reads a Range of one part.
func parseRange(s string, size int64) (off, n int64, verdict int) {
	set, ok := strings.CutPrefix(s, "bytes=")
	if !ok || strings.Contains(set, ",") {
		return 0, 0, rangeIgnored
	}
	from, to, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok {
		return 0, 0, rangeIgnored
	}
	last, lastOK := digits([]byte(to))
	if from == "" {
		switch {
		case !lastOK:
			return 0, 0, rangeIgnored
		case last == 0 || size == 0:
			return 0, 0, rangeBad
		}
		last = min(last, size)
		return size - last, last, rangeGood
	}
	first, ok := digits([]byte(from))
	switch {
	case !ok || to != "" && !lastOK || to != "" && last < first:
		return 0, 0, rangeIgnored
	case first >= size:
		return 0, 0, rangeBad
	case to == "":
		last = size - 1
	}
	last = min(last, size-1)
	return first, last - first + 1, rangeGood
}
