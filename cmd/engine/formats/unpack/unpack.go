// Package unpack decompresses records before they are parsed, up to a limit, so that a small record
// cannot fill the memory.
package unpack

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"ddpm/engine/reason"
)

// The methods of compression; Auto goes by a record's first bytes, and takes one of none of them as it is.
const (
	Auto   = "auto"
	Gzip   = "gzip"
	Zstd   = "zstd"
	LZ4    = "lz4"
	Snappy = "snappy"
)

// Codes of the reasons for which a record cannot be decompressed.
const (
	codeEmpty   = "empty"
	codeBroken  = "not_compressed"
	codeTooMuch = "too_large"
)

// Frames' first bytes: RFC 1952, RFC 8878, the LZ4 frame format 1.6 and Snappy's framing format. A block
// of Snappy without a frame has none.
var magics = map[string][]byte{
	Gzip:   {0x1f, 0x8b},
	Zstd:   {0x28, 0xb5, 0x2f, 0xfd},
	LZ4:    {0x04, 0x22, 0x4d, 0x18},
	Snappy: []byte("\xff\x06\x00\x00sNaPpY"),
}

var errTooMuch = errors.New("too much")

// Record returns a record's content.
func Record(payload []byte, method string, limit int64) ([]byte, *reason.Reason) {
	if method == Auto {
		if method = methodOf(payload); method == "" {
			return payload, nil
		}
	}
	if len(payload) == 0 {
		return nil, failed(codeEmpty, "empty message: there is nothing to decompress")
	}
	content, err := decompress(payload, method, limit)
	switch {
	case errors.Is(err, errTooMuch):
		return nil, failed(codeTooMuch, fmt.Sprintf("%d bytes of %s hold more than the limit of %d bytes", len(payload), method, limit))
	case err != nil:
		return nil, failed(codeBroken, fmt.Sprintf("not %s: %s", method, err))
	}
	return content, nil
}

func methodOf(payload []byte) string {
	for method, magic := range magics {
		if bytes.HasPrefix(payload, magic) {
			return method
		}
	}
	return ""
}

func decompress(payload []byte, method string, limit int64) ([]byte, error) {
	in := bytes.NewReader(payload)
	switch method {
	case Gzip:
		reader, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		return limited(reader, limit)
	case Zstd:
		reader, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(uint64(limit)+1))
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		content, err := limited(reader, limit)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
			err = errTooMuch
		}
		return content, err
	case LZ4:
		return limited(lz4.NewReader(in), limit)
	}
	if bytes.HasPrefix(payload, magics[Snappy]) {
		return limited(snappy.NewReader(in), limit)
	}
	size, err := snappy.DecodedLen(payload)
	if err == nil && int64(size) > limit {
		err = errTooMuch
	}
	if err != nil {
		return nil, err
	}
	return snappy.Decode(nil, payload)
}

func limited(reader io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = errTooMuch
	}
	return content, err
}

func failed(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, message)
}
