package api_test

import (
	"strings"
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/queuefs"
	"github.com/pfs-project/pfs/vfs"
)

// TestPagesOfOthers has the browser of somebody near this node send what a page of
// another site asks for: nothing changes and nothing is taken.
func TestPagesOfOthers(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{memfs.Plugin(), queuefs.Plugin()}})
	s.Mount(t, "/m", "memfs", nil)
	s.Mount(t, "/q", "queuefs", nil)
	write := []string{"PUT", "/files?path=/m/f", "x"}
	take := []string{"GET", "/files?path=/q/jobs/dequeue", ""}
	for _, before := range [][]string{write, {"POST", "/mkdir?path=/q/jobs", ""}, {"PUT", "/files?path=/q/jobs/enqueue", "job"}} {
		if a := s.Do(t, before[0], v1+before[1], before[2]); a.Status/100 != 2 {
			t.Fatalf("%v: %d %s", before, a.Status, a.Body)
		}
	}
	for _, c := range []struct {
		req          []string
		header, says string
		want         int
	}{
		{write, "Origin", "https://evil.example", 403},
		{write, "Origin", "null", 403},
		{write, "Origin", s.URL + "0", 403},
		{write, "Origin", s.URL, 200},
		{write, "Origin", strings.ToUpper(s.URL), 200},
		{write, "Sec-Fetch-Site", "cross-site", 403},
		{write, "Sec-Fetch-Site", "same-site", 403},
		{write, "Sec-Fetch-Site", "same-origin", 200},
		{write, "Sec-Fetch-Site", "none", 200},
		{[]string{"DELETE", "/files?path=/m/f", ""}, "Sec-Fetch-Site", "cross-site", 403},
		{[]string{"POST", "/unmount", `{"path":"/m"}`}, "Origin", "https://evil.example", 403},
		{[]string{"GET", "/files?path=/m/f", ""}, "Sec-Fetch-Site", "cross-site", 200},
		{take, "Sec-Fetch-Site", "cross-site", 403},
		{take, "Origin", "https://evil.example", 403},
		{take, "Sec-Fetch-Site", "none", 200},
	} {
		a := s.Do(t, c.req[0], v1+c.req[1], c.req[2], c.header, c.says)
		if a.Status != c.want || c.want == 403 && !strings.Contains(a.Body, "a page of another site") {
			t.Errorf("%s %s with %s %q: %d %s", c.req[0], c.req[1], c.header, c.says, a.Status, a.Body)
		}
		if c.req[1] == take[1] && c.want == 200 && !strings.Contains(a.Body, "job") {
			t.Errorf("the message was taken before: %s", a.Body)
		}
	}
}
