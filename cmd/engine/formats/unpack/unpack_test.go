package unpack_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"ddpm/engine/formats/unpack"
)

const limit = 1 << 20

var text = []byte(strings.Repeat(`{"a":1}`, 1000))

type method struct{ name, form string }

// packed compresses with every method, in every form it has.
func packed(t testing.TB, content []byte) map[method][]byte {
	t.Helper()
	var gz, lz, framed bytes.Buffer
	gzipWriter, lzWriter, framedWriter := gzip.NewWriter(&gz), lz4.NewWriter(&lz), snappy.NewBufferedWriter(&framed)
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{gzipWriter, lzWriter, framedWriter} {
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	zstdWriter, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[method][]byte{
		{unpack.Gzip, ""}:         gz.Bytes(),
		{unpack.Zstd, ""}:         zstdWriter.EncodeAll(content, nil),
		{unpack.LZ4, ""}:          lz.Bytes(),
		{unpack.Snappy, "framed"}: framed.Bytes(),
		{unpack.Snappy, "block"}:  snappy.Encode(nil, content),
	}
}

func TestContentComesBack(t *testing.T) {
	for m, payload := range packed(t, text) {
		got, failure := unpack.Record(payload, m.name, limit)
		if failure != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v", m, len(got), failure)
		}
		if m.form == "block" {
			continue
		}
		if got, failure := unpack.Record(payload, unpack.Auto, limit); failure != nil || !bytes.Equal(got, text) {
			t.Errorf("%s is not recognized: %d bytes, %v", m, len(got), failure)
		}
	}
	if got, failure := unpack.Record(text, unpack.Auto, limit); failure != nil || !bytes.Equal(got, text) {
		t.Errorf("plain text: %d bytes, %v", len(got), failure)
	}
}

func TestABombIsStopped(t *testing.T) {
	for m, payload := range packed(t, make([]byte, 64<<20)) {
		got, failure := unpack.Record(payload, m.name, limit)
		if failure == nil || failure.Code != "too_large" || !strings.Contains(failure.Message, "limit of 1048576 bytes") {
			t.Errorf("%s: %d bytes, %v", m, len(got), failure)
		}
	}
	for m, payload := range packed(t, make([]byte, limit)) {
		if got, failure := unpack.Record(payload, m.name, limit); failure != nil || len(got) != limit {
			t.Errorf("%s, just the limit: %d bytes, %v", m, len(got), failure)
		}
	}
}

func TestWhatIsCutOrForeignHasItsReason(t *testing.T) {
	for m, payload := range packed(t, text) {
		for name, broken := range map[string][]byte{"cut": payload[:len(payload)-3], "foreign": []byte("\x00hello"), "empty": nil} {
			want := map[bool]string{true: "empty", false: "not_compressed"}[name == "empty"]
			if _, failure := unpack.Record(broken, m.name, limit); failure == nil || failure.Code != want {
				t.Errorf("%s, %s: %v", m, name, failure)
			}
		}
	}
}

func FuzzRecord(f *testing.F) {
	for m, payload := range packed(f, text) {
		f.Add(payload, m.name)
	}
	f.Fuzz(func(t *testing.T, payload []byte, method string) {
		if got, failure := unpack.Record(payload, method, limit); failure == nil && len(got) > limit && method != unpack.Auto {
			t.Fatalf("%d bytes", len(got))
		}
	})
}
