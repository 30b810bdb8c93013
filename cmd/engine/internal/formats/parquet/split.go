package parquet

import (
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// splitEncoding stands for BYTE_STREAM_SPLIT of values that are not floats, which the library does not read and for
// which it lets nobody else stand in. It is a number that the format does not use.
const splitEncoding format.Encoding = 60

func init() { parquet.RegisterEncoding(splitReader{}) }

// readsSplit reports whether pages of a physical type in BYTE_STREAM_SPLIT are ours to read.
func readsSplit(kind format.Type) bool {
	return kind == format.Int32 || kind == format.Int64 || kind == format.FixedLenByteArray
}

// splitReader puts values together whose first bytes stand first, then their second bytes, and so on:
// https://github.com/apache/parquet-format/blob/master/Encodings.md#byte-stream-split-byte_stream_split--9
type splitReader struct {
	encoding.NotSupported
}

func (splitReader) String() string { return "BYTE_STREAM_SPLIT" }

func (splitReader) Encoding() format.Encoding { return splitEncoding }

func (splitReader) CanDecodeInPlace() bool { return false }

func (e splitReader) DecodeInt32(_ []int32, src []byte) ([]int32, error) {
	return joined[int32](e, "INT32", src)
}

func (e splitReader) DecodeInt64(_ []int64, src []byte) ([]int64, error) {
	return joined[int64](e, "INT64", src)
}

func (e splitReader) DecodeFixedLenByteArray(_ []byte, src []byte, size int) ([]byte, error) {
	if size <= 0 || len(src)%size != 0 {
		return nil, encoding.ErrDecodeInvalidInputSize(e, "FIXED_LEN_BYTE_ARRAY", len(src))
	}
	dst := make([]byte, len(src))
	join(dst, src, size)
	return dst, nil
}

func joined[T int32 | int64](e splitReader, kind string, src []byte) ([]T, error) {
	size := int(unsafe.Sizeof(T(0)))
	if len(src)%size != 0 {
		return nil, encoding.ErrDecodeInvalidInputSize(e, kind, len(src))
	}
	count := len(src) / size
	dst := make([]T, count)
	for i := range dst {
		var bits uint64
		for part := range size {
			bits |= uint64(src[part*count+i]) << (8 * part)
		}
		dst[i] = T(bits)
	}
	return dst, nil
}

func join(dst, src []byte, size int) {
	count := len(src) / size
	for i := range count {
		for part := range size {
			dst[i*size+part] = src[part*count+i]
		}
	}
}

// markSplit puts our number for BYTE_STREAM_SPLIT into a page's header, whose length stays the same.
func markSplit(header []byte) bool {
	const split, ours = byte(format.ByteStreamSplit) << 1, byte(splitEncoding) << 1
	for _, path := range [][]int64{{5, 2}, {8, 4}} {
		scan := scanner{data: header}
		if scan.find(path...) && scan.err == nil && scan.at < len(header) && header[scan.at] == split {
			header[scan.at] = ours
			return true
		}
	}
	return false
}
