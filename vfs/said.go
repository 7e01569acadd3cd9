package vfs

import "strings"

// maxSaid bounds what is kept of the text of an error, in bytes.
const maxSaid = 4 << 10

// phrases are the words of errors that third-party plugins use, and what they
// mean. The first that is found counts.
var phrases = []struct {
	words string
	kind  Kind
}{
	{"not a directory", NotDirectory}, {"is a directory", IsDirectory},
	{"not empty", NotEmpty},
	{"no such", NotFound}, {"not found", NotFound}, {"does not exist", NotFound},
	{"already exists", Exists}, {"file exists", Exists},
	{"permission denied", Permission}, {"read-only", Permission}, {"read only", Permission},
	{"not supported", Unsupported}, {"not implemented", Unsupported},
	{"no space", NoSpace}, {"too large", TooLarge},
	{"invalid", Invalid},
}

// Said is the error that a third-party plugin means with a text: its kind by the
// words that the published SDKs and their examples use, Internal for others.
func Said(text string) error {
	text = strings.ToValidUTF8(text[:min(len(text), maxSaid)], "?")
	lower := strings.ToLower(text)
	for _, p := range phrases {
		if strings.Contains(lower, p.words) {
			if p.kind == Exists || p.kind.Error() == lower {
				return p.kind // its words are a noun
			}
			return p.kind.With(text)
		}
	}
	return Internal.With(text)
}
