package bench

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// bite is a body that notes how much is asked for at once.
type bite struct {
	io.Reader
	most int
}

func (b *bite) Read(p []byte) (int, error) {
	b.most = max(b.most, len(p))
	return b.Reader.Read(p)
}

func (b *bite) Close() error { return nil }

// carrier answers every request with a body.
type carrier struct{ body *bite }

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder().Result()
	rec.Body, rec.Request = c.body, r
	return rec, nil
}

// A download asks for a MiB at a time, also where nothing is done with it.
func TestDownloadReadsMuchAtOnce(t *testing.T) {
	want := make([]byte, 3<<20+5)
	body := &bite{Reader: bytes.NewReader(want)}
	r := &rest{server: Server{URLs: []string{"http://127.0.0.1"}}, http: &http.Client{Transport: carrier{body}}}
	n, err := r.Download(t.Context(), "x", io.Discard)
	if err != nil || n != int64(len(want)) || body.most != gulp {
		t.Errorf("%d of %d bytes, %d at once, %v", n, len(want), body.most, err)
	}
}
