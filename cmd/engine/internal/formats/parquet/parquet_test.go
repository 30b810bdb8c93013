package parquet

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"ddpm/engine/internal/records/reason"
)

const firstRow = `{"id":9223372036854775807,"huge":18446744073709551615,"amount":-12345678901234567890.1234,"price":-19.90,` +
	`"created_at":"2026-11-23T04:05:06.789123Z","nanos":"2026-11-23T04:05:06.789123Z",` +
	`"local_at":"2026-11-23T04:05:06.789000","day":"2026-11-23","clock":"04:05:06.789123","raw":"\\x00ff",` +
	`"key":"0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70","note":"naïve","small":-7,"ratio":0.10000000149011612,"paid":true,` +
	`"tags":["a",null,"b"],"lines":[{"sku":"x","count":1,"tags":["p","q"]},{"sku":"y","count":null,"tags":null}],` +
	`"place":{"x":1,"y":null},"counts":{"a":1,"b":null},"nested":[[1,2],[]]}`

var nestedParts = []string{
	"",
	`"tags":[],"lines":[],"place":null,"counts":{},"nested":[null]}`,
	`"tags":null,"lines":null,"place":{"x":2,"y":3},"counts":null,"nested":[]}`,
	`"tags":["c"],"lines":[{"sku":"z","count":2,"tags":[]}],"place":null,"counts":{},"nested":null}`,
	`"tags":["d"],"lines":[{"sku":"z","count":2,"tags":[]}],"place":null,"counts":{},"nested":[[3]]}`,
}

func sample(t testing.TB, codec string) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/orders_" + codec + ".parquet")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// small returns a file with a row of each shape: plain, optional, repeated.
func small(t testing.TB, codec compress.Codec) []byte {
	t.Helper()
	type line struct {
		N    int64    `parquet:"n"`
		Note *string  `parquet:"note,optional"`
		Tags []string `parquet:"tags"`
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[line](&file, parquet.Compression(codec))
	if _, err := w.Write([]line{{N: 1, Tags: []string{"a", "b"}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func rows(payload []byte) (docs []string, whole *reason.Reason) {
	whole = Read(payload, func(doc []byte, failure *reason.Reason) bool {
		docs = append(docs, string(doc))
		return true
	})
	return docs, whole
}

func TestFilesOfAnotherWriterKeepTheirValuesInEveryCodec(t *testing.T) {
	for _, codec := range []string{"none", "snappy", "gzip", "zstd"} {
		docs, whole := rows(sample(t, codec))
		if whole != nil || len(docs) != 5 {
			t.Fatalf("%s: %d rows, %v", codec, len(docs), whole)
		}
		if docs[0] != firstRow {
			t.Fatalf("%s:\ngot  %s\nwant %s", codec, docs[0], firstRow)
		}
		for i, part := range nestedParts {
			if !strings.HasSuffix(docs[i], part) {
				t.Errorf("%s, row %d: got %s\nwant …%s", codec, i, docs[i], part)
			}
		}
	}
}

// odd are the rows of the files that write_odd_parquet of make_samples.py makes.
var odd = []string{
	`{"narrow":1,"wide":4611686018427387904,"fixed":"\\x61626364","amount":1.25,"half":1.5}`,
	`{"narrow":-2,"wide":-3,"fixed":null,"amount":null,"half":-2}`,
	`{"narrow":null,"wide":4,"fixed":"\\x7778797a","amount":-0.01,"half":null}`,
}

func TestOddFilesOfAnotherWriterAreRead(t *testing.T) {
	for name, want := range map[string][]string{
		"no_rows": nil, "empty_group": append(odd, odd...), "split_v1": odd, "split_v2": odd,
		"half": {
			`{"half":1.5,"list":[0.5,null]}`, `{"half":-2,"list":null}`, `{"half":65504,"list":[]}`, `{"half":5.960464477539063e-08,"list":[2]}`,
			`{"half":"NaN","list":[-0]}`, `{"half":"-Infinity","list":[1]}`,
		},
	} {
		payload, err := os.ReadFile("../testdata/" + name + ".parquet")
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(payload)
		if docs, whole := rows(payload); whole != nil || !slices.Equal(docs, want) {
			t.Errorf("%s: got %s %v, want %s", name, docs, whole, want)
		}
		if !bytes.Equal(payload, before) {
			t.Errorf("%s: the record's bytes were changed", name)
		}
	}
}

func TestAnEncodingThatCannotBeReadIsNamed(t *testing.T) {
	payload, err := os.ReadFile("../testdata/split_v1.parquet")
	if err != nil {
		t.Fatal(err)
	}
	// In the file's pages, BYTE_STREAM_SPLIT (9) of the field 2 behind the number of values becomes DELTA_BYTE_ARRAY (7).
	broken := bytes.Replace(payload, []byte{0x15, 6, 0x15, 18}, []byte{0x15, 6, 0x15, 14}, 1)
	_, whole := rows(broken)
	if whole == nil || !strings.Contains(whole.Message, "DELTA_BYTE_ARRAY of INT32") {
		t.Errorf("got %v", whole)
	}
}

func TestReadingStopsWhenItIsToldTo(t *testing.T) {
	seen := 0
	whole := Read(sample(t, "none"), func([]byte, *reason.Reason) bool { seen++; return seen < 2 })
	if seen != 2 || whole != nil {
		t.Fatalf("%d rows, %v", seen, whole)
	}
}

func TestATruncatedFileIsReportedWherever(t *testing.T) {
	payload := sample(t, "snappy")
	for end := 0; end < len(payload); end += 7 {
		if _, whole := rows(payload[:end]); whole == nil {
			t.Fatalf("cut after byte %d: no failure", end)
		}
	}
}

func TestWhatIsNoFileHasItsReason(t *testing.T) {
	for name, c := range map[string]struct{ payload, code, message string }{
		"empty":           {"", codeEmpty, "empty message"},
		"JSON":            {`{"a":1}`, codeNotParquet, "begins and ends with PAR1"},
		"lying footer":    {"PAR1\xff\xff\xff\x7fPAR1", codeNotParquet, "footer of 2147483647 bytes"},
		"no footer":       {"PAR1\x00\x00\x00\x00PAR1", codeNotParquet, "footer"},
		"endless list":    {"PAR1\x29\xfc\xff\xff\xff\xff\x07\x00\x08\x00\x00\x00PAR1", codeNotParquet, "a list of 2147483647 items"},
		"footer too deep": {"PAR1" + strings.Repeat("\x1c", 256) + "\x00\x01\x00\x00PAR1", codeNotParquet, "nested too deep"},
	} {
		_, whole := rows([]byte(c.payload))
		if whole == nil || whole.Code != c.code || !strings.Contains(whole.Message, c.message) {
			t.Errorf("%s: %v", name, whole)
		}
	}
}

func TestFlippedBytesNeitherPanicNorTakeMuchMemory(t *testing.T) {
	for _, codec := range []string{"none", "zstd"} {
		payload := sample(t, codec)
		var before, after runtime.MemStats
		for at := 0; at < len(payload); at += 13 {
			broken := bytes.Clone(payload)
			broken[at] ^= 0xff
			runtime.ReadMemStats(&before)
			docs, _ := rows(broken)
			runtime.ReadMemStats(&after)
			if taken := after.TotalAlloc - before.TotalAlloc; taken > 64<<20 {
				t.Errorf("%s, byte %d: %d MiB taken", codec, at, taken>>20)
			}
			for _, doc := range docs {
				if doc != "" && !json.Valid([]byte(doc)) {
					t.Fatalf("%s, byte %d: %s", codec, at, doc)
				}
			}
		}
	}
}

// FuzzRead begins with files of a few hundred bytes: Go's fuzzer shrinks what it finds byte by byte, which takes it a
// minute for each find among files of some kilobytes.
func FuzzRead(f *testing.F) {
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd} {
		f.Add(small(f, codec))
	}
	split, err := os.ReadFile("../testdata/split_v1.parquet")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(split)
	f.Fuzz(func(t *testing.T, payload []byte) {
		Read(payload, func(doc []byte, failure *reason.Reason) bool {
			if failure == nil && !json.Valid(doc) {
				t.Fatalf("a row became %s", doc)
			}
			return true
		})
	})
}
