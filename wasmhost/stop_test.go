package wasmhost

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// A module that computes without an end lets the collector of the server come to
// its turn, which stops all goroutines for that.
func TestComputingDoesNotStopTheServer(t *testing.T) {
	forever := op(0x03, 0x40, 0x0c, 0x00, 0x0b) // loop: br 0
	moves := cat(op(0x03, 0x40), i32(0), i32(0), i32(60000), op(0xfc, 0x0b, 0), op(0x0c, 0x00, 0x0b))
	for name, body := range map[string][]byte{"loop": forever, "memory": moves} {
		t.Run(name, func(t *testing.T) {
			f := started(t, bad(cat(body, pair(0, 0))).bytes(), vfs.Limits{Call: 4 * time.Second}, nil)
			done := make(chan error, 1)
			go func() {
				_, err := f.ReadAt(context.Background(), nil, "/f", make([]byte, 9), 0)
				done <- err
			}()
			turns := 0
			for {
				select {
				case err := <-done:
					if vfs.KindOf(err) != vfs.Timeout {
						t.Error(err)
					}
					if turns < 3 {
						t.Errorf("the collector ran %d times in four seconds", turns)
					}
					return
				default:
					runtime.GC()
					turns++
				}
			}
		})
	}
}

// Modules that could set the variables of the host back, or that have what is not
// known here, are refused; those of compilers are not.
func TestStoppable(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		ok   bool
	}{
		"its own global":     {cat(gget(1), gset(0)), true},
		"sets the counter":   {cat(i32(0), gset(2)), false},
		"sets the stop":      {cat(i32(0), gset(3)), false},
		"an atomic":          {op(0xfe, 0x03, 0x00), false},
		"a vector":           {cat(op(0xfd, 0x0c), make([]byte, 16), op(0x1a)), true},
		"an unknown vector":  {op(0xfd, 0x80, 0x02), false},
		"an unknown":         {op(0xf0), false},
		"a table of targets": {cat(op(0x02, 0x40), i32(0), op(0x0e, 0x01, 0x00, 0x00, 0x0b)), true},
	} {
		_, err := stoppable(bad(cat(c.body, pair(0, 0))).bytes())
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is done to a module, it is refused or rewritten, and never a panic.
func FuzzStoppable(f *testing.F) {
	f.Add(bad(cat(op(0x03, 0x40, 0x0c, 0x00, 0x0b), pair(0, 0))).bytes())
	f.Add(bad(cat(i32(0), gset(3), pair(0, 0))).bytes())
	f.Fuzz(func(t *testing.T, module []byte) {
		m, err := tamed(module)
		if err != nil {
			return
		}
		out, err := stoppable(m)
		if err == nil && len(out.module) > 64*len(m)+1024 {
			t.Errorf("%d bytes became %d", len(m), len(out.module))
		}
	})
}
