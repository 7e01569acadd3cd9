// Package devfs is the filesystem of devices, which behave as their namesakes of
// Unix do: null, zero, random and full. Each node answers alone.
package devfs
