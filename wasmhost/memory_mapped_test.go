//go:build linux || darwin

package wasmhost

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/pfs-project/pfs/vfs"
)

// Memory keeps what it had when it grows, has zeroes behind that, and does not move
// where it is reserved.
func TestMemoryGrows(t *testing.T) {
	const most = 64 << 20
	fixed, err := reserve(pageSize, most)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]experimental.LinearMemory{"reserved": fixed, "on the heap": &onHeap{most: most}} {
		t.Run(name, func(t *testing.T) {
			b := m.Reallocate(pageSize)
			first := &b[0]
			copy(b, "kept")
			for size := uint64(2 * pageSize); size <= most; size *= 2 {
				if b = m.Reallocate(size); uint64(len(b)) != size || string(b[:4]) != "kept" {
					t.Fatalf("%d bytes of %d: %q", len(b), size, b[:4])
				}
				if rest := b[size/2:]; !bytes.Equal(rest, make([]byte, len(rest))) {
					t.Fatalf("not zero behind %d", size/2)
				}
				b[size-1] = 0 // it is there
			}
			if m == fixed && first != &b[0] {
				t.Error("it has moved")
			}
			m.Free()
			if string(b[:4]) != "kept" {
				t.Error("it is gone while what is below the module goes on")
			}
		})
	}
	if _, err := reserve(0, 1<<62); err == nil {
		t.Error("more addresses than there are were reserved")
	}
	if _, err := reserve(0, 0); err != nil {
		t.Errorf("a module without memory: %v", err)
	}
}

// Where addresses are limited, they are left to the heap.
func TestMemoryUnderLimit(t *testing.T) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = manyAddresses / 2
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		t.Fatal(err)
	}
	r, err := reserve(pageSize, pageSize)
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &was); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Errorf("%d bytes were reserved", len(r.all))
	}
}

// A module may exit below a function of the host, which goes on, as the module above it
// does: its memory is there until the last of them has returned.
func TestExitsBelow(t *testing.T) {
	flag := cat(i32(9004), i32(1), store())
	for name, c := range map[string]struct {
		exits, flags string
		unstarted    bool
	}{
		"malloc, for the host's answer": {exits: "malloc", flags: "fs_read"},
		"free, of an answer":            {exits: "free", flags: "fs_stat"},
		"free, of the settings":         {exits: "free", flags: "plugin_validate", unstarted: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest()
			exit := g.imp("wasi_snapshot_preview1", "proc_exit", "i:")
			stat := g.imp("env", "host_fs_stat", "i:I")
			g.fill()
			fn := func(name, sign string, body ...[]byte) {
				switch name {
				case c.exits: // once it is flagged
					body = append([][]byte{i32(9004), op(0x28, 2, 0), op(0x04, 0x40), i32(3), run(exit), op(0x0b)}, body...)
				case c.flags:
					body = append([][]byte{flag}, body...)
				}
				g.fn(name, sign, body...)
			}
			fn("malloc", "i:i", i32(10000))
			fn("free", "i:")
			fn("plugin_validate", "i:i", i32(0))
			fn("fs_stat", "i:I", pair(atFile, 0))
			fn("fs_readdir", "i:I", pair(atList, 0))
			// What the host could not pass is not looked at; the memory is.
			fn("fs_read", "iII:I", get(0), run(stat), op(0x1a), i32(60000), op(0x28, 2, 0, 0x1a), pair(atBytes, 5))
			h := newHost(t)
			p := plugin(t, h, g.bytes(), vfs.Limits{})
			for range 20 {
				fs, err := p.New(vfs.Env{Log: h.log, Mount: "/at"}, nil)
				if err != nil {
					t.Fatal(err)
				}
				f := fs.(*FS)
				if err := f.Start(t.Context()); (err != nil) != c.unstarted {
					t.Fatal(err)
				}
				_, _ = f.Stat(t.Context(), nil, "/f")
				_, _ = f.ReadAt(t.Context(), nil, "/f", make([]byte, 5), 0)
				if n := f.MountState().Ends; n == 0 && !c.unstarted {
					t.Fatal("it has not exited")
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
