package prochost

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// unhex reads bytes written as in the contract; blanks do not count.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(b []byte) (any, error) {
	return (&decoder{r: bufio.NewReader(bytes.NewReader(b))}).message()
}

// What is sent is, byte for byte, what the published peers send.
func TestSent(t *testing.T) {
	for want, v := range map[string]any{
		"83 a174 00 a169 01 a16d ab 506c7567696e2e496e6974": []field{{"t", 0}, {"i", uint32(1)}, {"m", "Plugin.Init"}},
		"82 a174 01 a169 ce00010000":                        []field{{"t", 1}, {"i", uint32(65536)}},
		"c0":                                                nil, "c2": false, "c3": true, "7f": 127, "cc80": 128, "cd0100": 256, "ce00010000": 65536,
		"d30000000100000000": int64(1) << 32, "d3ffffffffffffffff": -1,
		"a0": "", "c403616263": []byte("abc"), "c400": []byte{}, "80": []field{},
		"d920" + strings.Repeat("78", 32):    strings.Repeat("x", 32),
		"da0100" + strings.Repeat("78", 256): strings.Repeat("x", 256),
	} {
		if got := appendValue(nil, v); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%v: %x, expected %s", v, got, want)
		}
	}
	many := make([]field, 16)
	if got := appendValue(nil, many); got[0] != 0xde || got[1] != 0 || got[2] != 16 {
		t.Errorf("%x", got[:3])
	}
	if got := appendValue(nil, make([]byte, 70000)); got[0] != 0xc6 {
		t.Errorf("%x", got[:5])
	}
}

// All widths are understood, as Go and Lua send them.
func TestReceived(t *testing.T) {
	year1 := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]any{
		"83 a174 01 a169 ce00000001 a164 81 a6447269766573 91 ad44756d6d792052504320564653": map[string]any{
			"t": int64(1), "i": uint64(1), "d": map[string]any{"Drives": []any{"Dummy RPC VFS"}}},
		"83 a174 01 a169 ce00000007 a165 a96e6f7420666f756e64": map[string]any{"t": int64(1), "i": uint64(7), "e": "not found"},
		"cc ff": uint64(255), "cd ffff": uint64(65535), "cf ffffffffffffffff": ^uint64(0),
		"d0 ff": int64(-1), "d1 fffe": int64(-2), "d2 fffffffd": int64(-3), "d3 fffffffffffffffc": int64(-4), "ff": int64(-1),
		"d9 01 61": "a", "da 0001 61": "a", "db 00000001 61": "a", "c4 01 00": []byte{0}, "c5 0001 00": []byte{0}, "c6 00000001 00": []byte{0},
		"dc 0001 c0": []any{nil}, "dd 00000001 c3": []any{true}, "de 0001 a161 01": map[string]any{"a": int64(1)}, "df 00000001 a161 02": map[string]any{"a": int64(2)},
		"ca 3f800000": 1.0, "cb 3ff0000000000000": 1.0, "81 01 02": map[string]any{},
		"d6 ff 00000001": time.Unix(1, 0).UTC(), "d7 ff 0000000400000001": time.Unix(1, 1).UTC(),
		"c7 0c ff 00000000 fffffff1886e0900": year1, "d4 07 00": nil, "c8 0001 05 00": nil, "d8 01" + strings.Repeat("00", 16): nil,
	} {
		got, err := decode(unhex(t, in))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v; expected %#v", in, got, err, want)
		}
	}
}

// What announces more than a message may be is refused before memory is taken.
func TestReceivedBombs(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, in := range map[string]string{
		"bytes": "c6 ffffffff", "text": "db ffffffff", "list": "dd ffffffff", "map": "df ffffffff", "ext": "c9 ffffffff ff",
		"just too long": "c6 01000001", "a long list": "dd 000186a1", "bad byte": "c1", "time": "c7 05 ff 0000000000",
		"deep": strings.Repeat("91", 40) + "c0", "deep maps": strings.Repeat("81a161", 40) + "c0",
		"wide and deep": strings.Repeat("dc ffff", 31) + strings.Repeat("90", 1<<20),
	} {
		if v, err := decode(unhex(t, in)); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	for _, in := range []string{"c6 00fffff0 00", "dd 000186a0 c0", "a5 61", "83 a174"} { // they only end early
		if _, err := decode(unhex(t, in)); err == nil || errors.Is(err, errFrame) {
			t.Errorf("%s: %v", in, err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
		t.Errorf("%d MiB were taken", got>>20)
	}
}

// Nothing that is read crashes, or answers what was not there.
func FuzzReceived(f *testing.F) {
	for _, s := range []string{"83a17401a16901a164c0", "dc0002c0c3", "c70cff00000000fffffff1886e0900", "deffff"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err == nil && v != nil && len(b) == 0 {
			t.Error("something of nothing")
		}
	})
}
