package vfs

import (
	"strings"
	"time"
	"unicode/utf8"
)

// ValidName reports whether a file may be called so: one element of a path.
func ValidName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= MaxName && !strings.ContainsAny(s, "/\x00") && utf8.ValidString(s)
}

// Told is what clients see of what a third-party plugin tells of a file: it is not
// believed. name replaces what the plugin calls it, unless that is ""; began is the
// time of files that have none, or one that no calendar has. Crashed: it cannot be.
func Told(i Info, name string, began time.Time) (Info, error) {
	if name == "" {
		if name = i.Name; !ValidName(name) {
			return i, Crashed.Withf("the plugin is wrong: it names a file %.40q", name)
		}
	}
	if i.Size < 0 || i.Size > MaxSize {
		return i, Crashed.With("the plugin is wrong: a size is out of range")
	}
	out := Info{Name: name, Size: i.Size, Mode: i.Mode & (ModeDir | 0o777), ModTime: i.ModTime.UTC(), Meta: i.Meta}
	if y := out.ModTime.Year(); y <= 1 || y >= 10000 { // the year 1 stands for no time
		out.ModTime = began
	}
	if out.IsDir() {
		out.Size = 0
	}
	delete(out.Meta.Content, ConsumeKey) // nothing of a plugin can be consumed
	return out, nil
}
