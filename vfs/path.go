package vfs

import (
	"strings"
	"unicode/utf8"
)

// Limits of names, in bytes and elements.
const (
	MaxName  = 255  // bytes in one element
	MaxPath  = 4096 // bytes in a path
	MaxDepth = 256  // elements in a path
)

// Path is a clean, rooted name such as "/q/jobs": it starts with a slash, has
// no empty, "." or ".." element and no trailing slash except in "/" itself.
type Path string

// Root is the top of the tree.
const Root Path = "/"

// ParsePath cleans s: a leading slash is added, "." and empty elements are
// dropped and ".." removes the element before it, never rising above the root.
// An empty name, invalid UTF-8, a control character, a backslash, or a name
// beyond the limits gives [Invalid].
func ParsePath(s string) (Path, error) {
	switch {
	case s == "":
		return "", Invalid.With("empty path")
	case !utf8.ValidString(s):
		return "", Invalid.With("path is not UTF-8")
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f {
			return "", Invalid.With("control character in path")
		} else if c == '\\' {
			return "", Invalid.With("backslash in path")
		}
	}
	if clean(s) {
		return Path(s), nil
	}
	elems := make([]string, 0, 8)
	for e := range strings.SplitSeq(s, "/") {
		switch {
		case e == "" || e == ".":
		case e == "..":
			elems = elems[:max(0, len(elems)-1)]
		case len(e) > MaxName:
			return "", Invalid.With("name too long")
		default:
			elems = append(elems, e)
		}
	}
	if len(elems) > MaxDepth {
		return "", Invalid.With("path too deep")
	}
	p := "/" + strings.Join(elems, "/")
	if len(p) > MaxPath {
		return "", Invalid.With("path too long")
	}
	return Path(p), nil
}

// clean reports whether ParsePath has nothing to change in s or to refuse: most
// paths are sent as they are to be, and need no copy.
func clean(s string) bool {
	if len(s) > MaxPath || s[0] != '/' {
		return false
	}
	depth := 0
	for rest := s[1:]; rest != ""; depth++ {
		e, below, deeper := strings.Cut(rest, "/")
		if e == "" || e == "." || e == ".." || len(e) > MaxName || deeper && below == "" {
			return false
		}
		rest = below
	}
	return depth <= MaxDepth
}

// String returns the path as text.
func (p Path) String() string { return string(p) }

// Base returns the last element; of the root, "/".
func (p Path) Base() string {
	if p.IsRoot() {
		return "/"
	}
	return string(p[strings.LastIndexByte(string(p), '/')+1:])
}

// Dir returns the path without its last element; of the root, the root.
func (p Path) Dir() Path {
	i := strings.LastIndexByte(string(p), '/')
	if i <= 0 {
		return Root
	}
	return p[:i]
}

// IsRoot reports whether p is "/".
func (p Path) IsRoot() bool { return p == Root || p == "" }

// Child returns p with one more element. The name must be one valid element.
func (p Path) Child(name string) Path {
	if p.IsRoot() {
		return Path("/" + name)
	}
	return p + Path("/"+name)
}

// Join appends a rooted path below p.
func (p Path) Join(below Path) Path {
	switch {
	case below.IsRoot():
		return p
	case p.IsRoot():
		return below
	}
	return p + below
}

// Under reports whether p is dir or lies below it, on element boundaries.
func (p Path) Under(dir Path) bool {
	return dir.IsRoot() || p == dir || strings.HasPrefix(string(p), string(dir)+"/")
}

// Rel returns p relative to dir, rooted: Rel("/a/b", "/a") is "/b". p must be
// Under dir.
func (p Path) Rel(dir Path) Path {
	if dir.IsRoot() {
		return p
	}
	if p == dir {
		return Root
	}
	return p[len(dir):]
}

// Elems returns the elements, none for the root.
func (p Path) Elems() []string {
	if p.IsRoot() {
		return nil
	}
	return strings.Split(string(p[1:]), "/")
}
