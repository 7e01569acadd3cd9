package ffi

import (
	"strings"
	"unicode/utf8"

	"github.com/pfs-project/pfs/vfs"
)

// maxInfo is how long what a plugin says of one file may be, in bytes.
const maxInfo = 512 << 10

var errAnswer = vfs.Crashed.With("the plugin is wrong: its process answers what is no answer")

// checked returns what a process says of a file as clients see it; name replaces
// what the plugin calls it, unless it is "".
func (f *FS) checked(i vfs.Info, name string) (vfs.Info, error) {
	if name == "" {
		name = i.Name
		if name == "" || name == "." || name == ".." || len(name) > vfs.MaxName || strings.ContainsAny(name, "/\x00") || !utf8.ValidString(name) {
			return i, vfs.Crashed.Withf("the plugin is wrong: it names a file %.40q", name)
		}
	}
	if i.Size < 0 || i.Size > vfs.MaxSize {
		return i, vfs.Crashed.With("the plugin is wrong: a size is out of range")
	}
	out := vfs.Info{Name: name, Size: i.Size, Mode: i.Mode & (vfs.ModeDir | 0o777), ModTime: i.ModTime, Meta: i.Meta}
	if y := i.ModTime.Year(); i.ModTime.IsZero() || y <= 1 || y >= 10000 {
		out.ModTime = f.began
	}
	if out.IsDir() {
		out.Size = 0
	}
	delete(out.Meta.Content, vfs.ConsumeKey) // nothing here can be consumed
	return out, nil
}

// checkedList holds a listing to what was asked for: by name, each once.
func (f *FS) checkedList(infos []vfs.Info, after string, limit int) ([]vfs.Info, error) {
	if limit > 0 && len(infos) > limit {
		return nil, errAnswer
	}
	for n := range infos {
		i, err := f.checked(infos[n], "")
		switch {
		case err != nil:
			return nil, err
		case i.Name == after && n > 0:
			return nil, vfs.Crashed.Withf("the plugin is wrong: it lists %.40q twice", i.Name)
		case i.Name <= after:
			return nil, errAnswer
		}
		infos[n], after = i, i.Name
	}
	return infos, nil
}

func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "?") }
