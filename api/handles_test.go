package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/vfs"
)

type opened struct {
	HandleID int64 `json:"handle_id"`
	ID       int64
	Path     string
	Flags    int64
	Lease    int64
}

// open opens a file and returns the handle's id as text.
func open(t *testing.T, s *apitest.Server, query string, header ...string) string {
	t.Helper()
	a := s.Do(t, "POST", v1+"/handles/open?"+query, "", header...)
	var h opened
	if err := json.Unmarshal([]byte(a.Body), &h); err != nil || a.Status != 200 || h.HandleID != h.ID {
		t.Fatalf("open %s: %d %s", query, a.Status, a.Body)
	}
	return fmt.Sprint(h.HandleID)
}

// steps runs requests "METHOD target body -> status part of the body".
func steps(t *testing.T, s *apitest.Server, handle string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		req, want, _ := strings.Cut(line, " -> ")
		status, has, _ := strings.Cut(want, " ")
		a := request(t, s, req, handle)
		if fmt.Sprint(a.Status) != status || !strings.Contains(a.Body, has) {
			t.Errorf("%s: %d %q", line, a.Status, a.Body)
		}
	}
}

func TestHandlePositions(t *testing.T) {
	s := start(t)
	h := open(t, s, "path=/memfs/f&flags=18") // RDWR, CREATE
	steps(t, s, h,
		`PUT /handles/{h}/write hello -> 200 {"bytes_written":5,"written":5,"position":5`,
		"GET /handles/{h}/read -> 200",
		`POST /handles/{h}/seek?offset=0 -> 200 {"offset":0,"position":0}`,
		"GET /handles/{h}/read?size=2 -> 200 he",
		"GET /handles/{h}/read?size=2 -> 200 ll",
		"GET /handles/{h}/read?offset=4 -> 200 o",
		"GET /handles/{h}/read?size=99 -> 200 o",
		"GET /handles/{h}/read -> 200",
		`PUT /handles/{h}/write?offset=8 x -> 200 "position":5`,
		"GET /handles/{h}/read?offset=0&size=-1 -> 200 hello\x00\x00\x00x",
		`POST /handles/{h}/seek?offset=-1&whence=2 -> 200 "position":8`,
		"GET /handles/{h}/read -> 200 x",
		"POST /handles/{h}/seek?offset=-99&whence=1 -> 400 negative",
		"POST /handles/{h}/seek?offset=0&whence=3 -> 400 invalid whence parameter (must be 0, 1, or 2)",
		"POST /handles/{h}/seek -> 400 offset parameter is required",
		"POST /handles/{h}/truncate?size=2 -> 200 truncated",
		`GET /handles/{h}/stat -> 200 "size":2`,
		"POST /handles/{h}/sync -> 200 synced",
		"POST /handles/{h}/write x -> 405",
		"GET /handles/{h}/read?size=x -> 400 invalid size parameter",
		`GET /handles/{h} -> 200 "lease":60`,
		`POST /handles/{h}/renew?lease=120 -> 200 "lease":120`,
		`POST /handles/{h}/renew -> 200 "lease":120`,
		"POST /handles/{h}/renew?lease=999 -> 400",
		`GET /handles/ -> 200 "count":1,"max":10000`,
		"POST /handles/ -> 400 handle ID required",
		"GET /handles/open -> 405",
		"DELETE /handles/{h} -> 200 handle closed",
		"GET /handles/{h}/read -> 404 not found",
		`GET /handles -> 200 {"handles":[],"count":0`,
	)
	if a := s.Do(t, "GET", v1+"/handles/"+open(t, s, "path=/memfs/f")+"/read?offset=9", ""); a.Header.Get("X-Bytes-Read") != "0" {
		t.Errorf("X-Bytes-Read at the end: %q", a.Header.Get("X-Bytes-Read"))
	}
}

func TestHandleFlags(t *testing.T) {
	const goClient, python = "Go-http-client/1.1", "python-requests/2.32"
	for _, x := range []struct {
		query, agent string
		missing      string // what opening a missing file gives: mode in octal, or 404
		content      string // what is left of "old", and after writing "N" where that is allowed
	}{
		{"flags=0", "", "404", "old"},
		{"flags=1", "", "404", "Nld"},
		{"flags=17&lease=60&mode=420", python, "644", "Nld"}, // the contract's CREATE
		{"flags=65", goClient, "644", "Nld"},                 // Linux CREATE
		{"flags=65", "curl/8", "404", "N"},                   // the contract's TRUNC
		{"flags=65&lease=60", goClient, "404", "N"},
		{"flags=577", "", "644", "N"}, // Linux CREATE, TRUNC
		{"flags=1025", "", "404", "oldN"},
		{"flags=9", "", "404", "oldN"},
		{"flags=49", "", "644", "409"},
		{"flags=193", "", "644", "409"}, // Linux CREATE, EXCL
		{"flags=1052673", "", "404", "Nld"},
		{"flags=readwrite,create,append", "", "644", "oldN"},
		{"flags=write,create,truncate&mode=600", "", "600", "N"},
		{"flags=66&mode=100640", goClient, "640", "Nld"},
		{"flags=18&mode=0600", "", "600", "Nld"},
		{"flags=3", "", "400", "400"},
		{"flags=banana", "", "400", "400"},
		{"flags=-1", "", "400", "400"},
		{"flags=18&mode=9", "", "400", "400"},
	} {
		s := start(t)
		a := s.Do(t, "POST", v1+"/handles/open?path=/memfs/new&"+x.query, "", "User-Agent", x.agent)
		got := fmt.Sprint(a.Status)
		if a.Status == 200 {
			var i struct{ Mode int }
			_ = json.Unmarshal([]byte(s.Do(t, "GET", v1+"/stat?path=/memfs/new", "").Body), &i) // 0 is wrong, too
			got = fmt.Sprintf("%o", i.Mode)
		}
		if got != x.missing {
			t.Errorf("%s of a missing file by %q: %s, want %s: %s", x.query, x.agent, got, x.missing, a.Body)
		}
		s.Do(t, "PUT", v1+"/files?path=/memfs/f", "old")
		a = s.Do(t, "POST", v1+"/handles/open?path=/memfs/f&"+x.query, "", "User-Agent", x.agent)
		got = fmt.Sprint(a.Status)
		if a.Status == 200 {
			var h opened
			if err := json.Unmarshal([]byte(a.Body), &h); err != nil {
				t.Fatal(err)
			}
			s.Do(t, "PUT", fmt.Sprintf("%s/handles/%d/write", v1, h.ID), "N") // read-only ones refuse
			got = s.Do(t, "GET", v1+"/files?path=/memfs/f", "").Body
		}
		if got != x.content {
			t.Errorf("%s of a file by %q: %q, want %q", x.query, x.agent, got, x.content)
		}
	}
}

func TestHandleFollowsItsFile(t *testing.T) {
	s := start(t)
	steps(t, s, "", "POST /mkdir?path=/memfs/d -> 201", "PUT /files?path=/memfs/d/f one -> 200",
		`POST /symlink?path=/memfs/l {"target":"d/f"} -> 201`)
	h := open(t, s, "path=/memfs/l&flags=2")
	steps(t, s, h,
		`POST /rename?path=/memfs/d {"newPath":"/memfs/e"} -> 200`,
		"PUT /files?path=/memfs/f another -> 200",
		"GET /handles/{h}/read?offset=0 -> 200 one",
		"PUT /handles/{h}/write?offset=0 two -> 200",
		"GET /files?path=/memfs/e/f -> 200 two",
		"DELETE /files?path=/memfs/e/f -> 200",
		"PUT /files?path=/memfs/e/f three -> 200",
		"GET /handles/{h}/read?offset=0 -> 404 not found",
		"GET /handles/{h} -> 404 not found",
	)
	h = open(t, s, "path=/mem2/README")
	steps(t, s, h, `POST /unmount {"path":"/mem2"} -> 200 plugin unmounted`,
		`GET /handles/{h} -> 404 "error":"not found"`,
		`POST /mount {"fstype":"memfs","path":"/mem2"} -> 200 plugin mounted`,
		`GET /handles/{h}/read -> 404 "error":"not found"`)
}

func TestHandleOnQueue(t *testing.T) {
	s := start(t)
	steps(t, s, "", "POST /mkdir?path=/q/jobs -> 201")
	in := open(t, s, "path=/q/jobs/enqueue&flags=1")
	steps(t, s, in, `PUT /handles/{h}/write one -> 200 "seq":1`, `PUT /handles/{h}/write two -> 200 "seq":2`,
		"GET /files?path=/q/jobs/size -> 200 2")
	out := open(t, s, "path=/q/jobs/dequeue")
	steps(t, s, out,
		"GET /files?path=/q/jobs/size -> 200 2",
		`GET /handles/{h}/read?size=6 -> 200 {"id":`,
		`GET /handles/{h}/read?offset=0 -> 200 "data":"one"`,
		`POST /handles/{h}/seek?offset=5 -> 200 "position":0`,
		`GET /handles/{h}/read -> 200 "data":"one"`,
		"GET /files?path=/q/jobs/size -> 200 1",
		"DELETE /handles/{h} -> 200")
	out = open(t, s, "path=/q/jobs/dequeue")
	steps(t, s, out, `GET /handles/{h}/read -> 200 "data":"two"`)
}

// A read that was refused is asked anew, once what it wants is there.
func TestHandleRefusedOnce(t *testing.T) {
	s := start(t)
	steps(t, s, "", "POST /mkdir?path=/q/jobs -> 201", "PUT /files?path=/q/jobs/enqueue one -> 200")
	out := open(t, s, "path=/q/jobs/dequeue")
	var was string
	s.Node.Refuse(func(r vfs.Request) error { // the log decides when the queue has just gone
		if op := &r.Ops[0]; op.Verb == vfs.Consume && was == "" {
			was, op.Path = r.Key, "/q/gone/dequeue"
		}
		return nil
	})
	steps(t, s, out, "GET /handles/{h}/read -> 404 not found", `GET /handles/{h}/read -> 200 "data":"one"`, `GET /handles/{h}/read?offset=0 -> 200 "data":"one"`)
	if was == "" {
		t.Error("nothing was asked of the log under a key")
	}
	// What may have been taken already is not forgotten for a refusal that the log knows nothing of.
	steps(t, s, "", "PUT /files?path=/q/jobs/enqueue two -> 200", "PUT /files?path=/q/jobs/enqueue three -> 200")
	out = open(t, s, "path=/q/jobs/dequeue")
	s.Node.Refuse(nil)
	s.Node.After(func(vfs.Request) error { return &vfs.Unknown{} })
	steps(t, s, out, "GET /handles/{h}/read -> 503 outcome unknown")
	s.Node.After(nil)
	s.Node.Refuse(func(vfs.Request) error { return vfs.Throttled })
	steps(t, s, out, "GET /handles/{h}/read -> 429")
	s.Node.Refuse(nil)
	steps(t, s, out, `GET /handles/{h}/read -> 200 "data":"two"`, "GET /files?path=/q/jobs/size -> 200 1")
}

func TestHandleOfAnotherNode(t *testing.T) {
	a, b := start(t), start(t)
	a.Node.SetNumber(7, nil)
	b.Node.SetNumber(8, map[uint16]string{7: a.URL, 9: "http://127.0.0.1:1"})
	big := strings.Repeat("0123456789", 30000)
	h := open(t, a, "path=/memfs/f&flags=18")
	steps(t, b, h,
		"PUT /handles/{h}/write "+big+` -> 200 "written":300000`,
		`POST /handles/{h}/seek?offset=0 -> 200 "position":0`,
		"GET /handles/{h}/read?size=400000 -> 200 "+big,
		"GET /handles/{h}/frobnicate -> 404 unknown operation",
		"GET /handles/{h}/stat -> 200 \"size\":300000",
		fmt.Sprintf("GET /handles/%d -> 404 not found", int64(6)<<40|1),
		fmt.Sprintf("GET /handles/%d -> 503 does not answer", int64(9)<<40|1),
	)
	if got := b.Do(t, "GET", v1+"/handles/"+h, "", "X-Pfs-Hop", "1"); got.Status != 404 {
		t.Errorf("a second hop: %d", got.Status)
	}
	steps(t, b, h, "DELETE /handles/{h} -> 200", "GET /handles/{h} -> 404")
}

func TestHandlesTogether(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Handles: 1000}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			h := open(t, s, fmt.Sprintf("path=/memfs/f%d&flags=18", i%4))
			for range 10 {
				steps(t, s, h, "PUT /handles/{h}/write x -> 200", "GET /handles/{h}/read?offset=0 -> 200 x", "GET /handles -> 200")
			}
			steps(t, s, h, "DELETE /handles/{h} -> 200")
		}()
	}
	wg.Wait()
}
