package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/test/s3server"
)

// figures prints how long whole copies take beside those of others.
func (s *syncer) figures() {
	hashes, size := hashTree(s.T, s.src)
	count := len(hashes)
	show := func(what string, cmd *exec.Cmd) {
		s.Helper()
		from := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			s.Fatalf("%s: %v\n%s", what, err, out)
		}
		took := time.Since(from).Seconds()
		used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			s.Fatal("no figures of memory here")
		}
		s.Logf("%-44s %6.2f s %6.0f files/s %7.1f MB/s, peak RSS %d MiB", what, took, float64(count)/took, float64(size)/1e6/took, used.Maxrss>>10)
	}
	s.Logf("%d files, %d MiB, %d nodes", count, size>>20, len(s.c.Nodes))
	tmp := s.TempDir()
	show("cp -r, and sync of the disk", exec.Command("sh", "-c", "cp -r "+s.src+" "+tmp+"/cp && sync "+tmp+"/cp"))
	show("pfs cp -r, up", s.command("cp", "-q", "-r", "local:"+s.src, "/memfs/figures"))
	show("pfs sync, up, nothing to do", s.command("sync", "-q", "local:"+s.src, "/memfs/figures"))
	show("pfs cp -r, down", s.command("cp", "-q", "-r", "pfs:/memfs/figures", tmp+"/down"))
	show("pfs sync, down, nothing to do, by digest", s.command("sync", "-q", "pfs:/memfs/figures", tmp+"/down"))
	show("pfs sync, down, nothing to do", s.command("sync", "-q", "pfs:/memfs/figures", tmp+"/down"))
	s.must("rm", "-r", "/memfs/figures")
	s3 := s3server.Start(s.T)
	rclone := func(args ...string) *exec.Cmd {
		cmd := exec.Command("rclone", append([]string{"--config", "/dev/null", "--transfers", "16", "--checkers", "16"}, args...)...)
		cmd.Env = append(os.Environ(), "AWS_CA_BUNDLE=", "RCLONE_S3_PROVIDER=Other", "RCLONE_S3_ENDPOINT="+s3.URL, "RCLONE_S3_REGION=us-east-1",
			"RCLONE_S3_ACCESS_KEY_ID="+s3server.KeyID, "RCLONE_S3_SECRET_ACCESS_KEY="+s3server.Secret)
		return cmd
	}
	there := ":s3:" + s3.Bucket + "/figures"
	show("rclone copy, up, to a local S3 server", rclone("copy", s.src, there))
	show("rclone sync, up, nothing to do", rclone("sync", s.src, there))
	show("rclone copy, down", rclone("copy", there, filepath.Join(tmp, "rclone")))
	s.Logf("rclone is %s", strings.SplitN(func() string { b, _ := exec.Command("rclone", "version").Output(); return string(b) }(), "\n", 2)[0])
}
