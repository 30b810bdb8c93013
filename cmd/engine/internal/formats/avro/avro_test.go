package avro

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"ddpm/engine/internal/records/reason"
)

const orderDocument = `{"id":9223372036854775807,"amount":-12345678901234567890.1234,"price":-19.90,` +
	`"created_at":"2026-11-23T04:05:06.789123Z","seen_at":"2026-11-23T04:05:06.789000Z",` +
	`"local_at":"2026-11-23T04:05:06.789123","day":"2026-11-23","clock":"04:05:06.789123",` +
	`"key":"0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70","raw":"\\x00ff","note":"naïve","status":"OPEN","counts":{"a":1},` +
	`"lines":[{"sku":"x","ratio":0.1},{"sku":"y","ratio":"NaN"}],"first":null,"paid":true,"weight":0.10000000149011612}`

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(payload []byte) (docs []string, failures []*reason.Reason, whole *reason.Reason) {
	whole = ReadContainer(payload, func(doc []byte, failure *reason.Reason) bool {
		docs, failures = append(docs, string(doc)), append(failures, failure)
		return true
	})
	return docs, failures, whole
}

func TestFilesOfAnotherWriterKeepTheirValuesInEveryCodec(t *testing.T) {
	for _, codec := range []string{"null", "deflate", "snappy", "zstandard"} {
		docs, failures, whole := read(sample(t, "orders_"+codec+".avro"))
		if whole != nil || len(docs) != 5 {
			t.Fatalf("%s: %d documents, %v", codec, len(docs), whole)
		}
		if docs[0] != orderDocument || failures[0] != nil {
			t.Fatalf("%s: got  %s\nwant %s", codec, docs[0], orderDocument)
		}
		if !strings.Contains(docs[1], `"first":{"sku":"z","ratio":-1.5}`) || !strings.Contains(docs[1], `"note":null`) {
			t.Fatalf("%s: %s", codec, docs[1])
		}
	}
}

func TestATruncatedFileIsReportedWherever(t *testing.T) {
	for _, codec := range []string{"null", "deflate", "snappy", "zstandard"} {
		payload := sample(t, "orders_"+codec+".avro")
		complete, _, _ := read(payload)
		for end := range payload {
			docs, _, whole := read(payload[:end])
			if whole == nil && len(docs) > 0 && docs[len(docs)-1] != complete[len(docs)-1] {
				t.Fatalf("%s cut after byte %d: a wrong document", codec, end)
			}
			if whole == nil && len(docs) == len(complete) {
				t.Fatalf("%s cut after byte %d: no failure", codec, end)
			}
		}
	}
}

func TestADatumNeedsItsOwnSchema(t *testing.T) {
	schema, err := Compile(append([]byte("\uFEFF"), sample(t, "order.avsc")...))
	if err != nil {
		t.Fatal(err)
	}
	payload := sample(t, "order.datum")
	if got, failure := schema.Datum(payload); failure != nil || string(got) != orderDocument {
		t.Fatalf("got %s %v", got, failure)
	}
	if _, failure := schema.Datum(append(payload, 0)); failure == nil || !strings.Contains(failure.Message, "1 bytes after") {
		t.Fatalf("%v", failure)
	}
	for end := range payload {
		if _, failure := schema.Datum(payload[:end]); failure == nil {
			t.Fatalf("cut after byte %d: no failure", end)
		}
	}
}

func TestSchemasThatCannotBeUsedSayWhy(t *testing.T) {
	for text, want := range map[string]string{
		``:                                      `no type ""`,
		`{"type": "record"`:                     "no type",
		`"shop.Order"`:                          `the schema has no type "shop.Order"`,
		`{"type": 3}`:                           "3 is not a type",
		`{"type": "array"}`:                     "a type is missing",
		`{"type":"fixed","name":"F","size":-1}`: "size -1",
		`{"type":"bytes","logicalType":"decimal","scale":99999999}`:                          "scale 99999999",
		`{"type":"record","name":"R","fields":[{"name":"a","type":"lnog"}]}`:                 `field a of R: the schema has no type "lnog"`,
		strings.Repeat(`{"type":"array","items":`, 600) + `"int"` + strings.Repeat("}", 600): "nested deeper",
	} {
		if _, err := Compile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func TestNamesAreFoundInNamespacesReferencesAndThemselves(t *testing.T) {
	reference := []byte(`{"type":"enum","name":"Color","namespace":"base","symbols":["RED","BLUE"]}`)
	schema, err := Compile([]byte(`{"type":"record","name":"a.b.Tree","fields":[
		{"name":"color","type":"base.Color"},{"name":"size","type":{"type":"fixed","name":"Two","size":2}},
		{"name":"again","type":"a.b.Two"},{"name":"next","type":["null","Tree"]}]}`), reference)
	if err != nil {
		t.Fatal(err)
	}
	got, failure := schema.Datum([]byte{2, 1, 2, 3, 4, 2, 0, 5, 6, 7, 8, 0})
	const want = `{"color":"BLUE","size":"\\x0102","again":"\\x0304","next":` +
		`{"color":"RED","size":"\\x0506","again":"\\x0708","next":null}}`
	if failure != nil || string(got) != want {
		t.Fatalf("got %s %v", got, failure)
	}
}

func TestAttributesOfOthersAreOfNoConcern(t *testing.T) {
	schema, err := Compile([]byte(`{"type":"record","name":"a.R","Name":"b.S","Fields":7,"NAMESPACE":1,"fields":[
		{"name":"plain","Name":"Other","Type":"bytes","type":{"type":"string","size":"36","symbols":1,"fields":"x","name":5,"namespace":7}},
		{"name":"list","type":{"type":"array","name":"c.L","namespace":"c","items":"Two","Items":"int"}},
		{"name":"day","type":{"type":"int","LogicalType":"date","logicaltype":"date","scale":"2"}},
		{"name":"sum","type":{"type":"bytes","logicalType":"decimal","Scale":9,"scale":1,"precision":"many"}}]}`),
		[]byte(`{"type":"fixed","name":"Two","namespace":"a","size":2,"Size":"9"}`))
	if err != nil {
		t.Fatal(err)
	}
	got, failure := schema.Datum([]byte("\x02x\x02ab\x00\x02\x02\x0f"))
	if want := `{"plain":"x","list":["\\x6162"],"day":1,"sum":1.5}`; failure != nil || string(got) != want {
		t.Fatalf("got %s %v, want %s", got, failure, want)
	}
	for text, want := range map[string]string{
		`{"type":"fixed","name":"F","size":"36"}`:              `"36" is no size`,
		`{"type":"enum","name":"E","symbols":1}`:               `1 is no symbols`,
		`{"type":"bytes","logicalType":"decimal","scale":"2"}`: `"2" is no scale`,
		`{"type":"record","name":"R","fields":[{"name":7}]}`:   `7 is no name`,
	} {
		if _, err := Compile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// container writes an uncompressed file of one block.
func container(schema string, count int64, block []byte) []byte {
	const sync = "0123456789abcdef"
	file := append([]byte(magic), 2)
	for _, text := range []string{"avro.schema", schema} {
		file = append(binary.AppendVarint(file, int64(len(text))), text...)
	}
	file = append(append(file, 0), sync...)
	file = binary.AppendVarint(file, count)
	file = append(binary.AppendVarint(file, int64(len(block))), block...)
	return append(file, sync...)
}

func TestABadValueCostsItsRecordOnly(t *testing.T) {
	docs, failures, whole := read(container(`"string"`, 3, []byte("\x02a\x02\xff\x02c")))
	if whole != nil || len(docs) != 3 || docs[0] != `"a"` || docs[2] != `"c"` {
		t.Fatalf("%v %v", docs, whole)
	}
	if failures[1] == nil || failures[1].Code != codeUTF8 || failures[0] != nil || failures[2] != nil {
		t.Fatalf("%v", failures)
	}
	_, failures, _ = read(container(`{"type":"long","logicalType":"timestamp-millis"}`, 1, binary.AppendVarint(nil, 1<<62)))
	if failures[0] == nil || failures[0].Code != codeValue {
		t.Fatalf("%v", failures)
	}
}

func TestWhatIsNoFileHasItsReason(t *testing.T) {
	nulls := `{"type":"array","items":"null"}`
	tree := `{"type":"record","name":"T","fields":[{"name":"t","type":["null","T"]}]}`
	for name, c := range map[string]struct {
		payload []byte
		code    string
		message string
	}{
		"empty":             {nil, codeEmpty, "empty message"},
		"JSON":              {[]byte(`{"a":1}`), codeNotAvro, `begins with "Obj\x01"`},
		"wrong sync":        {append(container(`"int"`, 1, []byte{2})[:70], make([]byte, 40)...), codeNotAvro, "not Avro"},
		"no schema":         {append([]byte(magic), make([]byte, 17)...), codeNotAvro, "no schema"},
		"too many records":  {container(`"null"`, 1<<40, nil), codeLarge, "more than 1000000 records"},
		"too many items":    {container(nulls, 1, binary.AppendVarint(nil, 1<<40)), codeLarge, "larger than 64 MiB"},
		"least item count":  {container(nulls, 1, append(binary.AppendVarint(nil, -1<<63), 0)), codeNotAvro, "items"},
		"too deep":          {container(tree, 1, []byte(strings.Repeat("\x02", 1000))), codeNotAvro, "nested deeper"},
		"negative count":    {container(`"int"`, -5, []byte{2}), codeNotAvro, "more than its records"},
		"bytes left over":   {container(`"int"`, 1, []byte{2, 2}), codeNotAvro, "more than its records"},
		"no such branch":    {container(`["null"]`, 1, []byte{4}), codeNotAvro, "2 at byte 0 is none of the 1 branches"},
		"int of more bits":  {container(`"int"`, 1, binary.AppendVarint(nil, 1<<40)), codeNotAvro, "not an int of 32 bits"},
		"length that lies":  {container(`"bytes"`, 1, binary.AppendVarint(nil, 1<<60)), codeNotAvro, "a length of"},
		"boolean of seven":  {container(`"boolean"`, 1, []byte{7}), codeNotAvro, "not a boolean"},
		"schema of nothing": {container(`{}`, 1, nil), codeNotAvro, "a type is missing"},
	} {
		_, _, whole := read(c.payload)
		if whole == nil || whole.Code != c.code || !strings.Contains(whole.Message, c.message) {
			t.Errorf("%s: %v", name, whole)
		}
	}
}

func FuzzReadContainer(f *testing.F) {
	for _, codec := range []string{"null", "deflate", "snappy", "zstandard"} {
		f.Add(sample(f, "orders_"+codec+".avro"))
	}
	f.Add(container(`{"type":"map","values":["null",{"type":"fixed","name":"D","size":12,"logicalType":"duration"}]}`, 1, []byte{0}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		ReadContainer(payload, func(doc []byte, failure *reason.Reason) bool {
			if failure == nil && !json.Valid(doc) {
				t.Fatalf("%x became %s", payload, doc)
			}
			return true
		})
	})
}
