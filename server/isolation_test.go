package server

import (
	"strings"
	"testing"
)

// What stands between the node and native libraries is what this build can do, and
// what it cannot is told with the way out.
func TestIsolation(t *testing.T) {
	none := "go build -tags inprocess ./cmd/pfs-server"
	if InProcess() != nil {
		none = ""
	}
	for isolation, want := range map[string]string{"": "", "process": "", "none": none, "thread": "it must be process or none"} {
		c := defaults()
		c.External.Isolation = isolation
		err := c.check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", isolation, err, want)
		}
	}
}
