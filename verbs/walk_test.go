package verbs_test

import (
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

// chmod -R goes on over what it cannot change, as find and du go on over what they
// cannot list: it is told, and the rest is done.
func TestWalkGoesOn(t *testing.T) {
	s := serve(t)
	pfs.Must(t, "", "mkdir", "-p", "/memfs/d/a", "/memfs/d/z")
	pfs.Must(t, "", "put", "-", "/memfs/d/z/f")
	s.Mount(t, "/memfs/d/m", "serverinfofs", nil)
	for _, step := range []clitest.Step{
		{Args: "chmod -R -v 700 /memfs/d", Code: 10, Stdout: "0700 /memfs/d\n0700 /memfs/d/a\n0700 /memfs/d/m\n0700 /memfs/d/z\n0700 /memfs/d/z/f\n",
			Stderr: "pfs: chmod: /memfs/d/m: …\npfs: 1 of 5 failed\n"},
		{Args: "chmod -R 600 /memfs/d/m", Code: 7, Stderr: "pfs: chmod: /memfs/d/m: permission denied…\n"},
		{Args: "stat -c %a /memfs/d/z/f", Stdout: "700\n"},
		{Args: "tree -L 2 --noreport /memfs/d /memfs/d/z", Stdout: "/memfs/d\n├── a/\n├── m/\n│   ├── README\n│   ├── server_info\n│   ├── stats\n│   ├── traffic\n│   ├── uptime\n│   └── version\n└── z/\n    └── f\n/memfs/d/z\n└── f\n"},
	} {
		pfs.Do(t, step)
	}
}
