package backup

import (
	"fmt"
	"regexp"
	"time"
)

// Suffix is how the names of backups end.
const Suffix = ".pfsbackup"

const nameTime = "20060102T150405Z"

// Name returns the name of the file for a backup: its cluster, when and at which
// index. Names of one cluster sort by time.
func (h Header) Name() string {
	return fmt.Sprintf("pfs-%s-%s-%d%s", h.Cluster, h.Time.UTC().Format(nameTime), h.Index, Suffix)
}

// Named reports whether Name gives a backup of the cluster that name, and when
// it was taken, to the second.
func Named(cluster, name string) (at time.Time, ok bool) {
	re := `^pfs-` + regexp.QuoteMeta(cluster) + `-(\d{8}T\d{6}Z)-\d{1,20}` + regexp.QuoteMeta(Suffix) + `$`
	m := regexp.MustCompile(re).FindStringSubmatch(name)
	if m == nil {
		return at, false
	}
	at, err := time.Parse(nameTime, m[1])
	return at, err == nil
}
