package prochost

import (
	"bytes"
	"debug/elf"
)

// IsProgram reports whether code is something to run, not to load: a script, or an
// ELF file that is no library. Position-independent programs are of the type of
// libraries, but name a loader, or say what they are.
func IsProgram(code []byte) bool {
	if bytes.HasPrefix(code, []byte("#!")) {
		return true
	}
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return false
	}
	defer f.Close()
	if f.Type != elf.ET_DYN {
		return f.Type == elf.ET_EXEC
	}
	if flags, err := f.DynValue(elf.DT_FLAGS_1); err == nil && len(flags) > 0 && flags[0]&uint64(elf.DF_1_PIE) != 0 {
		return true
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}
