//go:build plant_nosync_log

package raftlog

const syncLog = false
