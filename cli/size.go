package cli

import (
	"math"
	"strconv"
	"strings"
)

// sizeUnits are the units behind a number, as head, split and find of POSIX systems
// have them.
var sizeUnits = map[string]int64{
	"": 1, "b": 512, "k": 1 << 10, "K": 1 << 10, "KiB": 1 << 10, "KB": 1000, "M": 1 << 20, "MiB": 1 << 20, "MB": 1000 * 1000,
	"G": 1 << 30, "GiB": 1 << 30, "GB": 1000 * 1000 * 1000, "T": 1 << 40, "TiB": 1 << 40,
}

// Size reads a number with a unit, as 10, 4K or 2MiB.
func Size(s string) (int64, error) {
	digits := strings.TrimRight(s, "bkKMGTiB")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := sizeUnits[s[len(digits):]]
	if err != nil || !ok || n < 0 || n > math.MaxInt64/unit {
		return 0, Usage("%q is no number such as 10, 4K or 2M", s)
	}
	return n * unit, nil
}
