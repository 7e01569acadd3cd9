package vfs_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func TestSub(t *testing.T) {
	state := mapView{"\x01sys": "s"}
	one, two := vfs.MountPrefix(1), vfs.MountPrefix(2)
	whole := tx{vfs.NewOverlay(state), 5}
	a, b := vfs.SubTx(whole, one), vfs.SubTx(whole, two)
	a.Put([]byte("x"), []byte("1"))
	a.Put([]byte("y"), []byte("2"))
	b.Put([]byte("x"), []byte("3"))
	a.DeleteRange([]byte("y"), []byte("z"))
	a.Put([]byte("z"), []byte("4"))
	a.Delete([]byte("missing"))
	if a.Seq() != 5 || a.Now() != whole.Now() {
		t.Error("a part has another number or time than the whole")
	}
	if got := fmt.Sprint(pairs(a.Scan(nil, nil))); got != "[78=1 7a=4]" {
		t.Errorf("a = %s", got)
	}
	if got := fmt.Sprint(pairs(a.Scan(nil, []byte("xx")))); got != "[7a=4]" {
		t.Errorf("a from xx = %s", got)
	}
	whole.Flush(state)
	if v, ok := vfs.Sub(state, two).Get([]byte("x")); !ok || string(v) != "3" {
		t.Errorf("b/x = %q, %v", v, ok)
	}
	for range vfs.Sub(state, one).Scan(nil, nil) {
		break
	}
	if len(state) != 4 {
		t.Errorf("state = %q", state)
	}
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ in, want string }{{"a", "b"}, {"a\xff", "b"}, {"a\xff\x00", "a\xff\x01"}, {"\xff\xff", ""}, {"", ""}} {
		got := vfs.PrefixEnd([]byte(c.in))
		if string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("PrefixEnd(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestStoreFault(t *testing.T) {
	cause := errors.New("bad disk")
	var f error = vfs.StoreFault{Err: cause}
	if !errors.Is(f, cause) || f.Error() != "store fault: bad disk" {
		t.Error(f)
	}
}
