package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/vfs"
)

// vault is a backup in memory.
type vault struct {
	data   string
	err    error // of Backup and Restore
	broken error // of Write, half-way
	closed atomic.Int32
	got    []byte
}

func (v *vault) Backup(context.Context) (backup.Source, error) {
	if v.err != nil {
		return nil, v.err
	}
	return v, nil
}

func (v *vault) Header() backup.Header { return backup.Header{Cluster: "c", Index: 7, Digest: "abc"} }

func (v *vault) Write(_ context.Context, w io.Writer) (int64, error) {
	n, err := io.WriteString(w, v.data)
	return int64(n), errors.Join(err, v.broken)
}

func (v *vault) Close() error { v.closed.Add(1); return nil }

func (v *vault) Restore(_ context.Context, r io.Reader) (_ backup.Restored, err error) {
	if v.got, err = io.ReadAll(r); err != nil {
		return backup.Restored{}, vfs.Invalid.With("body: " + err.Error())
	}
	return backup.Restored{Index: 9, Seq: 8, Digest: "abc", Backup: v.Header()}, v.err
}

func TestBackupRoutes(t *testing.T) {
	v := &vault{data: strings.Repeat("backup ", 100_000)}
	s := apitest.Start(t, apitest.Config{API: api.Config{Backups: v, MaxBody: 100}})
	a := s.Do(t, "GET", v1+"/backup", "")
	if a.Status != 200 || a.Body != v.data || a.Header.Get("X-Pfs-Index") != "7" || a.Header.Get("X-Pfs-Digest") != "abc" {
		t.Errorf("%d, %d bytes, %v", a.Status, len(a.Body), a.Header)
	}
	a = s.Do(t, "POST", v1+"/restore", v.data) // however short other bodies must be
	if a.Status != 200 || !bytes.Equal(v.got, []byte(v.data)) || a.Header.Get("X-Pfs-Digest") != "abc" ||
		!strings.HasPrefix(a.Body, `{"message":"restored","index":9,"seq":8,"digest":"abc"`) {
		t.Errorf("%+v after %d bytes", a, len(v.got))
	}
	for _, c := range []struct {
		err    error
		status int
	}{{vfs.Throttled, 429}, {vfs.NotEmpty.With("full"), 409}, {vfs.Locked, 423}, {vfs.Unavailable, 503}, {vfs.Invalid, 400}} {
		v.err = c.err
		for _, a := range []apitest.Answer{s.Do(t, "GET", v1+"/backup", ""), s.Do(t, "POST", v1+"/restore", "x")} {
			if a.Status != c.status || (c.status == 429 || c.status == 503) != (a.Header.Get("Retry-After") != "") {
				t.Errorf("%v: %+v", c.err, a)
			}
		}
	}
	v.err, v.broken = nil, errors.New("disk")
	resp, err := http.Get(s.URL + v1 + "/backup")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a backup: %v", err)
	}
	for end := time.Now().Add(10 * time.Second); v.closed.Load() != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("of two backups %d were closed", v.closed.Load())
		}
	}
	none := apitest.Start(t, apitest.Config{})
	for _, a := range []apitest.Answer{none.Do(t, "GET", v1+"/backup", ""), none.Do(t, "POST", v1+"/restore", "x")} {
		if a.Status != 501 {
			t.Errorf("%+v", a)
		}
	}
}
