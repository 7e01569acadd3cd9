package plot

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// palette is told apart by those who see no red or no green, too (Okabe and Ito).
var palette = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"}

func colour(i int) string { return palette[i%len(palette)] }

// The colours of what is no figure.
const (
	ink  = "#222"
	grid = "#ddd"
)

// sheet is a picture that is being drawn. Measures are pixels, y grows downwards.
type sheet struct{ b strings.Builder }

func (s *sheet) text(x, y float64, anchor, words string) {
	fmt.Fprintf(&s.b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, html.EscapeString(words))
}

// upright is text that is read from below, around a place.
func (s *sheet) upright(x, y float64, words string) {
	fmt.Fprintf(&s.b, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\" transform=\"rotate(-90 %[1]v %[2]v)\">%[3]s</text>\n", x, y, html.EscapeString(words))
}

func (s *sheet) rule(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(&s.b, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, stroke)
}

func (s *sheet) box(x, y, width, height float64, fill string) {
	fmt.Fprintf(&s.b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, width, height, fill)
}

func (s *sheet) dot(at point, fill string) {
	fmt.Fprintf(&s.b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>", at.x, at.y, fill)
}

func (s *sheet) line(through []point, stroke string, dashed bool) {
	path := make([]string, len(through))
	for i, p := range through {
		path[i] = fmt.Sprintf("%.1f,%.1f", p.x, p.y)
	}
	fmt.Fprintf(&s.b, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", strings.Join(path, " "), stroke, dashes(dashed))
}

// sample is a piece of a line, for the legend.
func (s *sheet) sample(x, y float64, stroke string, dashed bool) {
	fmt.Fprintf(&s.b, "<path d=\"M%.1f %.1fh28\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", x, y, stroke, dashes(dashed))
}

func dashes(dashed bool) string {
	if dashed {
		return ` stroke-dasharray="6 4"`
	}
	return ""
}

// writeTo writes the picture with its title.
func (s *sheet) writeTo(w io.Writer, width, height int, title string) error {
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" font-family="sans-serif" font-size="12" fill="%[3]s">
<title>%[4]s</title>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="12" y="24" font-size="16">%[4]s</text>
%[5]s</svg>
`, width, height, ink, html.EscapeString(title), s.b.String())
	return err
}
