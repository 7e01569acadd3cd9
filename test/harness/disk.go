package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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
	ok := Poll(20*time.Second, func() bool { return exec.Command("umount", d.dir).Run() == nil })
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

// Cut takes the power away: what was written and not synced is lost. Who runs on
// may be told that a sync went well which did not: Linux 6.18 says so of an
// fdatasync that the ioctl meets half-way, in one of five cuts. So freeze the
// process first.
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

// foreign is the file that Fill makes.
const foreign = "foreign"

// Fill takes all space that is left, to the last block, at once, as a file of
// somebody else would; Free gives it back.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.dir, foreign), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	size := int64(0)
	for step := int64(64 << 20); step >= 4096; {
		if err := syscall.Fallocate(int(f.Fd()), 0, size, step); err != nil {
			step /= 2
			continue
		}
		size += step
	}
}

// Free removes what Fill made.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, foreign)); err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
}

// The ioctls that make a filesystem stand still and go on (linux/fs.h).
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// Freeze has every write to the disk hang until Thaw, as a disk that stands
// still; reads go on.
func (d *Disk) Freeze() { d.still(fiFreeze) }

// Thaw lets the writes go on.
func (d *Disk) Thaw() { d.still(fiThaw) }

func (d *Disk) still(what uintptr) {
	d.t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), what, 0); errno != 0 {
		d.t.Fatalf("ioctl %x of %s: %v", what, d.dir, errno)
	}
}
