package server

import (
	"reflect"
	"slices"
	"strings"
)

// knownKeys returns every key that the configuration file may hold.
func knownKeys() []string {
	var keys []string
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			add(t.Elem())
		case reflect.Struct:
			for f := range t.Fields() {
				if tag := f.Tag.Get("yaml"); tag != "" {
					keys = append(keys, tag)
				}
				add(f.Type)
			}
		}
	}
	add(reflect.TypeFor[Config]())
	slices.Sort(keys)
	return slices.Compact(keys)
}

// nearest returns the name that is fewest edits away from s, "" if none is
// near.
func nearest(s string, names []string) string {
	best, found := 1+max(1, len(s)/3), ""
	for _, n := range names {
		if d := edits(strings.ToLower(s), n); d < best {
			best, found = d, n
		}
	}
	return found
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
