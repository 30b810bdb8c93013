package unpack_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"ddpm/engine/internal/formats/unpack"
)

const limit = 1 << 20

var text = []byte(strings.Repeat(`{"a":1}`, 1000))

type method struct{ name, form string }

// packed compresses with every method, in every form it has.
func packed(t testing.TB, content []byte) map[method][]byte {
	t.Helper()
	var gz, zl, lz, framed bytes.Buffer
	gzipWriter, lzWriter, framedWriter := gzip.NewWriter(&gz), lz4.NewWriter(&lz), snappy.NewBufferedWriter(&framed)
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{gzipWriter, zlib.NewWriter(&zl), lzWriter, framedWriter} {
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
		{unpack.Zlib, ""}:         zl.Bytes(),
		{unpack.LZ4, "Java"}:      jpountz(content),
		{unpack.LZ4, "block"}:     append(binary.LittleEndian.AppendUint32(nil, uint32(len(content))), lz4Block(t, content)...),
		{unpack.Snappy, "xerial"}: xerial(content),
		{unpack.Zstd, ""}:         zstdWriter.EncodeAll(content, nil),
		{unpack.LZ4, ""}:          lz.Bytes(),
		{unpack.Snappy, "framed"}: framed.Bytes(),
		{unpack.Snappy, "block"}:  snappy.Encode(nil, content),
	}
}

const most = 32 << 10

// xerial writes what Java's SnappyOutputStream does.
func xerial(content []byte) []byte {
	out := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
	for part := range slices.Chunk(content, most) {
		packed := snappy.Encode(nil, part)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(packed))), packed...)
	}
	return out
}

// jpountz writes what Java's LZ4BlockOutputStream does, without its checksums; every other block is stored as it is.
func jpountz(content []byte) []byte {
	var out []byte
	add := func(token byte, packed []byte, size int) {
		out = append(append(out, "LZ4Block"...), token)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(packed)))
		out = append(binary.LittleEndian.AppendUint32(out, uint32(size)), 0, 0, 0, 0)
		out = append(out, packed...)
	}
	packs := true
	for part := range slices.Chunk(content, most) {
		packed := make([]byte, lz4.CompressBlockBound(len(part)))
		if n, err := lz4.CompressBlock(part, packed, nil); err == nil && n > 0 && packs {
			add(0x25, packed[:n], len(part))
		} else {
			add(0x15, part, len(part))
		}
		packs = !packs
	}
	add(0x15, nil, 0)
	return out
}

func lz4Block(t testing.TB, content []byte) []byte {
	t.Helper()
	packed := make([]byte, lz4.CompressBlockBound(len(content)))
	n, err := lz4.CompressBlock(content, packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return packed[:n]
}

func TestABlockGetsNoMemoryForALengthThatItCannotHave(t *testing.T) {
	const claimed = 64 << 20
	length := binary.LittleEndian.AppendUint32(nil, claimed)
	java := append([]byte("LZ4Block\x20\x01\x00\x00\x00"), length...)
	for _, payload := range [][]byte{append(length, 0), append(java, 0, 0, 0, 0, 0)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, failure := unpack.Record(payload, unpack.LZ4, claimed)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; failure == nil || grown > claimed/2 {
			t.Errorf("%q: %d bytes, %v", payload, grown, failure)
		}
	}
}

func TestALongWindowIsNamedAndReadOnceTheLimitAllowsIt(t *testing.T) {
	var packed bytes.Buffer
	writer, err := zstd.NewWriter(&packed, zstd.WithWindowSize(16<<20))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{text, text} {
		_, _ = writer.Write(part)
		_ = writer.Flush()
	}
	_ = writer.Close()
	_, failure := unpack.Record(packed.Bytes(), unpack.Zstd, limit)
	if failure == nil || failure.Code != "too_large" || !strings.Contains(failure.Message, "window is too long: 16777216 bytes, where 8388608") ||
		!strings.Contains(failure.Message, "source.max_decompressed") {
		t.Errorf("got %v", failure)
	}
	if got, failure := unpack.Record(packed.Bytes(), unpack.Zstd, 16<<20); failure != nil || len(got) != 2*len(text) {
		t.Errorf("%d bytes, %v", len(got), failure)
	}
}

func TestAFormOfCompressionThatIsNotTheConfiguredOneIsNamed(t *testing.T) {
	gz := packed(t, text)[method{unpack.Gzip, ""}]
	for _, c := range []struct {
		payload      []byte
		method, want string
	}{
		{gz, unpack.Zstd, "it begins like gzip"},
		{[]byte("BZh91AY&SY"), unpack.Gzip, "it begins like bzip2"},
		{[]byte("\xfd7zXZ\x00\x00"), unpack.Snappy, "it begins like xz"},
		{lz4Block(t, text), unpack.LZ4, "blocks of LZ4 can be read in frames"},
	} {
		if _, failure := unpack.Record(c.payload, c.method, limit); failure == nil || !strings.Contains(failure.Message, c.want) {
			t.Errorf("%s: %v, want %s", c.method, failure, c.want)
		}
	}
	for _, plain := range []string{"x^2 + y^2", "x\x9c is no zlib"} {
		if got, failure := unpack.Record([]byte(plain), unpack.Auto, limit); failure != nil || string(got) != plain {
			t.Errorf("text that begins like zlib: %q %v", got, failure)
		}
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
		if m.name == unpack.LZ4 && m.form == "block" {
			// Only unpacking proves that such a record is a block at all.
			if failure == nil || failure.Code != "not_compressed" {
				t.Errorf("%s: %d bytes, %v", m, len(got), failure)
			}
			continue
		}
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
