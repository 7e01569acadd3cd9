package server

import (
	"fmt"
	"path/filepath"

	"github.com/pfs-project/pfs/plugins"
)

// Validate returns what would keep a node from starting with a configuration
// file, as far as the file alone shows it; nil for nothing. Flags and the
// environment are not looked at.
func Validate(file string) error {
	c, err := load(file)
	if err != nil {
		return err
	}
	if err = c.check(); err == nil {
		_, err = fileMounts(c, true, plugins.Builtin(nil))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return nil
}
