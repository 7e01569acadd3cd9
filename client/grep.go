package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// GrepOptions say how to search. The zero value searches one file.
type GrepOptions struct {
	Recursive  bool // a directory with all below it
	IgnoreCase bool
	Limit      int // matches; 0: all
}

// Match is a line that matched.
type Match struct {
	File    string `json:"file"`
	Line    int    `json:"line"`    // from 1
	Content string `json:"content"` // without its end; U+FFFD for what is not UTF-8
}

// Grep searches files for a regular expression (RE2) on the node and gives the
// matches as they are found. Nothing that gives something away is read, and in a
// recursive search what cannot be read is passed over. An error ends it: without
// one, all was searched.
func (c *Client) Grep(ctx context.Context, path, pattern string, o GrepOptions) iter.Seq2[Match, error] {
	k := post("grep", "/grep", path).withJSON(map[string]any{"path": path, "pattern": pattern,
		"recursive": o.Recursive, "case_insensitive": o.IgnoreCase, "limit": o.Limit, "stream": true})
	k.asks, k.stream, k.query = true, true, url.Values{}
	return func(yield func(Match, error) bool) {
		a, err := c.do(ctx, k)
		if err != nil {
			yield(Match{}, err)
			return
		}
		defer a.body.Close()
		lines := json.NewDecoder(a.body)
		for {
			var line struct {
				Match
				Type  string `json:"type"`
				Error string `json:"error"`
			}
			err := lines.Decode(&line)
			switch {
			case err == io.EOF:
				err = io.ErrUnexpectedEOF // there is a summary at the end
			case err == nil && line.Error != "":
				err = grepFault(line.Type == "summary", line.Error)
			case err == nil && line.Type == "summary":
				return
			case err == nil:
				if !yield(line.Match, nil) {
					return
				}
				continue
			}
			var pe *fs.PathError
			if !errors.As(err, &pe) {
				err = &fs.PathError{Op: "grep", Path: path, Err: err}
			}
			yield(Match{}, err)
			return
		}
	}
}

// grepFault is an error that came where matches do: before the search it is of
// the request, and in the summary of the search.
func grepFault(summary bool, text string) error {
	switch {
	case !summary:
		return vfs.Invalid.With(text)
	case strings.HasSuffix(text, vfs.Timeout.Error()):
		return vfs.Timeout.With(text)
	}
	return vfs.Internal.With(text)
}

// FileDigest has the node hash a file: xxh3 (16 hex digits, the low half of the
// 128-bit sum) or md5 (32).
func (c *Client) FileDigest(ctx context.Context, path, algorithm string) (string, error) {
	k := post("digest", "/digest", path).withJSON(map[string]string{"path": path, "algorithm": algorithm})
	k.asks, k.query = true, url.Values{}
	var out struct {
		Digest string `json:"digest"`
	}
	_, err := c.json(ctx, k, &out)
	return out.Digest, err
}

// Sync returns once all that the node has acknowledged is durable, which it was
// before it was acknowledged.
func (c *Client) Sync(ctx context.Context) error {
	k := post("sync", "/sync", "/")
	k.again = true
	_, err := c.do(ctx, k)
	return err
}
