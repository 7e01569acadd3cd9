package server

import "testing"

// TestAllowance: a node in a container goes by the container, not by the machine.
func TestAllowance(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		a      allowance
		caches int64
		heap   int64
		bound  bool
	}{
		{allowance{}, 64 * mib, 0, false},
		{allowance{machine: 2 * gib}, 64 * mib, 0, false},
		{allowance{machine: 8 * gib}, 128 * mib, 0, false},
		{allowance{machine: 1 << 40}, 256 * mib, 0, false},
		{allowance{machine: 1 << 63, group: 1<<64 - 1}, 256 * mib, 0, false},
		{allowance{machine: 64 * gib, group: 10 * gib}, 160 * mib, 8 * gib, true},
		{allowance{machine: 64 * gib, group: 500 * mib}, 64 * mib, 400 * mib, true},
	} {
		t.Setenv("GOMEMLIMIT", "")
		if got := c.a.caches(); got != c.caches {
			t.Errorf("%+v: caches of %d, expected %d", c.a, got, c.caches)
		}
		if got, bound := c.a.heap(); c.a.group < 1<<62 && (got != c.heap || bound != c.bound) {
			t.Errorf("%+v: heap of %d, %v, expected %d, %v", c.a, got, bound, c.heap, c.bound)
		}
		t.Setenv("GOMEMLIMIT", "1GiB")
		if _, bound := c.a.heap(); bound {
			t.Errorf("%+v: what the user has set counts", c.a)
		}
	}
	if a := allowed(); a.machine < 64*mib {
		t.Errorf("this machine has %d bytes", a.machine)
	}
}
