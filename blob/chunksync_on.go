//go:build !plant_nosync_chunk

package blob

// syncChunk is off only in builds that prove that the crash tests see it.
const syncChunk = true
