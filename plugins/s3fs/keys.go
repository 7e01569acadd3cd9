package s3fs

import (
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// maxKey is how long a key may be, in bytes.
const maxKey = 1024

// How the prefix is put before the path.
const (
	stylePlain   = "plain"
	styleWrapped = "wrapped"
)

// keys says which key is which path.
type keys struct {
	prefix string // as it was given, without slashes around it
	base   string // what all keys begin with: "" or text with a slash at its end
}

func parseKeys(c vfs.Config) (k keys, err error) {
	style, err := c.String(keyStyle, stylePlain)
	if err != nil {
		return k, err
	}
	prefix, err := c.String(keyPrefix, "")
	if err != nil {
		return k, err
	}
	k.prefix = strings.Trim(prefix, "/")
	switch {
	case style != stylePlain && style != styleWrapped:
		return k, vfs.Invalid.With("prefix_style must be plain or wrapped")
	case k.prefix == "":
		return k, nil
	case len(k.prefix) > maxKey/2:
		return k, vfs.Invalid.Withf("prefix is longer than %d bytes", maxKey/2)
	}
	if p, err := vfs.ParsePath("/" + k.prefix); err != nil || p.String() != "/"+k.prefix {
		return k, vfs.Invalid.With("prefix must be names with single slashes between them")
	}
	k.base = k.prefix + "/"
	if style == styleWrapped {
		k.base = "__PREFIX__" + k.prefix + "__/"
	}
	return k, nil
}

// file returns the key of a file at p.
func (k keys) file(p vfs.Path) string { return k.base + strings.TrimPrefix(string(p), "/") }

// dir returns what the keys of all below p begin with, and that of its marker.
func (k keys) dir(p vfs.Path) string {
	if p.IsRoot() {
		return k.base
	}
	return k.file(p) + "/"
}

// fits returns nil if p has a key that a server takes.
func (k keys) fits(p vfs.Path) error {
	if len(k.dir(p)) > maxKey {
		return vfs.Invalid.Withf("the key would be longer than %d bytes", maxKey)
	}
	return nil
}

// isName reports whether what a key has between two slashes can be a name of
// the tree. Other keys are not shown.
func isName(s string) bool {
	p, err := vfs.ParsePath("/" + s)
	return err == nil && p.Base() == s
}
