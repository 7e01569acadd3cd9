package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// weakness is one item of the list of what the peer does wrong, by its numbers
// there, and the test that ours does not. Numbers with E are of the second
// list, of reports that often name the same fault.
type weakness struct {
	items string
	what  string
	test  func(p *peer)
}

// peer is where one weakness is tested.
type peer struct {
	*testing.T
	web
	node *harness.Node // shared with the other tests
	dir  string        // of this test alone, in a memfs
}

// weaknesses are those with a test here.
func weaknesses() []weakness {
	return []weakness{
		{"1", "links made and removed under listings block everything", peerDeadlock},
		{"3", "one request takes all memory", peerOneRequest},
		{"4 E10", "nothing survives a restart", peerRestart},
		{"5", "append, offset and conditions are ignored", peerWrites},
		{"6", "flags of handles are misread", peerFlags},
		{"7 E9", "reading tools take messages; binary ones are mangled", peerMessages},
		{"8 E15", "a directory renamed into itself is lost; renames differ", peerRename},
		{"11", "settings that are secret are shown", peerSecrets},
		{"12", "negative offsets end the connection", peerOffsets},
		{"13 E13", "client mistakes are answered with 500", peerStatuses},
		{"14", "touch and digest fail", peerTouchDigest},
		{"15", "links are not followed by half of the calls", peerLinks},
		{"16", "a mount hides names that begin alike", peerRouting},
		{"17", "handles have no leases, no limit and no file", peerHandles},
		{"18", "a stream that is refused hangs", peerStream},
		{"19 E16", "a mount blocks everything else", peerMountBeside},
		{"20", "readers see half of a write", peerTorn},
		{"21", "settings of mounts do nothing", peerSettings},
		{"E14", "settings of what is outside do nothing", peerSettingsOutside},
		{"28", "a mistake in the settings is not told", peerUnknown},
		{"22", "health and mounts disagree after an unmount", peerUnmount},
		{"23", "grep breaks on long lines and ignores its limit", peerGrep},
		{"24", "listings have no order and no pages; no ranges, no conditions", peerListing},
		{"25", "content is held in memory and limited by it", peerLong},
		{"E17", "sessions of SQL stay for ever", peerSessionLimit},
		{"27", "a file of a heartbeat takes the item with it; a stream reads other bytes than those asked for", peerOnesOwn},
		{"E8", "concurrent use of queues ends the process", peerQueueHammer},
		{"E12", "a link leads out of localfs, and removing its root removes the directory", peerLocal},
		{"26", "a rename across mounts is a fault of the server, and one in a mount is seen half done", peerAcross},
		{"E3 E4", "a write to a WASM plugin lands elsewhere, and a read changes afterwards", peerWASMBytes},
		{"E5", "instances of a WASM plugin differ, and one that ends spoils the mount", peerWASMInstances},
		{"E7", "sessions of SQL never commit", peerSessions},
		{"E11", "different names become one", peerNames},
	}
}

// elsewhere names the tests that show what no test here does.
func elsewhere() map[string]string {
	return map[string]string{
		"2":  "TestStreamTurnover: 10,000 readers come and go while a stream is written",
		"E1": "TestNativePlugin and TestLoads, TestCrashes of ffi: sizes are of four bytes, and a fault ends a process of its own",
		"E2": "TestTwoMounts, TestEnds of ffi: a mount has an instance of its own, which ends with it",
		"E6": "TestAutoLoad, TestWASMPlugin: plugins are loaded, mounted again, and take nobody's name",
		"30": "TestSqlfs, TestDescribed: the programs are built without cgo, and SQLite works",
		"29": "of package client, TestRepeats: every call is tried again; TestCancelIsPrompt: contexts end calls",
		"9":  "TestKillLeader, TestLinearizable, TestScripts: three nodes, one log",
	}
}

// leftOut are the items that touch nothing that exists, and why.
func leftOut() map[string]string {
	return map[string]string{
		"10": "there are no identities yet; the default address is loopback, and no code is loaded from a URL (TestWASMLoad)",
	}
}

// TestPeerWeaknesses shows that what the peer does wrong is right here.
func TestPeerWeaknesses(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	t.Run("items", func(t *testing.T) {
		for _, w := range weaknesses() {
			name, _, _ := strings.Cut(w.items, " ")
			t.Run(strings.ReplaceAll(w.items, " ", "+"), func(t *testing.T) {
				t.Parallel()
				p := &peer{t, newWeb(t, c.Nodes[0]), c.Nodes[0], "/memfs/peer" + name}
				p.mkdir(p.dir)
				w.test(p)
				if !p.node.Alive() {
					t.Fatalf("%s: the server is gone\n%s", w.what, p.node.Tail())
				}
			})
		}
	})
	c.Ready()
	if peak := c.Nodes[0].PeakRSS(); peak > 256<<20 {
		t.Errorf("the server held %d MiB at its peak", peak>>20)
	}
}

// TestPeerWeaknessesCounted fails when an item of either list is neither tested nor left out for a reason.
func TestPeerWeaknessesCounted(t *testing.T) {
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprint(i+1))
	}
	for i := range 17 {
		all = append(all, fmt.Sprintf("E%d", i+1))
	}
	seen := map[string]int{}
	tested := 0
	for _, w := range weaknesses() {
		for _, item := range strings.Fields(w.items) {
			seen[item]++
			tested++
		}
	}
	for item := range elsewhere() {
		seen[item]++
		tested++
	}
	for item := range leftOut() {
		seen[item]++
	}
	for _, item := range all {
		if seen[item] != 1 {
			t.Errorf("item %s has %d places", item, seen[item])
		}
	}
	for item := range seen {
		if !slices.Contains(all, item) {
			t.Errorf("there is no item %s", item)
		}
	}
	t.Logf("%d of %d items tested, %d left out", tested, len(all), len(leftOut()))
}
