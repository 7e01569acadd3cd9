package cli

import "testing"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{"a b": "a b", "ü\x1b[31m": `ü\x1b[31m`, "a\nb": `a\nb`, "\u202e": `\u202e`, `"q"'`: `"q"'`} {
		if got := Plain(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1024: "1.0K", 1536: "1.5K", 5 << 30: "5.0G"} {
		if got := SizeText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
