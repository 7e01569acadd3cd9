//go:build !plant_skipcrc

package blob

// plantCRC plants a bug that the tests must find: what is read from the disk is
// taken as it comes.
const plantCRC = false
