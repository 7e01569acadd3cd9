//go:build !plant_nosync_log

package raftlog

// syncLog is off only in builds that prove that the crash tests see it.
const syncLog = true
