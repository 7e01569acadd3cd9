package plugins_test

import (
	"testing"

	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

// carried holds the verbs that each built-in plugin must carry: what clients of
// the compatible contract do with it today. A plugin may carry more.
func carried() map[string]vfs.VerbSet {
	all := vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Chmod, vfs.Touch,
		vfs.Remove, vfs.RemoveAll, vfs.Rename, vfs.Symlink)
	refused := all // taken, and answered as by a filesystem that is read-only
	names := vfs.Verbs(vfs.Create, vfs.Write, vfs.Truncate, vfs.Touch, vfs.Remove, vfs.RemoveAll)
	return map[string]vfs.VerbSet{
		"memfs":          all,
		"kvfs":           all,
		"localfs":        all,
		"proxyfs":        all | vfs.Verbs(vfs.Consume),
		"s3fs":           all &^ vfs.Verbs(vfs.Symlink), // links are kept by the table
		"sqlfs":          all &^ vfs.Verbs(vfs.Symlink),
		"queuefs":        names | vfs.Verbs(vfs.Mkdir, vfs.Consume),
		"heartbeatfs":    names | vfs.Verbs(vfs.Mkdir),
		"streamfs":       names,
		"streamrotatefs": names,
		"sqlfs2":         vfs.Verbs(vfs.Write, vfs.Truncate, vfs.RemoveAll, vfs.Consume),
		"httpfs":         refused,
		"hellofs":        refused,
		"serverinfofs":   refused,
		"devfs":          refused,
	}
}

// TestVerbsCarried fails when a plugin gives up a verb, or has no row here.
func TestVerbsCarried(t *testing.T) {
	want := carried()
	for _, p := range plugins.Builtin(nil) {
		must, ok := want[p.Type]
		if !ok {
			t.Errorf("no row says which verbs %s must carry", p.Type)
		}
		for v := vfs.Create; v.Valid(); v++ {
			if must.Has(v) && !p.Verbs.Has(v) {
				t.Errorf("%s does not carry %s (verb %d)", p.Type, v, v)
			}
		}
		delete(want, p.Type)
	}
	for name := range want {
		t.Errorf("there is no plugin %s", name)
	}
}
