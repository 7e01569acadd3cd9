package server

import (
	"fmt"
	"io"
	"runtime/debug"
)

// The linker sets these (see the Makefile); a plain go build leaves them.
var (
	version   = "dev"
	gitCommit = ""
	buildTime = "unknown"
)

// Version returns the version of this build.
func Version() string { return version }

func commit() string {
	if gitCommit != "" {
		return gitCommit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

func printVersion(w io.Writer) {
	fmt.Fprintf(w, "pfs-server version: %s\nGit commit: %s\nBuild time: %s\n", version, commit(), buildTime)
}
