//go:build !plant_nosync_dir

package blob

// syncNames is off only in builds that prove that the crash tests see it.
const syncNames = true
