package api

import (
	"net/url"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// fromOurs refuses a request that a browser sends for a page of another site: the
// browser may reach this node where the site does not. What only reads needs no
// check, as no answer lets such a page see it. Other clients send neither of the
// headers (https://www.w3.org/TR/fetch-metadata/ and RFC 6454).
func (c *call) fromOurs() error {
	if !c.says {
		return nil
	}
	switch site := c.header("Sec-Fetch-Site"); site {
	case "same-origin", "none": // none: the user's own doing
		return nil
	case "":
		origin := c.header("Origin")
		if origin == "" {
			return nil
		}
		if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, string(c.fc.Host())) {
			return nil
		}
	}
	return vfs.Permission.With("a page of another site may change nothing here")
}

// reads reports whether the method only asks; a read that takes something away is
// asked for itself.
func (c *call) reads() bool {
	switch c.method() {
	case "GET", "HEAD", "OPTIONS":
		return true
	}
	return false
}
