package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// Disk is an ext4 filesystem in a file of its own, whose power can be cut:
// what was not synced is then gone, as after a real power loss. Killing a
// process proves nothing here, since the page cache outlives it.
type Disk struct {
	t          testing.TB
	image, dir string
	mounted    bool
}

// NewDisk makes and mounts a disk of size MiB. It needs root and e2fsprogs.
func NewDisk(t testing.TB, mib int) *Disk {
	t.Helper()
	base := t.TempDir()
	d := &Disk{t: t, image: filepath.Join(base, "disk.img"), dir: filepath.Join(base, "disk")}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.run("truncate", "-s", fmt.Sprintf("%dM", mib), d.image)
	d.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image)
	d.Mount()
	t.Cleanup(func() {
		if d.mounted {
			_ = exec.Command("umount", "-l", d.dir).Run() // the test is over
		}
	})
	return d
}

func (d *Disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// Dir is where the disk is mounted.
func (d *Disk) Dir() string { return d.dir }

// Mount mounts the disk, replaying its journal.
func (d *Disk) Mount() {
	d.t.Helper()
	d.run("mount", "-o", "loop", d.image, d.dir)
	d.mounted = true
}

// Unmount unmounts the disk; nobody may use it any more.
func (d *Disk) Unmount() {
	d.t.Helper()
	ok := Poll(5e9, func() bool { return exec.Command("umount", d.dir).Run() == nil })
	if !ok {
		d.t.Fatalf("umount %s: still in use", d.dir)
	}
	d.mounted = false
}

// The ioctl that stops an ext4 filesystem at once, and its flag that leaves
// even the journal unwritten (fs/ext4/ext4.h in the kernel's source).
const (
	ext4Shutdown    = 0x8004587d
	shutdownNoFlush = 2
)

// Cut takes the power away: what was written and not synced is lost.
func (d *Disk) Cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flag := uint32(shutdownNoFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flag))); errno != 0 {
		return errno
	}
	return nil
}
