//go:build wasip1

package guest

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// appendInfos writes a list. It and appendInfo write what encoding/json writes, which
// looks at types first: in a module, where nothing is known before, that is most of
// what a call costs.
func appendInfos(b []byte, list []Info) []byte {
	b = append(b, '[')
	for n, i := range list {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendInfo(b, i)
	}
	return append(b, ']')
}

// appendInfo describes one file.
func appendInfo(b []byte, i Info) []byte {
	b = appendText(append(b, `{"Name":`...), i.Name)
	b = strconv.AppendInt(append(b, `,"Size":`...), i.Size, 10)
	b = strconv.AppendUint(append(b, `,"Mode":`...), uint64(i.Mode), 10)
	b = i.ModTime.AppendFormat(append(b, `,"ModTime":"`...), time.RFC3339Nano)
	return append(strconv.AppendBool(append(b, `","IsDir":`...), i.IsDir), '}')
}

const digits = "0123456789abcdef"

// appendText quotes a text. What is no UTF-8 becomes the sign for that.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r < ' ' || r == '"' || r == '\\':
			b = append(b, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
