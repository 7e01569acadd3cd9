package streamfs

import "github.com/pfs-project/pfs/vfs"

// The settings.
const (
	bufferSize   = "buffer_size"
	ringSize     = "ring_buffer_size"
	channelSize  = "channel_buffer_size"
	durability   = "durability"
	memoryBudget = "memory_budget"
)

// Bounds of a ring and of the memory of a mount, in bytes.
const (
	ringDefault   = 6 << 20
	ringLeast     = 64 << 10
	ringMost      = 1 << 40
	budgetDefault = 256 << 20
	budgetLeast   = 1 << 20
)

// memoryLevel is the feature level that brought streams in memory.
const memoryLevel = 16

func params() []vfs.Param {
	return []vfs.Param{
		{Name: bufferSize, Type: "size", Default: "6MB", Description: "the ring: how many of the last bytes of each stream are kept"},
		{Name: ringSize, Type: "size", Default: "6MB", Description: "another name of buffer_size"},
		{Name: channelSize, Type: "size", Default: "6MB", Description: "accepted for what exists; a reader needs no buffer of its own, the ring is what it may fall behind"},
		{Name: durability, Type: "string", Default: "log", Description: "log: every byte is in the replicated log before it is acknowledged"},
	}
}

// bothParams are those of a mount that may be in memory.
func bothParams() []vfs.Param {
	all := params()
	all[3].Description += "; memory: in the memory of one node alone, faster, and lost with it"
	return append(all, vfs.Param{Name: memoryBudget, Type: "size", Default: "256MB",
		Description: "with durability memory: how much memory all streams of the mount take on a node; a write that needs more is refused"})
}

// settings are how a streamfs keeps its streams.
type settings struct {
	ring   int64 // bytes of each
	memory bool  // in that of one node, and not in the log
	budget int64 // bytes of memory
}

// ring reads the settings of streams in the log.
func ring(c vfs.Config) (int64, error) {
	s, err := read(c)
	if err == nil && s.memory {
		err = vfs.Invalid.With("durability: memory is for streamfs: what is written to files as well is in the log; leave it out, or use log")
	}
	return s.ring, err
}

// read reads the settings.
func read(c vfs.Config) (s settings, err error) {
	how, err := c.String(durability, "log")
	switch {
	case err != nil:
		return s, err
	case how != "log" && how != "memory":
		return s, vfs.Invalid.Withf("durability must be log or memory, not %.64q", how)
	}
	s.memory = how == "memory"
	n, err := size(c, bufferSize, ringDefault)
	if err != nil {
		return s, err
	}
	s.ring, err = size(c, ringSize, n)
	switch {
	case err != nil:
		return s, err
	case s.ring != n && c[bufferSize] != nil:
		return s, vfs.Invalid.Withf("%s and %s are two names of one setting and differ: leave one out", bufferSize, ringSize)
	}
	if _, err = size(c, channelSize, ringDefault); err != nil {
		return s, err
	}
	return s, s.readBudget(c)
}

func (s *settings) readBudget(c vfs.Config) (err error) {
	_, there := c[memoryBudget]
	if there && !s.memory {
		return vfs.Invalid.With(memoryBudget + " is for durability: memory; streams in the log take none")
	}
	if s.budget, err = c.Size(memoryBudget, max(budgetDefault, 2*s.ring)); err != nil || !s.memory {
		return err
	}
	if least := max(budgetLeast, 2*s.ring); s.budget < least || s.budget > ringMost {
		return vfs.Invalid.Withf("%s must be twice %s at least, 1MB to 1TB", memoryBudget, bufferSize)
	}
	return nil
}

// later tells of the settings that streams in memory brought, and what versions
// before them, whose settings were early, answer.
func later(c vfs.Config, early []vfs.Param) (since uint64, before error) {
	if _, ok := c[memoryBudget]; ok {
		if err := c.Check(early); err != nil {
			return memoryLevel, err
		}
	}
	how, err := c.String(durability, "log")
	switch {
	case err != nil || how == "log":
		return 0, nil
	case how == "memory":
		return memoryLevel, vfs.Invalid.With("durability: memory is not built yet: streams that are not in the log would be lost with a node; leave it out, or use log")
	}
	return memoryLevel, vfs.Invalid.Withf("durability must be log, not %.64q", how)
}

func size(c vfs.Config, name string, def int64) (int64, error) {
	n, err := c.Size(name, def)
	if err == nil && (n < ringLeast || n > ringMost) {
		err = vfs.Invalid.Withf("%s must be 64KB to 1TB", name)
	}
	return n, err
}
