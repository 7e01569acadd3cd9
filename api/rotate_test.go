package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins/hellofs"
	"github.com/pfs-project/pfs/plugins/kvfs"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/queuefs"
	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
)

func rotating(t *testing.T, config vfs.Config) *apitest.Server {
	s := apitest.Start(t, apitest.Config{Level: true, Plugins: []vfs.Plugin{streamfs.Plugin(), streamfs.RotatePlugin(),
		memfs.Plugin(), kvfs.Plugin(), queuefs.Plugin(), hellofs.Plugin()}})
	s.Mount(t, "/m", "memfs", nil)
	s.Mount(t, "/kv", "kvfs", nil)
	s.Mount(t, "/r", "streamrotatefs", config)
	return s
}

// content returns what all files of a directory hold, in order of their names.
func content(t *testing.T, s *apitest.Server, dir string) (files int, all string) {
	t.Helper()
	for _, name := range strings.Fields(listed(t, s, dir, "")) {
		a := s.Do(t, "GET", v1+"/files?path="+dir+"/"+name, "")
		if a.Status != 200 {
			t.Errorf("%s: %+v", name, a)
		}
		files++
		all += a.Body
	}
	return files, all
}

// TestRotation writes short, long and chunked pieces; the files hold them all,
// in order, and none is longer than it may be.
func TestRotation(t *testing.T) {
	for _, out := range []string{"/m/deep/er", "/kv/keys/tv"} {
		s := rotating(t, vfs.Config{"output_path": out, "rotation_size": 200 << 10, "filename_pattern": "{channel}-{index}"})
		var want strings.Builder
		for i := range 12 {
			piece := strings.Repeat(fmt.Sprint(i%10), []int{1, 30 << 10, 50 << 10, 90 << 10}[i%4])
			want.WriteString(piece)
			if a := s.Do(t, "PUT", v1+"/files?path=/r/cam/1", piece, "Idempotency-Key", fmt.Sprint(i)); a.Status != 200 {
				t.Fatalf("%+v", a)
			}
		}
		files, got := content(t, s, out)
		if got != want.String() || files < 3 || files > 6 {
			t.Errorf("%s: %d files with %d bytes, want %d", out, files, len(got), want.Len())
		}
		r := tune(t, s, v1+"/files?path=/r/cam/1&stream=true")
		hears(t, r, want.String())
		a := s.Do(t, "GET", v1+"/stat?path=/r/cam/1", "")
		for _, part := range []string{`"Type":"rotate-stream"`, `"rotation_file_idx":"` + fmt.Sprint(files) + `"`, `"rotation_threshold":"204800"`, `"active_readers":"1"`, `"current_file_size":"`} {
			if !strings.Contains(a.Body, part) {
				t.Errorf("stat has no %s: %s", part, a.Body)
			}
		}
		if n := listed(t, s, out, "&limit=1"); !strings.HasPrefix(n, "cam_1-000001") {
			t.Errorf("names: %s", n)
		}
		if a := s.Do(t, "DELETE", v1+"/files?path=/r/cam&recursive=true", ""); a.Status != 200 {
			t.Errorf("%+v", a)
		}
		if again, _ := content(t, s, out); again != files {
			t.Errorf("%d files are left of %d", again, files)
		}
	}
}

// TestRotationsOfOneSecond get names of their own.
func TestRotationsOfOneSecond(t *testing.T) {
	s := rotating(t, vfs.Config{"output_path": "/m", "rotation_size": "1", "filename_pattern": "{channel}.dat", "rotation_interval": ""})
	for i := range 4 {
		s.Do(t, "PUT", v1+"/files?path=/r/tv", fmt.Sprint(i))
	}
	if _, got := content(t, s, "/m"); !strings.HasSuffix(got, "0123") {
		t.Errorf("%q", got)
	}
	if got := listed(t, s, "/m", "&prefix=tv"); got != "tv.dat tv.dat_000002 tv.dat_000003 tv.dat_000004" {
		t.Errorf("files: %s", got)
	}
}

// TestRotationFailsWhole: what cannot go to the file does not go to the stream.
func TestRotationFailsWhole(t *testing.T) {
	loop := "/r/loop"
	for out, want := range map[string]string{
		"/nowhere/x": "404 there is no mount",
		"/kv/x":      "403 keys must be under",
		"/m/README":  "400 not a directory",
		loop:         "400 is itself written",
	} {
		s := rotating(t, vfs.Config{"output_path": out})
		s.Do(t, "PUT", v1+"/files?path=/m/README", "x")
		status, text, _ := strings.Cut(want, " ")
		a := s.Do(t, "PUT", v1+"/files?path=/r/tv", "x")
		if fmt.Sprint(a.Status) != status || !strings.Contains(a.Body, text) {
			t.Errorf("%s: %d %s", out, a.Status, a.Body)
		}
		if a := s.Do(t, "GET", v1+"/stat?path=/r/tv", ""); a.Status != 404 {
			t.Errorf("%s: the stream is there: %+v", out, a)
		}
	}
}

// TestRotationOutside: what a mount outside the log is to get waits in the state,
// as much as may wait, however the body is cut.
func TestRotationOutside(t *testing.T) {
	s := rotating(t, vfs.Config{"output_path": "/l", "rotation_size": "4B", "spool_size": "9B"})
	s.Mount(t, "/l", "hellofs", nil)
	for i, want := range []int{200, 200, 200, 507} {
		if a := s.Do(t, "PUT", v1+"/files?path=/r/tv", "abc"); a.Status != want {
			t.Errorf("write %d: %d %s", i, a.Status, a.Body)
		}
	}
	if a := s.Do(t, "GET", v1+"/stat?path=/r/tv", ""); !strings.Contains(a.Body, `"spooled":"9"`) || !strings.Contains(a.Body, `"total_written":"9"`) {
		t.Errorf("%s", a.Body)
	}
}

func TestRotationSettings(t *testing.T) {
	p := streamfs.RotatePlugin()
	for _, c := range []struct {
		config vfs.Config
		want   string
	}{
		{vfs.Config{"output_path": "/m", "rotation_size": float64(1 << 22), "rotation_interval": "", "buffer_size": "1MB"}, ""},
		{vfs.Config{"output_path": "/m", "rotation_size": "", "rotation_interval": "5m", "filename_pattern": "{date}/{time}_{index}.ts"}, ""},
		{vfs.Config{}, "output_path is required in configuration"},
		{vfs.Config{"output_path": "m"}, "output_path must start with /"},
		{vfs.Config{"output_path": "/m", "rotation_size": "big"}, "rotation_size must be a size such as 100MB"},
		{vfs.Config{"output_path": "/m", "rotation_interval": "soon"}, "rotation_interval must be a duration such as 30s, or seconds"},
		{vfs.Config{"output_path": "/m", "spool_size": "0"}, "spool_size must be a size such as 1GB"},
		{vfs.Config{"output_path": "/m", "filename_pattern": "../x"}, `filename_pattern "../x" gives no name below output_path`},
		{vfs.Config{"output_path": "/m", "durability": "memory"}, "durability: memory is for streamfs: what is written to files as well is in the log; leave it out, or use log"},
	} {
		_, err := p.Place(c.config)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.config, got, c.want)
		}
	}
}
