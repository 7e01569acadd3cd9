package native

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"
)

// A library that does not load leaves nothing open, however often it is tried.
func TestKeepLeavesNothing(t *testing.T) {
	code := []byte("no library")
	sum := sha256.Sum256(code)
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := open()
	for range 20 {
		if _, err := load(code, hex.EncodeToString(sum[:])); err == nil {
			t.Fatal("it is loaded")
		}
		if _, _, err := keep(code, "another"); err == nil {
			t.Fatal("its hash is not looked at")
		}
	}
	if now := open(); now > before+3 {
		t.Errorf("%d files are open, before %d", now, before)
	}
}
