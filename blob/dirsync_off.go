//go:build plant_nosync_dir

package blob

const syncNames = false
