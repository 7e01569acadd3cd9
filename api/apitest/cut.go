package apitest

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Cut returns the URL of a server that stands before the one at url and cuts each
// stream off behind so many bytes. It ends with its test.
func Cut(t testing.TB, url string, part int) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), r.Method, url+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		req.Header, req.ContentLength = r.Header, r.ContentLength
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		if resp.StatusCode != http.StatusOK || r.URL.Query().Get("stream") != "true" {
			_, _ = io.Copy(w, resp.Body) // the client may have left
			return
		}
		if !passOn(w, resp.Body, part) {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// passOn sends so many bytes on as they come, and reports whether the stream ended
// before.
func passOn(w http.ResponseWriter, r io.Reader, part int) bool {
	out := http.NewResponseController(w)
	_ = out.Flush() // the client may have left, here and below
	b := make([]byte, part)
	for sent := 0; sent < part; {
		n, err := r.Read(b[:part-sent])
		_, _ = w.Write(b[:n])
		_ = out.Flush()
		sent += n
		if err != nil {
			return err == io.EOF
		}
	}
	return false
}
