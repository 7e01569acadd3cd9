package kvfs_test

import (
	"testing"

	"github.com/pfs-project/pfs/plugins/kvfs"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

func TestKvfs(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{
		Plugin:  kvfs.Plugin(),
		Config:  vfs.Config{"initial_data": map[string]any{"welcome": "hello", "port": 8080, "team/lead": "ann"}},
		Scripts: "testdata",
	})
}

func TestSettings(t *testing.T) {
	data := func(key string) vfs.Config {
		return vfs.Config{"initial_data": map[string]string{"a": "1", key: "2"}}
	}
	for _, c := range []struct {
		config vfs.Config
		want   string
	}{
		{nil, ""},
		{data("b/c"), ""},
		{data("/b"), ""},
		{data(""), "initial_data: key name cannot be empty"},
		{data(".."), "initial_data: key name cannot be empty"},
		{data("/a"), "/keys/a is given twice"},
		{data("a/b"), "/keys/a is a file and cannot hold /keys/a/b"},
		{data(`b\c`), `"/b\\c": backslash in path`},
		{vfs.Config{"initial_data": "a=b"}, "initial_data must be a map/object"},
		{vfs.Config{"initial_data": map[string]any{"a": []any{}}}, "initial_data: values must be strings"},
		{vfs.Config{"data": 1}, "unknown configuration parameter(s) 'data' - allowed parameters are: 'initial_data'"},
	} {
		_, err := kvfs.Plugin().New(vfs.Env{}, c.config)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || err != nil && vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%v: %v, want %q", c.config, err, c.want)
		}
	}
}

func TestReason(t *testing.T) {
	s := vfstest.NewState()
	fs, err := kvfs.Plugin().New(vfs.Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder := fs.(vfs.Folder)
	if _, err := s.Apply(folder, vfs.Op{Verb: vfs.Mount, Path: vfs.Root}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Apply(folder, vfs.Op{Verb: vfs.Create, Path: "/f"})
	if err == nil || err.Error() != "keys must be under /keys/ directory" {
		t.Errorf("create outside /keys: %v", err)
	}
}
