package bench

import "io"

// gulp is how much the client of large content reads at once. What io.Copy gives
// io.Discard is 8 KiB at a time, and then the client is what is measured.
const gulp = 1 << 20

// Drain writes all of r to w and returns its length. It reads a MiB at a time
// whatever w is, so that all servers of large content have the same client.
func Drain(w io.Writer, r io.Reader) (int64, error) {
	type writer struct{ io.Writer }
	type reader struct{ io.Reader }
	return io.CopyBuffer(writer{w}, reader{r}, make([]byte, gulp)) // neither has ways of its own
}
