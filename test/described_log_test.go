package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

func describedServerinfo(d *described) {
	d.mounted("serverinfofs", "/info", `{"version":2}`)
	for path, version := range map[string]string{"/serverinfofs": "9.8.7\n", "/info": "2\n"} {
		d.reads(path+"/version", version)
		up := d.want(200, "GET", "/files?path="+path+"/uptime", "").body
		if t, err := time.ParseDuration(strings.TrimSpace(up)); err != nil || t < 0 {
			d.Errorf("%s/uptime: %q", path, up)
		}
		var stats struct{ Goroutines int }
		if err := decode(d.want(200, "GET", "/files?path="+path+"/stats", ""), &stats); err != nil || stats.Goroutines < 1 {
			d.Errorf("%s/stats: %+v, %v", path, stats, err)
		}
	}
	d.want(403, "PUT", "/files?path=/serverinfofs/version", "x")
}

func describedMemfs(d *described) {
	d.mounted("memfs", "/mem", `{"init_dirs":["/home","/tmp"]}`)
	for _, path := range []string{"/memfs", "/mem"} {
		for _, dir := range []string{"/home", "/tmp"} {
			if !d.stat(path + dir).IsDir {
				d.Errorf("%s%s is no directory", path, dir)
			}
			d.put(path+dir+"/f", "written")
			d.reads(path+dir+"/f", "written")
		}
	}
}

func describedQueue(d *described) {
	d.mounted("queuefs", "/queues", `{}`) // memory is the default
	control := []string{"enqueue", "dequeue", "peek", "size", "clear"}
	for _, root := range []string{"/queuefs", "/queues"} {
		d.mkdir(root + "/jobs")
		d.c.Run("", "mkdir", "-p", root+"/mail/in/today")
		for _, q := range []string{"/jobs", "/mail/in/today"} {
			names := d.names(root + q)
			for _, name := range control {
				if !slices.Contains(names, name) {
					d.Errorf("%s%s has %q, not %s", root, q, names, name)
				}
			}
			d.reads(root+q+"/size", "0")
			for range 3 {
				d.put(root+q+"/enqueue", "x")
			}
			d.reads(root+q+"/size", "3")
			d.put(root+q+"/clear", "")
			d.reads(root+q+"/size", "0")
		}
		if names := d.names(root); !slices.Equal(names, []string{"README", "jobs", "mail"}) {
			d.Errorf("%s lists %q", root, names)
		}
		if s := d.want(200, "GET", "/files?path="+root+"/README", "").body; !strings.Contains(s, "enqueue") {
			d.Errorf("README: %.80q", s)
		}
		d.c.Run("", "rm", "-rf", root+"/mail")
		d.want(404, "GET", "/directories?path="+root+"/mail", "")
	}
}

// said is a message as clients read it.
type said struct {
	ID, Data  string
	Timestamp time.Time
}

func describedMessage(d *described) { d.messages("/queuefs/said") }

func (d *described) messages(q string) {
	d.Helper()
	d.mkdir(q)
	d.reads(q+"/dequeue", "{}")
	d.reads(q+"/peek", "{}")
	d.reads(q+"/size", "0")
	start := time.Now().Add(-time.Second)
	for i := range 3 {
		d.put(q+"/enqueue", fmt.Sprint("message ", i))
	}
	ids := map[string]bool{}
	for i := range 3 {
		peeked := d.want(200, "GET", "/files?path="+q+"/peek", "").body
		body := d.want(200, "GET", "/files?path="+q+"/dequeue", "").body
		var m said
		var keys map[string]any
		if err := json.Unmarshal([]byte(body), &m); err != nil || json.Unmarshal([]byte(body), &keys) != nil {
			d.Errorf("%q: %v", body, err)
		}
		for _, k := range []string{"id", "data", "timestamp"} {
			if _, ok := keys[k].(string); !ok {
				d.Errorf("%s is no text in %s", k, body)
			}
		}
		if m.Data != fmt.Sprint("message ", i) || m.ID == "" || ids[m.ID] || m.Timestamp.Before(start) || !strings.Contains(peeked, m.ID) {
			d.Errorf("message %d is %s, peek had %s", i, body, peeked)
		}
		ids[m.ID] = true
	}
	d.reads(q+"/dequeue", "{}")
}

func describedPeek(d *described) { d.peeks("/queuefs/peeked") }

func (d *described) peeks(q string) {
	d.Helper()
	d.mkdir(q)
	changed := func() time.Time {
		var e struct{ ModTime time.Time }
		d.json("GET", "/stat?path="+q+"/peek", "", &e)
		return e.ModTime
	}
	for i := range 3 {
		before := changed()
		d.put(q+"/enqueue", fmt.Sprint(i))
		after := changed()
		if !after.After(before) {
			d.Errorf("message %d: %v, %v before", i, after, before)
		}
		d.want(200, "GET", "/files?path="+q+"/peek", "")
		if again := changed(); !again.Equal(after) {
			d.Errorf("a peek changes the time: %v, %v", after, again)
		}
	}
	newest := changed()
	for range 3 {
		var m said
		if err := decode(d.want(200, "GET", "/files?path="+q+"/dequeue", ""), &m); err != nil || m.Timestamp.After(newest) {
			d.Errorf("%+v is after %v: %v", m, newest, err)
		}
		if now := changed(); !now.Equal(newest) {
			d.Errorf("dequeue changes the time: %v, %v", newest, now)
		}
	}
}

func describedBytes(d *described) {
	q := "/queuefs/bytes"
	d.mkdir(q)
	d.put(q+"/enqueue", "job\n")
	d.c.Run("job\n", "put", "-", q+"/enqueue")
	d.c.Run("job\n\n", "put", "-", q+"/enqueue")
	for _, want := range []string{"job\n", "job", "job\n"} {
		var m said
		if err := decode(d.want(200, "GET", "/files?path="+q+"/dequeue", ""), &m); err != nil || m.Data != want {
			d.Errorf("%q, expected %q: %v", m.Data, want, err)
		}
	}
}

func describedKvfs(d *described) {
	d.mounted("kvfs", "/kv", `{"initial_data":{"welcome":"Hello World","n":7,"a/b":"deep"}}`)
	for _, root := range []string{"/kvfs", "/kv"} {
		for key, value := range map[string]string{"welcome": "Hello World", "n": "7", "a/b": "deep"} {
			d.reads(root+"/keys/"+key, value)
		}
		d.put(root+"/keys/new", "value")
		d.reads(root+"/keys/new", "value")
		if names := d.names(root + "/keys"); !slices.Equal(names, []string{"a", "n", "new", "welcome"}) {
			d.Errorf("%s lists %q", root, names)
		}
		d.want(200, "DELETE", "/files?path="+root+"/keys/new", "")
		d.want(404, "GET", "/files?path="+root+"/keys/new", "")
	}
}

func describedStream(d *described) {
	d.want(404, "GET", "/directories?path=/streamoff", "") // enabled: false
	d.mounted("streamfs", "/film", `{"buffer_size":"10MB"}`)
	ctx, cancel := context.WithTimeout(d.Context(), 5*time.Minute)
	defer cancel()
	for root, ring := range map[string]int64{"/streamfs": 1 << 20, "/radio": 64 << 10, "/film": 10 << 20} {
		first, second := d.tune(ctx, root+"/news"), d.tune(ctx, root+"/news")
		text := strings.Repeat("0123456789abcdef", 2000)
		d.c.Run(text, "put", "--append", "-", root+"/news")
		for i, r := range []io.Reader{first.Body, second.Body} {
			b := make([]byte, len(text))
			if _, err := io.ReadFull(r, b); err != nil || string(b) != text {
				d.Errorf("%s: reader %d has %.32q, %v", root, i, b, err)
			}
		}
		d.put(root+"/long", strings.Repeat("x", int(2*ring)))
		if a := d.want(416, "GET", "/files?stream=true&from=0&path="+root+"/long", ""); a.status != 416 {
			continue
		}
		kept := d.tune(ctx, root+"/long&from=oldest")
		var from int64
		_, err := fmt.Sscan(kept.Header.Get("X-Pfs-Offset"), &from)
		if left := 2*ring - from; err != nil || left > ring || left < ring/2 {
			d.Errorf("%s: a ring of %d keeps %d bytes, %v", root, ring, left, err)
		}
		d.want(200, "DELETE", "/files?path="+root+"/long", "")
	}
}

func describedHello(d *described) {
	d.mounted("hellofs", "/hi", "")
	for _, root := range []string{"/hellofs", "/hi"} {
		d.reads(root+"/hello", "Hello, World!\n")
		d.want(403, "PUT", "/files?path="+root+"/hello", "x")
	}
}
