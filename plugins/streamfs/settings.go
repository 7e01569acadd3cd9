package streamfs

import "github.com/pfs-project/pfs/vfs"

// The settings.
const (
	bufferSize  = "buffer_size"
	ringSize    = "ring_buffer_size"
	channelSize = "channel_buffer_size"
	durability  = "durability"
)

// Bounds of a ring, in bytes.
const (
	ringDefault = 6 << 20
	ringLeast   = 64 << 10
	ringMost    = 1 << 40
)

func params() []vfs.Param {
	return []vfs.Param{
		{Name: bufferSize, Type: "size", Default: "6MB", Description: "the ring: how many of the last bytes of each stream are kept"},
		{Name: ringSize, Type: "size", Default: "6MB", Description: "another name of buffer_size"},
		{Name: channelSize, Type: "size", Default: "6MB", Description: "accepted for what exists; a reader needs no buffer of its own, the ring is what it may fall behind"},
		{Name: durability, Type: "string", Default: "log", Description: "log: every byte is in the replicated log before it is acknowledged"},
	}
}

// ring reads the settings of a streamfs.
func ring(c vfs.Config) (int64, error) {
	how, err := c.String(durability, "log")
	switch {
	case err != nil:
		return 0, err
	case how == "memory":
		return 0, vfs.Invalid.With("durability: memory is not built yet: streams that are not in the log would be lost with a node; leave it out, or use log")
	case how != "log":
		return 0, vfs.Invalid.Withf("durability must be log, not %.64q", how)
	}
	n, err := size(c, bufferSize, ringDefault)
	if err != nil {
		return 0, err
	}
	m, err := size(c, ringSize, n)
	switch {
	case err != nil:
		return 0, err
	case m != n && c[bufferSize] != nil:
		return 0, vfs.Invalid.Withf("%s and %s are two names of one setting and differ: leave one out", bufferSize, ringSize)
	}
	_, err = size(c, channelSize, ringDefault)
	return m, err
}

func size(c vfs.Config, name string, def int64) (int64, error) {
	n, err := c.Size(name, def)
	if err == nil && (n < ringLeast || n > ringMost) {
		err = vfs.Invalid.Withf("%s must be 64KB to 1TB", name)
	}
	return n, err
}
