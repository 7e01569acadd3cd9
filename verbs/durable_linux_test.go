package verbs

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// A directory above that may not be read does not keep a move from its end.
func TestSyncAboveUnreadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o300); err != nil {
		t.Fatal(err)
	}
	opened, synced := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine: root may read all, nobody else
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		d, err := os.Open(dir)
		_ = d.Close()
		opened <- err
		synced <- (&localTree{above: []string{dir}}).syncAbove(t.Context())
	}()
	if err := <-opened; !os.IsPermission(err) {
		t.Fatalf("it can be read: %v", err)
	}
	if err := <-synced; err != nil {
		t.Error(err)
	}
}
