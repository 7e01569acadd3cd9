package mcp

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// cursor is where an answer that did not fit is gone on with.
type cursor struct {
	Of    string `json:"o"`           // what was asked
	After string `json:"a,omitempty"` // the last entry, of a listing
	Skip  int    `json:"s,omitempty"` // matches, of a search
}

// String renders it for a client, to whom it is opaque.
func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		return "" // texts and a number: it cannot fail
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// goOn reads a cursor back; "" is the start. It must be of what is asked now.
func goOn(text, of string) (cursor, error) {
	if text == "" {
		return cursor{Of: of}, nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Of != of || c.Skip < 0 || !c.leads() {
		return c, hint(vfs.Invalid.Withf("cursor %q is not one of this call", clip(text, 40)),
			"Repeat the call with the cursor that it answered and the same arguments, or without one")
	}
	return c, nil
}

// leads reports whether After can be the name of an entry: what a client hands back
// is not believed.
func (c cursor) leads() bool {
	for name := range strings.SplitSeq(c.After, "/") {
		if c.After != "" && !vfs.ValidName(name) {
			return false
		}
	}
	return true
}
