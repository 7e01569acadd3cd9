package api

import (
	"encoding/json"
	"strconv"
)

// appendInfo appends i as encoding/json writes it, without looking at its type: a
// listing has thousands.
func appendInfo(b []byte, i *info) ([]byte, error) {
	b, err := appendText(append(b, `{"name":`...), i.Name)
	if err != nil {
		return b, err
	}
	b = strconv.AppendInt(append(b, `,"size":`...), i.Size, 10)
	b = strconv.AppendUint(append(b, `,"mode":`...), uint64(i.Mode), 10)
	b = append(append(append(b, `,"modTime":"`...), i.ModTime...), '"')
	b = strconv.AppendBool(append(b, `,"isDir":`...), i.IsDir)
	if b, err = appendText(append(b, `,"meta":{"Name":`...), i.Meta.Name); err != nil {
		return b, err
	}
	if b, err = appendText(append(b, `,"Type":`...), i.Meta.Type); err != nil {
		return b, err
	}
	b = append(b, `,"Content":`...)
	if i.Meta.Content == nil {
		return append(b, "null}}"...), nil
	}
	content, err := json.Marshal(i.Meta.Content)
	return append(append(b, content...), "}}"...), err
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, err := json.Marshal(s)
			return append(b, text...), err
		}
	}
	return append(append(append(b, '"'), s...), '"'), nil
}
