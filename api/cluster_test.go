package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/vfs"
)

// fakeCluster notes what it is asked.
type fakeCluster struct{ asked []string }

func (f *fakeCluster) Status(_ context.Context, digest bool) any {
	return map[string]any{"nodes": []any{}, "digest": digest}
}

func (f *fakeCluster) Verify(ctx context.Context) (any, error) {
	_, bounded := ctx.Deadline()
	return map[string]bool{"match": true, "bounded": bounded}, nil
}

func (f *fakeCluster) Manage(_ context.Context, a api.Action) (any, error) {
	f.asked = append(f.asked, fmt.Sprintf("%s %s %s %v %v", a.Do, a.ID, a.Address, a.Voter, a.Force))
	if a.ID == "n9" {
		return nil, vfs.NotFound.With("no node n9")
	}
	if a.ID == "n8" {
		return nil, vfs.Conflict.With("not now")
	}
	return map[string]any{"message": "done", "changed": true}, nil
}

func TestManageRoutes(t *testing.T) {
	f := &fakeCluster{}
	s := startWith(t, api.Config{Cluster: f})
	for _, c := range []struct {
		req    string
		status int
		want   string
	}{
		{`GET /cluster`, 200, `"digest":false`},
		{`GET /cluster?digest=true`, 200, `"digest":true`},
		{`GET /cluster/verify`, 200, `"bounded":true`},
		{`GET /cluster/verify?timeout=soon`, 400, "duration"},
		{`POST /cluster/verify`, 405, "method"},
		{`POST /cluster/join {"id":"n4","raft_address":"h:1"}`, 200, "join n4 h:1 true false"},
		{`POST /cluster/join {"id":"n4","raft_address":"h:1","voter":false}`, 200, "join n4 h:1 false false"},
		{`POST /cluster/remove {"id":"n4"}`, 200, "remove n4  true false"},
		{`POST /cluster/remove {"id":"n4","force":true}`, 200, "remove n4  true true"},
		{`POST /cluster/demote {"id":"n4","force":true}`, 200, "demote n4  true true"},
		{`POST /cluster/promote {"id":"n9"}`, 404, "not_found"},
		{`POST /cluster/promote {"id":"n8"}`, 409, "conflict"},
		{`POST /cluster/transfer {}`, 200, "transfer   true false"},
		{`POST /cluster/transfer`, 200, "transfer   true false"},
		{`POST /cluster/snapshot`, 200, "snapshot   true false"},
		{`GET /cluster/remove`, 405, "method"},
		{`POST /cluster/remove {"id":"n4","forse":true}`, 400, "unknown field"},
		{`POST /cluster/remove {"id":4}`, 400, "invalid"},
		{`POST /cluster/remove {"id":"n4"}{"id":"n5"}`, 400, "more than one"},
		{`POST /cluster/remove {"id":"n4","voter":true}`, 400, "are for join"},
		{`POST /cluster/promote {"id":"n4","force":true}`, 400, "no force"},
		{`POST /cluster/remove [`, 400, "invalid"},
		{`POST /cluster/remove {"id":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "too_large"},
	} {
		f.asked = nil
		a := request(t, s, c.req, "")
		if a.Status == 200 && len(f.asked) > 0 {
			a.Body += f.asked[0]
		}
		if a.Status != c.status || !strings.Contains(a.Body, c.want) {
			t.Errorf("%.80s: %d %s; want %d %s", c.req, a.Status, a.Body, c.status, c.want)
		}
		if a.Status != 200 {
			wantError(t, a, "")
		}
	}
}

// A server without a cluster says so.
func TestNoCluster(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		req    string
		status int
		want   string
	}{
		{"GET /cluster/verify", 501, "not one of a cluster"},
		{`POST /cluster/remove {"id":"x"}`, 501, "not one of a cluster"},
		{"GET /cluster", 200, `"nodes":[]`},
		{"GET /cluster/digest?mounts=true", 200, `"/memfs":"`},
		{"GET /cluster/digest?mounts=true&index=x", 400, "number"},
	} {
		if a := request(t, s, c.req, ""); a.Status != c.status || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s: %d %s", c.req, a.Status, a.Body)
		}
	}
}
