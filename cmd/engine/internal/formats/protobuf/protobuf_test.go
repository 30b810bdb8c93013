package protobuf

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func orders(t testing.TB) *Decoder {
	t.Helper()
	decoder, err := New(sample(t, "shop.pb"), "shop.Order")
	if err != nil {
		t.Fatal(err)
	}
	return decoder
}

func TestTypesOfAnotherWriterKeepTheirValues(t *testing.T) {
	const want = `{"id":9223372036854775807,"huge":18446744073709551615,"name":"naïve","raw":"\\x00ff","ratio":0.1,` +
		`"paid":true,"status":"OPEN","lines":[{"sku":"x","count":1},{"sku":"y","count":0}],` +
		`"counts":{"a":-9223372036854775807},"created_at":"2026-11-23T04:05:06.789123Z","took":"PT3.500000S",` +
		`"extra":{"a":[1,null,{"b":"c"}]},"note":"","cash":0,"discount":0,` +
		`"attachment":{"@type":"type.googleapis.com/google.protobuf.Timestamp","value":"2026-11-23T04:05:06.789123Z"},"weight":"NaN"}`
	got, failure := orders(t).Decode(sample(t, "order.protobuf"))
	if failure != nil || string(got) != want {
		t.Fatalf("%v\ngot  %s\nwant %s", failure, got, want)
	}
}

func TestAnEmptyMessageHasItsDefaults(t *testing.T) {
	const want = `{"id":0,"huge":0,"name":"","raw":"\\x","ratio":0,"paid":false,"status":"UNKNOWN","lines":[],"counts":{},"weight":0}`
	if got, failure := orders(t).Decode(nil); failure != nil || string(got) != want {
		t.Fatalf("got %s %v", got, failure)
	}
}

func TestWhatIsNoMessageHasItsReason(t *testing.T) {
	for name, c := range map[string]struct{ payload, code, message string }{
		"truncated":       {"\x1a\x05na", codeNotProtobuf, "no message shop.Order: proto: "},
		"text":            {"hello", codeNotProtobuf, "no message shop.Order"},
		"invalid UTF-8":   {"\x1a\x02\xc3\x28", codeNotProtobuf, "UTF-8"},
		"no timestamp":    {"\x52\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", codeValue, "the timestamp of 9223372036854775807 seconds"},
		"mixed duration":  {"\x5a\x0d\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", codeValue, "the duration of 1 seconds and -1"},
		"Any of rubbish":  {"\x8a\x01\x15\x0a\x0cx/shop.Order\x12\x05hello", codeNotProtobuf, "holds no such message"},
		"depth of Struct": {"\x62" + string(nested(600)), codeNotProtobuf, "no message"},
	} {
		got, failure := orders(t).Decode([]byte(c.payload))
		if failure == nil || failure.Code != c.code || !strings.Contains(failure.Message, c.message) {
			t.Errorf("%s: %.100s %v", name, got, failure)
		}
	}
}

// nested returns a length-prefixed Struct of so many Structs in each other.
func nested(levels int) []byte {
	var inner []byte
	for range levels {
		value := append(append([]byte{0x2a}, varint(len(inner))...), inner...)
		entry := append([]byte{0x0a, 0x01, 'a', 0x12}, append(varint(len(value)), value...)...)
		inner = append(append([]byte{0x0a}, varint(len(entry))...), entry...)
	}
	return append(varint(len(inner)), inner...)
}

func varint(n int) []byte {
	var out []byte
	for ; n > 127; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

func TestADescriptorSetThatCannotBeUsedSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		set     []byte
		message string
		want    string
	}{
		"no set":     {[]byte("syntax = \"proto3\";"), "shop.Order", "not a descriptor set"},
		"empty":      {nil, "shop.Order", "not a descriptor set"},
		"no message": {sample(t, "shop.pb"), "shop.Ordre", `no message "shop.Ordre"; it has`},
		"an enum":    {sample(t, "shop.pb"), "shop.Status", "no message"},
	} {
		if _, err := New(c.set, c.message); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	decoder := orders(f)
	f.Add(sample(f, "order.protobuf"))
	f.Add([]byte("\x62" + string(nested(20))))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if doc, failure := decoder.Decode(payload); failure == nil && !json.Valid(doc) {
			t.Fatalf("%x became %s", payload, doc)
		}
	})
}
