package vfs

import "io"

// Whole reads r to its end for a plugin that takes a file in one call. TooLarge says
// that there is more than most bytes; other errors are those of r. Its buffer doubles:
// long bodies are copied once more, not five times.
func Whole(r io.Reader, most int64) ([]byte, error) {
	b := make([]byte, 0, 32<<10)
	for {
		n, err := r.Read(b[len(b):min(int64(cap(b)), most+1)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > most:
			return nil, TooLarge.Withf("this plugin takes at most %d bytes at once; write pieces at an offset", most)
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		case len(b) == cap(b):
			room := 2 * int64(cap(b))
			if room > most { // the one that tells that it is too much
				room = most + 1
			}
			b = append(make([]byte, 0, room), b...)
		}
	}
}
