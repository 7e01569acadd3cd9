// Package hellofs is the smallest filesystem: one file that says hello. Read it
// first when writing a plugin. It never changes and each node answers alone.
package hellofs
