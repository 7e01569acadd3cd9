package ffi

import (
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// maxInfo is how long what a plugin says of one file may be, in bytes.
const maxInfo = 512 << 10

var errAnswer = vfs.Crashed.With("the plugin is wrong: its process answers what is no answer")

// checkedList holds a listing to what was asked for: by name, each once.
func (f *FS) checkedList(infos []vfs.Info, after string, limit int) ([]vfs.Info, error) {
	if limit > 0 && len(infos) > limit {
		return nil, errAnswer
	}
	for n := range infos {
		i, err := vfs.Told(infos[n], "", f.began)
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
