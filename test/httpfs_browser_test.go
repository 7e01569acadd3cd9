package test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/browser"
	"github.com/pfs-project/pfs/test/harness"
)

// planted runs wherever a browser lets it: it renames the page.
const planted = `<script>document.title='ran'</script><img src="x" onerror="document.title='ran'"><svg onload="document.title='ran'"></svg>`

// shelf is what the pages of the browser's test show.
func shelf() map[string]string {
	return map[string]string{
		"README.md": "# Wares of the house\n\n" + planted + "\n\n[press](javascript:document.title='ran') [deep](deep/)\n\n" +
			"A long name: https://example.invalid/" + strings.Repeat("abcdefghij", 20) + "\n\n" +
			"| what | where | how many | since when |\n|---|---|---|---|\n| bolts_of_the_longest_kind | " + strings.Repeat("shelf", 12) + " | 12 | 2024 |\n\n" +
			"```\n" + strings.Repeat("a line of code that is long ", 8) + strings.Repeat("x", 120) + "\n```\n",
		"page.html":                 "<!doctype html><title>page</title><p id=here>words</p>" + planted,
		"drawing.svg":               `<svg xmlns="http://www.w3.org/2000/svg" onload="document.title='ran'"><title>drawing</title><script>document.title='ran'</script><text y="20">words</text></svg>`,
		"plain.txt":                 "words " + planted,
		"data.json":                 `{"words":1}`,
		"deep/b.txt":                "below",
		"<img src=x onerror=run()>": "odd",
		strings.Repeat("a-name-without-an-end", 8) + ".txt": "long",
	}
}

// TestHTTPFSInBrowser opens a served directory in Chromium: on a wide and on a
// narrow screen, light and dark, by the keyboard alone, with scripts planted in
// whatever may be content.
func TestHTTPFSInBrowser(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	s := &shop{web: newWeb(t, c.Nodes[0]), port: freePort(t)}
	for _, dir := range []string{"/memfs/site", "/memfs/site/deep"} {
		s.mkdir(dir)
	}
	for name, content := range shelf() {
		s.put(url.QueryEscape("/memfs/site/"+name), content)
	}
	s.mount()
	b := &reading{T: t, Page: browser.Open(t), home: fmt.Sprintf("http://127.0.0.1:%d/", s.port)}
	b.screens()
	b.keyboard()
	b.scripts()
}

// reading is a browser before the served directory.
type reading struct {
	*testing.T
	*browser.Page
	home string
}

// screens looks at the page in every size and colour.
func (b *reading) screens() {
	for _, v := range []struct {
		name  string
		width int
		dark  bool
	}{{"wide", 1280, false}, {"wide-dark", 1280, true}, {"narrow", 390, false}, {"narrow-dark", 390, true}} {
		b.View(v.width, 1700, v.dark) // the whole page is in the picture
		b.Visit(b.home)
		b.Picture(filepath.Join(b.ArtifactDir(), v.name+".png"))
		var tall []string // a word of each table in lines of one letter
		b.Ask(`[...document.querySelectorAll('article th')].filter(e => e.clientHeight > 5 * parseFloat(getComputedStyle(e).lineHeight)).map(e => e.innerText)`, &tall)
		if len(tall) > 0 {
			b.Errorf("%s: columns without room: %q", v.name, tall)
		}
		var page struct {
			Width, Scroll   int
			Scrollers       []string // what must be scrolled sideways
			Outside         []string // what lies outside of the window
			Contrast        float64  // the least of all texts
			Dim             string
			Back            float64 // luminance
			Readme, Heading string
			Items           int
		}
		b.Ask(look, &page)
		if page.Width != v.width || page.Scroll > v.width || len(page.Scrollers) > 0 || len(page.Outside) > 0 {
			b.Errorf("%s: a page of %d in a window of %d; sideways: %q, outside: %q", v.name, page.Scroll, page.Width, page.Scrollers, page.Outside)
		}
		if dark := page.Back < 0.2; dark != v.dark {
			b.Errorf("%s: the luminance of the background is %.2f", v.name, page.Back)
		}
		if page.Contrast < 4.5 {
			b.Errorf("%s: the contrast of %s is %.1f", v.name, page.Dim, page.Contrast)
		}
		if page.Heading != "Wares of the house" || !strings.Contains(page.Readme, "A long name") || page.Items != 8 {
			b.Errorf("%s: %d items, README %q: %.80q", v.name, page.Items, page.Heading, page.Readme)
		}
	}
}

// look measures a page.
const look = `(() => {
	const rgb = c => c.match(/[\d.]+/g).map(Number)
	const lum = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b }
	const clear = c => { const v = rgb(c); return v.length == 4 && v[3] == 0 }
	const style = e => getComputedStyle(e)
	const back = e => { while (e.parentElement && clear(style(e).backgroundColor)) e = e.parentElement; return style(e).backgroundColor }
	const shown = [...document.body.querySelectorAll('*')].filter(e => style(e).display != 'none' && e.getClientRects().length)
	const out = {width: innerWidth, scroll: document.documentElement.scrollWidth, contrast: 99, dim: '', back: lum(style(document.body).backgroundColor),
		scrollers: [], outside: [], items: document.querySelectorAll('main > table tbody tr').length,
		readme: document.querySelector('article')?.innerText ?? '', heading: document.querySelector('article h1')?.innerText ?? ''}
	const name = e => e.tagName + ' ' + (e.innerText || '').slice(0, 30)
	for (const e of shown) {
		if (e.scrollWidth > e.clientWidth + 1 && style(e).overflowX != 'visible') out.scrollers.push(name(e))
		const r = e.getBoundingClientRect()
		if (r.right > innerWidth + 1 || r.left < -1) out.outside.push(name(e))
		if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue
		const [a, b] = [lum(style(e).color), lum(back(e))].sort((x, y) => y - x)
		const contrast = (a + .05) / (b + .05)
		if (contrast < out.contrast) { out.contrast = contrast; out.dim = name(e) }
	}
	return out
})()`

// keyboard goes to every link by Tab, sees that it is shown which one it is, and
// opens each by Enter.
func (b *reading) keyboard() {
	b.View(390, 844, false)
	b.Visit(b.home)
	var links []string
	b.Ask(`[...document.querySelectorAll('a')].map(a => a.href)`, &links)
	type focus struct {
		Href, Outline string
		Visible, Save bool
	}
	var order []focus
	for range links {
		b.Press("Tab")
		b.Until(`document.activeElement.getBoundingClientRect().top < innerHeight`) // it scrolls there
		var f focus
		b.Ask(`(() => { const e = document.activeElement, r = e.getBoundingClientRect(); return {href: e.href ?? '', save: e.hasAttribute('download'),
			outline: getComputedStyle(e).outlineStyle, visible: r.top < innerHeight && r.bottom > 0 && r.width > 0} })()`, &f)
		order = append(order, f)
	}
	for i, f := range order {
		if f.Href != links[i] || f.Outline == "none" || !f.Visible {
			b.Errorf("Tab %d leads to %+v, the link there is %s", i+1, f, links[i])
		}
	}
	if len(links) != 12 { // home, zip, a directory, seven files, two of the README
		b.Errorf("%d links: %q", len(links), links)
	}
	for i, f := range order {
		if !strings.HasPrefix(f.Href, b.home) {
			continue // there is no such server
		}
		b.Visit(b.home)
		for range i + 1 {
			b.Press("Tab")
		}
		b.Press("Enter")
		if !f.Save {
			b.Until(fmt.Sprintf(`location.href === %q && document.readyState === "complete"`, f.Href))
			continue
		}
		if !harness.Poll(30*time.Second, func() bool {
			_, err := os.Stat(filepath.Join(b.Downloads, "site.zip"))
			return err == nil
		}) {
			b.Errorf("Enter at %s saves nothing", f.Href)
		}
	}
}

// scripts opens everything that might run. A server that lets them shows that
// they would.
func (b *reading) scripts() {
	wares := shelf()
	careless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".svg") {
			w.Header().Set("Content-Type", "image/svg+xml")
		}
		fmt.Fprint(w, wares[strings.TrimPrefix(r.URL.Path, "/")])
	}))
	b.Cleanup(careless.Close)
	for _, name := range []string{"page.html", "drawing.svg"} {
		b.Visit(careless.URL + "/" + name)
		b.Until(`document.title === "ran"`)
	}
	for _, name := range append(slices.Sorted(maps.Keys(wares)), "", "deep/") {
		at := b.home + strings.ReplaceAll(url.PathEscape(name), "%2F", "/")
		b.Visit(at)
		var title string
		for range 5 { // what loads late runs late
			b.Ask(`document.title`, &title)
			if title == "ran" {
				b.Errorf("a script of %s ran", at)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	var foreign []string
	b.Visit(b.home)
	b.Ask(`[...document.querySelectorAll('script, iframe, object, embed, form, [onerror], [onload], [onclick], a[href^="javascript:"]')].map(e => e.outerHTML)`, &foreign)
	if len(foreign) > 0 {
		b.Errorf("in the page: %q", foreign)
	}
}
