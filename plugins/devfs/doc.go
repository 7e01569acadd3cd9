// Package devfs is the filesystem of devices. It has one, null, which takes
// all that is written and gives nothing. Each node answers alone.
package devfs
