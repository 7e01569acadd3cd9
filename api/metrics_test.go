package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins"
)

// wantMetrics fails unless the scrape has every line.
func wantMetrics(t *testing.T, s *apitest.Server, lines ...string) {
	t.Helper()
	body := s.Do(t, "GET", "/metrics", "").Body
	for _, want := range lines {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// What clients ask is counted for the mount that the path leads to, with the
// errors that they get.
func TestMountMetrics(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil), Mounts: map[string]string{"/m": "memfs", "/m/q": "queuefs"}})
	steps(t, s, "", "PUT /files?path=/m/a x -> 200", "GET /files?path=/m/a -> 200", "GET /files?path=/m/b -> 404",
		"GET /stat?path=/m/a -> 200", "GET /files?path=/nowhere -> 404", "GET /list?path=/m -> 200",
		"POST /mkdir?path=/m/q/jobs -> 201", "PUT /files?path=/m/q/jobs/enqueue x -> 200", "DELETE /files?path=/m/q/none -> 404",
		"POST /handles/open?path=/m/a -> 200")
	wantMetrics(t, s,
		`pfs_mount_operations_total{mount="/m",operation="read",type="memfs"} 2`,
		`pfs_mount_operations_total{mount="/m",operation="stat",type="memfs"} 1`,
		`pfs_mount_operations_total{mount="/m",operation="list",type="memfs"} 1`,
		`pfs_mount_operations_total{mount="/m",operation="open",type="memfs"} 1`,
		`pfs_mount_operations_total{mount="/m/q",operation="mkdir",type="queuefs"} 1`,
		`pfs_mount_operations_total{mount="/m/q",operation="write",type="queuefs"} 1`,
		`pfs_mount_errors_total{code="not_found",mount="/m",type="memfs"} 1`,
		`pfs_mount_errors_total{code="not_found",mount="/m/q",type="queuefs"} 1`,
		`pfs_mount_operation_seconds_count{mount="/m/q"} 3`,
		`pfs_mount_up{mount="/m",type="memfs"} 1`, `pfs_mounts 2`,
		`pfs_http_problems_total{code="not_found"} 3`, `pfs_http_problems_total{code="throttled"} 0`)
}

// Mounts by the hundred do not make as many series; who comes after the limit
// takes the place of one that is gone.
func TestMountMetricsAreBounded(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil)})
	for i := range 103 {
		s.Mount(t, fmt.Sprintf("/m%d", i), "memfs", nil)
		s.Do(t, "GET", fmt.Sprintf("/api/v1/stat?path=/m%d", i), "")
	}
	wantMetrics(t, s, `pfs_mount_operations_total{mount="(other)",operation="stat",type="memfs"} 3`, `pfs_mounts 103`)
	steps(t, s, "", `POST /unmount {"path":"/m0"} -> 200`, `GET /stat?path=/m102 -> 200`)
	wantMetrics(t, s, `pfs_mount_operations_total{mount="/m102",operation="stat",type="memfs"} 1`)
	body := s.Do(t, "GET", "/metrics", "").Body
	if strings.Contains(body, `{mount="/m0",`) {
		t.Error("a mount that is gone still has figures")
	}
	if n := strings.Count(body, "\npfs_mount_operations_total{"); n != 101 {
		t.Errorf("%d series for 100 mounts and the others", n)
	}
	problems, err := promlint.New(bytes.NewReader([]byte(body))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What is in each queue is shown, and how long the first message has waited.
func TestQueueMetrics(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil), Mounts: map[string]string{"/m": "memfs", "/m/q": "queuefs"}})
	wantMetrics(t, s, `pfs_queuefs_queues{mount="/m/q"} 0`)
	const q = "/files?path=/m/q/"
	steps(t, s, "", "POST /mkdir?path=/m/q/a -> 201", "PUT "+q+"a/ctl max_attempts=1 -> 200",
		"POST /mkdir?path=/m/q/a/below -> 201", "POST /mkdir?path=/m/q/gone -> 201", "POST /mkdir?path=/m/q/gone/too -> 201",
		"PUT "+q+"a/enqueue dead -> 200")
	var lent struct{ Lease string }
	if err := json.Unmarshal([]byte(s.Do(t, "GET", v1+q+"a/take", "").Body), &lent); err != nil {
		t.Fatal(err)
	}
	steps(t, s, "", "PUT "+q+"a/nack "+lent.Lease+" -> 200")
	for range 4 {
		steps(t, s, "", "PUT "+q+"a/enqueue one -> 200")
	}
	steps(t, s, "", "GET "+q+"a/take&max=2 -> 200", "DELETE "+q+"gone&recursive=true -> 200")
	s.Do(t, "PUT", v1+q+"a/enqueue", "later", "X-Pfs-Delay", "1h")
	wantMetrics(t, s, `pfs_queuefs_queues{mount="/m/q"} 2`,
		`pfs_queuefs_ready_messages{mount="/m/q",queue="/a"} 2`, `pfs_queuefs_inflight_messages{mount="/m/q",queue="/a"} 2`,
		`pfs_queuefs_delayed_messages{mount="/m/q",queue="/a"} 1`, `pfs_queuefs_dead_messages{mount="/m/q",queue="/a"} 1`,
		`pfs_queuefs_ready_messages{mount="/m/q",queue="/a/below"} 0`, `pfs_queuefs_oldest_age_seconds{mount="/m/q",queue="/a/below"} 0`)
	body := s.Do(t, "GET", "/metrics", "").Body
	var age float64
	if _, line, ok := strings.Cut(body, "\n"+`pfs_queuefs_oldest_age_seconds{mount="/m/q",queue="/a"} `); ok {
		fmt.Sscan(line, &age)
	}
	if age <= 0 || age > 600 || strings.Contains(body, "gone") {
		t.Errorf("the first message has waited %v s\n%s", age, body)
	}
}

// Queues by the hundred do not make as many series.
func TestQueueMetricsAreBounded(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil), Mounts: map[string]string{"/p": "queuefs", "/q": "queuefs"}})
	for i := range 60 {
		for _, at := range []string{"/p", "/q"} {
			steps(t, s, "", fmt.Sprintf("PUT /files?path=%s/q%d/enqueue x -> 200", at, i))
		}
	}
	wantMetrics(t, s, `pfs_queuefs_queues{mount="/p"} 60`, `pfs_queuefs_queues{mount="/q"} 60`,
		`pfs_queuefs_ready_messages{mount="/q",queue="/q0"} 1`, `pfs_queuefs_ready_messages{mount="(other)",queue="(other)"} 20`)
	if n := strings.Count(s.Do(t, "GET", "/metrics", "").Body, "\npfs_queuefs_ready_messages{"); n != 101 {
		t.Errorf("%d series for 100 queues and the others", n)
	}
}
