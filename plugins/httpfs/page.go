package httpfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var css string

var (
	pages = template.Must(template.New("").Parse(pageHTML))
	style = template.CSS(css)
	// pagePolicy lets a page use its own style and pictures of this server.
	pagePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src 'self'; style-src 'sha256-" + digest(css) + "'"
)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const (
	pageSize  = 1000      // entries of one page
	maxReadme = 256 << 10 // bytes of a README that is shown
)

// entry is a line of a listing.
type entry struct {
	Name, Href, Size, Time, Note string
	Dir                          bool
}

// listing is a page.
type listing struct {
	Style  template.CSS
	Title  string
	Crumbs []entry
	Up     string
	Items  []entry
	More   string // the address of the next page
	Zip    string
	Readme template.HTML
	Plain  string // a README that is no Markdown
}

// page answers a directory.
func (v *visit) page(ctx context.Context) error {
	dir := v.source.Join(v.at)
	list, err := v.im.List(ctx, dir, v.r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return err
	}
	l := listing{Style: style, Title: string(v.at), Crumbs: crumbs(v.at), Zip: "?zip"}
	if !v.at.IsRoot() {
		l.Up = href(v.at.Dir(), true)
	}
	if len(list) == pageSize {
		l.More = "?after=" + url.QueryEscape(list[pageSize-1].Name)
	}
	for _, i := range list {
		l.Items = append(l.Items, line(v.at, i))
	}
	slices.SortStableFunc(l.Items, func(a, b entry) int { // directories first
		switch {
		case a.Dir == b.Dir:
			return 0
		case a.Dir:
			return -1
		}
		return 1
	})
	if v.r.URL.Query().Get("after") == "" {
		v.readme(&l, dir, list)
	}
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, "listing", l); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Length", fmt.Sprint(b.Len()))
	if v.r.Method == http.MethodGet {
		_, _ = v.w.Write(b.Bytes()) // the client may have gone
	}
	return nil
}

func crumbs(p vfs.Path) []entry {
	at := vfs.Root
	out := []entry{{Name: "home", Href: "/"}}
	for _, e := range p.Elems() {
		at = at.Child(e)
		out = append(out, entry{Name: e, Href: href(at, true)})
	}
	return out
}

func line(dir vfs.Path, i vfs.Info) entry {
	e := entry{Name: i.Name, Dir: i.IsDir(), Href: href(dir.Child(i.Name), i.IsDir())}
	if !i.ModTime.IsZero() {
		e.Time = i.ModTime.UTC().Format("2006-01-02 15:04")
	}
	switch {
	case i.Consumes():
		e.Href, e.Note = "", "a read takes something away"
	case i.Mode.IsLink():
		e.Note = "→ " + i.Target
	case !e.Dir:
		e.Size = size(i.Size)
	}
	return e
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < 4 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[unit])
}

// readme shows the README of a directory, Markdown before plain text. One that
// cannot be read is left out: the listing is what was asked for.
func (v *visit) readme(l *listing, dir vfs.Path, list []vfs.Info) {
	for _, want := range []string{"README.md", "README", "README.txt"} {
		i := slices.IndexFunc(list, func(i vfs.Info) bool {
			return strings.EqualFold(i.Name, want) && !i.IsDir() && !i.Consumes()
		})
		if i < 0 {
			continue
		}
		b := make([]byte, maxReadme)
		n, err := (&content{v: v, path: dir.Child(list[i].Name), size: list[i].Size}).at(b, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		if want != "README.md" {
			l.Plain = string(b[:n])
			return
		}
		l.Readme = markdown(b[:n])
		return
	}
}

// markdown renders text that nobody trusts.
func markdown(text []byte) template.HTML {
	var b bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(text, &b); err != nil {
		return template.HTML(template.HTMLEscapeString(string(text)))
	}
	return template.HTML(bluemonday.UGCPolicy().SanitizeBytes(b.Bytes()))
}
