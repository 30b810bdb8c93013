package msgpack

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"ddpm/engine/internal/records/reason"
)

func TestTypesOfAnotherWriterKeepTheirValues(t *testing.T) {
	payload, err := os.ReadFile("../testdata/types.msgpack")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":9223372036854775807,"huge":18446744073709551615,"least":-9223372036854775808,"ratio":0.1,` +
		`"raw":"\\x00ff","created_at":"2026-11-23T04:05:06.789123Z","before":"1969-12-31T23:59:59.000000Z",` +
		`"ext":{"ext":5,"data":"\\x01"},"list":[1,-1,-200,70000,null,true,"naïve"],"nested":{"a":{"b":{}}},` +
		`"long":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","7":"seven"}`
	got, failure := Decode(payload)
	if failure != nil || string(got) != want {
		t.Fatalf("got %s %v\nwant %s", got, failure, want)
	}
	for end := 1; end < len(payload); end++ {
		if got, failure := Decode(payload[:end]); failure == nil || !strings.Contains(failure.Message, "truncated") {
			t.Fatalf("cut after byte %d: got %s %v", end, got, failure)
		}
	}
}

func TestFloatsKeepTheirExactValue(t *testing.T) {
	for payload, want := range map[string]string{
		"\xca\x4f\x00\x00\x00":                 "2147483648",
		"\xca\x3d\xcc\xcc\xcd":                 "0.10000000149011612",
		"\xca\x7f\x7f\xff\xff":                 "340282346638528859811704183484516925440",
		"\xcb\x43\xe0\x00\x00\x00\x00\x00\x00": "9223372036854775808",
		"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a": "0.1",
	} {
		if got, failure := Decode([]byte(payload)); failure != nil || string(got) != want {
			t.Errorf("%x: got %s %v, want %s", payload, got, failure, want)
		}
	}
}

func TestWhatIsNotMessagePackHasItsReason(t *testing.T) {
	for name, c := range map[string]struct{ payload, code, message string }{
		"empty":             {"", "empty", "empty message"},
		"trailing bytes":    {"\x01\x02\x03", "not_msgpack", "2 bytes after the value, which ends at byte 1"},
		"reserved byte":     {"\x91\xc1", "not_msgpack", "0xc1 at byte 1 begins no value"},
		"length that lies":  {"\xdd\xff\xff\xff\xff\x01", "not_msgpack", "truncated"},
		"text that lies":    {"\xdb\xff\xff\xff\xff\x01", "not_msgpack", "truncated: 4294967294 bytes are missing"},
		"invalid UTF-8":     {"\xa2\xc3\x28", "invalid_utf8", "text of 2 bytes at byte 1"},
		"key of floats":     {"\x81\xca\x00\x00\x00\x00\x01", "not_msgpack", "map key at byte 1"},
		"key is missing":    {"\x81", "not_msgpack", "truncated"},
		"depth":             {strings.Repeat("\x91", 10_000_000), "not_msgpack", "nested deeper than 500 levels"},
		"timestamp size":    {"\xd4\xff\x00", "not_msgpack", "timestamp of 1 bytes"},
		"timestamp far off": {"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "not_msgpack", "timestamp"},
		"timestamp nanos":   {"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff", "not_msgpack", "timestamp"},
	} {
		got, failure := Decode([]byte(c.payload))
		if failure == nil {
			t.Errorf("%s: got %s", name, got)
			continue
		}
		if failure.Stage != reason.StageParse || failure.Code != c.code || !strings.Contains(failure.Message, c.message) {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

func FuzzDecode(f *testing.F) {
	payload, err := os.ReadFile("../testdata/types.msgpack")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		if doc, failure := Decode(payload); failure == nil && !json.Valid(doc) {
			t.Fatalf("%x became %s", payload, doc)
		}
	})
}
