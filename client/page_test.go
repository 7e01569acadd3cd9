package client_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/client"
)

func trimmed(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.TrimSpace(line))
	}
	return "\n" + strings.TrimSpace(strings.Join(out, "\n")) + "\n"
}

// Every Go block of the page is a part of an example, which is compiled and run,
// and every name in its table of the old SDK is one that there is.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := trimmed(string(source))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	for _, b := range blocks {
		if !strings.Contains(code, trimmed(b[1])) {
			t.Errorf("this block is in no example:\n%s", b[1])
		}
	}
	if len(blocks) < 11 || strings.Count(string(page), "```") != 2*len(blocks) {
		t.Errorf("%d blocks of Go, of %d marks", len(blocks), strings.Count(string(page), "```"))
	}
	_, table, ok := strings.Cut(string(page), "## From the AGFS SDK")
	if !ok {
		t.Fatal("no table of the old SDK")
	}
	// clients.md of the old SDK lists these.
	for old := range strings.FieldsSeq(`Create Mkdir Remove RemoveAll Read Write WriteWithRetry ReadDir Stat Rename Chmod Truncate
		Health GetCapabilities ReadStream Grep Digest OpenHandle CloseHandle ReadHandle ReadHandleStream WriteHandle SyncHandle
		SeekHandle GetHandle StatHandle Symlink Readlink NewClient NewClientWithHTTPClient SetStreamingProgressTimeout`) {
		if !regexp.MustCompile("(?m)^\\|[^|]*`" + old + "[`(]").MatchString(table) {
			t.Errorf("%s of the old SDK is not in the table", old)
		}
	}
	methods(t, table)
}

// methods checks the names on the right of the table that are methods.
func methods(t *testing.T, table string) {
	functions := strings.Fields("New At Append Flags IfMatch IfAbsent Key")
	count := 0
	for _, row := range regexp.MustCompile(`(?m)^\|[^|]*\|(.*)\|$`).FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`((?:Handle\\.)?)([A-Z][A-Za-z]*)[`(]").FindAllStringSubmatch(row[1], -1) {
			of := reflect.TypeFor[*client.Client]()
			if name[1] != "" || name[2] == "ReadAt" || name[2] == "WriteAt" {
				of = reflect.TypeFor[*client.Handle]()
			}
			count++
			if _, ok := of.MethodByName(name[2]); !ok && !slices.Contains(functions, name[2]) {
				t.Errorf("%s has no method %s", of, name[2])
			}
		}
	}
	if count < 50 {
		t.Errorf("%d names in the table", count)
	}
}
