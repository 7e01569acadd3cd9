package server

import (
	"errors"
	"fmt"
)

// What stands between the node and native libraries.
const (
	isolationProcess = "process" // each mount has one
	isolationNone    = "none"    // they are loaded into the server, if it is built for that
)

// checkIsolation refuses what this build of the server cannot do.
func (c ExternalConfig) checkIsolation() error {
	switch c.Isolation {
	case "", isolationProcess:
		return nil
	case isolationNone:
		if inProcess() == nil {
			return errors.New("external_plugins.isolation is none, but this server loads no libraries itself: build one that does with `go build -tags inprocess ./cmd/pfs-server`, or set it to process")
		}
		return nil
	}
	return fmt.Errorf("external_plugins.isolation is %q; it must be process or none", c.Isolation)
}
