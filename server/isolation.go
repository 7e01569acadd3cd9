package server

import (
	"errors"
	"fmt"

	"github.com/pfs-project/pfs/hosts"
)

// checkIsolation refuses what this build of the server cannot do.
func (c ExternalConfig) checkIsolation() error {
	switch c.Isolation {
	case "", hosts.IsolationProcess:
		return nil
	case hosts.IsolationNone:
		if InProcess() == nil {
			return errors.New("external_plugins.isolation is none, but this server loads no libraries itself: build one that does with `go build -tags inprocess ./cmd/pfs-server`, or set it to process")
		}
		return nil
	}
	return fmt.Errorf("external_plugins.isolation is %q; it must be process or none", c.Isolation)
}
