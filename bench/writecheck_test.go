package bench

import (
	"io"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/plugins"
)

func serve(t *testing.T) *apitest.Server {
	t.Helper()
	return apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil), Mounts: map[string]string{"/m": "memfs"}})
}

func TestWriteCheck(t *testing.T) {
	s := serve(t)
	r, err := WriteCheck{URLs: []string{s.URL}, Clients: 4, For: time.Second, Dir: "/m/check",
		Patience: 30 * time.Second, Log: io.Discard}.Run(t.Context())
	if err != nil || !r.Sound() || r.Acked == 0 || r.Failed != 0 || r.Readers != 1 || r.PerSecond == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if a := s.Do(t, "GET", "/api/v1/stat?path=/m/check", ""); a.Status != 404 {
		t.Errorf("the directory is left: %d %s", a.Status, a.Body)
	}
}

// What is missing and what is there twice is counted, for the node that is
// asked.
func TestReadBackSees(t *testing.T) {
	s := serve(t)
	cl, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.WriteFile(t.Context(), "/m/0", []byte("0\n1\n1\n3\n")); err != nil {
		t.Fatal(err)
	}
	acked := map[int]bool{0: true, 1: true, 2: true} // 3 was never acknowledged
	lost, doubled, err := readBack(t.Context(), s.URL, []*writer{{file: "/m/0", acked: acked}, {file: "/m/gone", acked: acked}})
	if err != nil || lost != 1+3 || doubled != 1 {
		t.Errorf("lost %d, doubled %d, %v", lost, doubled, err)
	}
	if (WriteResult{Lost: 1}).Sound() || (WriteResult{Doubled: 1}).Sound() {
		t.Error("a result with losses is sound")
	}
	if _, err := cl.WriteFile(t.Context(), "/m/0", []byte("0\nx\n")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readBack(t.Context(), s.URL, []*writer{{file: "/m/0", acked: acked}}); err == nil {
		t.Error("a line that was never written is not seen")
	}
}
