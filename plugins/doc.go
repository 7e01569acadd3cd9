// Package plugins lists the filesystems that are built in.
package plugins
