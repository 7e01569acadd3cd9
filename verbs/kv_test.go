package verbs_test

import (
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

func TestKV(t *testing.T) {
	serve(t)
	for _, s := range []clitest.Step{
		{Args: "kv put config/limit 10"},
		{Args: "kv put config/name -", Stdin: "from stdin\n"},
		{Args: "kv put lock me --if-absent --ttl 1h"},
		{Args: "kv put lock you --if-absent", Code: 6, Stderr: "pfs: …(stale)\nhint: the current version is …\n"},
		{Args: "kv put lock you --if-absent --if-match 1", Code: 2, Stderr: "pfs: --if-match and --if-absent exclude each other\n…\n"},
		{Args: "kv put lock you --if-match 1", Code: 6, Stderr: "pfs: …(stale)\n…\n"},
		{Args: "kv get config/limit", Stdout: "10"},
		{Args: "kv get config/name", Stdout: "from stdin\n"},
		{Args: "kv get ../../memfs/x", Code: 4, Stderr: "pfs: read: /kvfs/keys/memfs/x: not found (not_found)\n"},
		{Args: "kv list", Stdout: "config/limit\nconfig/name\nlock\n"},
		{Args: "kv list config/", Stdout: "config/limit\nconfig/name\n"},
		{Args: "kv list none"},
		{Args: "kv list -o json config", Stdout: "[\n  \"config/limit\",\n  \"config/name\"\n]\n"},
		{Args: "kv del lock"},
		{Args: "kv del lock", Code: 4, Stderr: "pfs: remove: /kvfs/keys/lock: not found (not_found)\n"},
		{Args: "kv list --mount /none", Code: 4, Stderr: "pfs: readdir: /none/keys: not found (not_found)\n"},
	} {
		pfs.Do(t, s)
	}
}
