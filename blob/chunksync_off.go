//go:build plant_nosync_chunk

package blob

const syncChunk = false
