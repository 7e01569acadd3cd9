package vfs

import (
	"maps"
	"slices"
	"strings"
)

// Options are what a Write or a Consume asks beside its content, by name. In
// an Op they are the lines of Target, each name=value.
type Options map[string]string

// Encode returns the text for Op.Target. Values must not hold line ends.
func (o Options) Encode() string {
	if len(o) == 0 { // most: what follows takes memory even so
		return ""
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(name + "=" + o[name])
	}
	return b.String()
}

// ParseOptions reads what Encode wrote; of a name given twice the last counts.
func ParseOptions(text string) Options {
	o := Options{}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			o[name] = value
		}
	}
	return o
}

// Optioned is a FileSystem with files that take Options.
type Optioned interface {
	// Options returns the names of those that verb takes on the file p; what
	// else a client asks for is not handed on. It fails if it takes some, but
	// not as v is.
	Options(v View, verb Verb, p Path) ([]string, error)
}
