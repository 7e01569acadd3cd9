package verbs_test

import (
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

func TestWatch(t *testing.T) {
	s := serve(t)
	pfs.Must(t, "old", "put", "-", "/memfs/f")
	r := run(t, "watch", "/memfs/f", "/memfs/later", "--exec", "echo $PFS_EVENT of $PFS_PATH, $PFS_SIZE bytes, ${PFS_ETAG:+with a version}")
	held(t, s, 2)
	out := ""
	for _, c := range []struct{ args, stdin, want string }{
		{"put --append - /memfs/f", "er", "changed\t/memfs/f\t5\t20…Z\nchanged of /memfs/f, 5 bytes, with a version\n"},
		{"put - /memfs/later", "x", "created\t/memfs/later\t1\t20…Z\ncreated of /memfs/later, 1 bytes, with a version\n"},
		{"rm /memfs/f", "", "removed\t/memfs/f\t0\t20…Z\nremoved of /memfs/f, 0 bytes,\n"},
		{"put - /memfs/f", "new", "created\t/memfs/f\t3\t20…Z\ncreated of /memfs/f, 3 bytes, with a version\n"},
	} {
		pfs.Do(t, clitest.Step{Args: c.args, Stdin: c.stdin})
		out += c.want
		r.prints(out, "")
		held(t, s, 2)
	}
	if code := r.end(); code != 130 {
		t.Errorf("exit code %d", code)
	}
}

// A watch ends after so many changes, or after a time.
func TestWatchEnds(t *testing.T) {
	s := serve(t)
	pfs.Must(t, "", "mkdir", "/memfs/d")
	r := run(t, "watch", "-n", "1", "-o", "json", "/memfs/d")
	held(t, s, 1)
	pfs.Must(t, "x", "put", "-", "/memfs/d/f")
	r.prints("{\"event\":\"changed\",\"path\":\"/memfs/d\",\"size\":0,\"time\":\"20…Z\",\"etag\":\"…\"}\n", "")
	if code := r.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, s := range []clitest.Step{
		{Args: "watch --timeout 50ms /memfs/d /memfs/no", Code: 9},
		{Args: "watch -n -1 /memfs/d", Code: 2, Stderr: "pfs: --count is not negative…\n…\n"},
		{Args: "watch /memfs/d/f/below", Code: 1, Stderr: "pfs: stat: /memfs/d/f/below: not a directory (not_directory)\n"},
	} {
		pfs.Do(t, s)
	}
	// What is outside the log is asked again and again, and so is a stream.
	pfs.Must(t, "one", "put", "--append", "-", "/streamfs/s")
	r = run(t, "watch", "-n", "1", "-s", "20ms", "-o", "json", "/streamfs/s", "--exec", "true")
	for n := 0; n < 1000; n++ { // it may not watch yet
		pfs.Must(t, "more", "put", "--append", "-", "/streamfs/s")
		if out, _ := r.text(); out != "" {
			break
		}
	}
	r.prints("{\"event\":\"changed\",\"path\":\"/streamfs/s\",…}\n", "")
	r = run(t, "watch", "-n", "1", "-s", "20ms", "/info/uptime")
	r.prints("changed\t/info/uptime\t…\n", "")
}
