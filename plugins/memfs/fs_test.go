package memfs_test

import (
	"testing"

	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

func TestMemfs(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{
		Plugin:  memfs.Plugin(),
		Config:  vfs.Config{"init_dirs": []any{"/home/user", "tmp", "/home"}},
		Scripts: "testdata",
	})
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		config vfs.Config
		want   string
	}{
		{nil, ""},
		{vfs.Config{"init_dirs": []string{"/a"}}, ""},
		{vfs.Config{"init_dirs": []any{"/a", "/a/b", "/"}}, ""},
		{vfs.Config{"init_dirs": "/a"}, "init_dirs must be an array"},
		{vfs.Config{"init_dirs": []any{1}}, "init_dirs must be an array of strings"},
		{vfs.Config{"init_dirs": []any{"/a\x00"}}, `"/a\x00": control character in path`},
		{vfs.Config{"init_dirs": []any{"/README"}}, "/README is given twice"},
		{vfs.Config{"init_dir": []any{}}, "unknown configuration parameter(s) 'init_dir' - allowed parameters are: 'init_dirs'"},
	} {
		_, err := memfs.Plugin().New(vfs.Env{}, c.config)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || err != nil && vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%v: %v, want %q", c.config, err, c.want)
		}
	}
}
