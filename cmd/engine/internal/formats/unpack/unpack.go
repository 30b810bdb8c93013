// Package unpack decompresses records before they are parsed, up to a limit, so that a small record
// cannot fill the memory.
package unpack

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"ddpm/engine/internal/records/reason"
)

// The methods of compression; Auto goes by a record's first bytes, and takes one of none of them as it is.
const (
	Auto   = "auto"
	Gzip   = "gzip"
	Zlib   = "zlib"
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

// Frames' first bytes: RFC 1952, RFC 8878, the LZ4 frame format 1.6, Snappy's framing format, and what Java's libraries for
// Snappy (xerial) and LZ4 (jpountz) write. A block of Snappy or LZ4 without a frame has none.
const (
	gzipMagic    = "\x1f\x8b"
	zstdMagic    = "\x28\xb5\x2f\xfd"
	lz4Magic     = "\x04\x22\x4d\x18"
	snappyMagic  = "\xff\x06\x00\x00sNaPpY"
	xerialMagic  = "\x82SNAPPY\x00"
	jpountzMagic = "LZ4Block"
)

var magics = []struct{ magic, method string }{
	{gzipMagic, Gzip}, {zstdMagic, Zstd}, {lz4Magic, LZ4}, {jpountzMagic, LZ4}, {snappyMagic, Snappy}, {xerialMagic, Snappy},
}

// commonWindow is what every reader of zstd should take (RFC 8878); its default levels use up to that.
const commonWindow = 8 << 20

// foreign are the first bytes of what cannot be read here, so that a reason can name it.
var foreign = []struct{ magic, method string }{
	{"BZh", "bzip2"}, {"\xfd7zXZ\x00", "xz"}, {"PK\x03\x04", "a zip file"}, {"\x02\x21\x4c\x18", "LZ4's legacy frames"},
}

var (
	errTooMuch = errors.New("too much")
	errWindow  = errors.New("its window is too long")
	errCut     = errors.New("it is cut off, or its lengths are wrong")
)

// Record returns a record's content.
func Record(payload []byte, method string, limit int64) ([]byte, *reason.Reason) {
	if method == Auto {
		return automatic(payload, limit)
	}
	if len(payload) == 0 {
		return nil, failed(codeEmpty, "empty message: there is nothing to decompress")
	}
	content, err := decompress(payload, method, limit)
	switch {
	case errors.Is(err, errTooMuch):
		return nil, failed(codeTooMuch, fmt.Sprintf("%d bytes of %s hold more than the limit of %d bytes", len(payload), method, limit))
	case errors.Is(err, errWindow):
		return nil, failed(codeTooMuch, fmt.Sprintf("not read as zstd: %s", err))
	case err != nil:
		return nil, failed(codeBroken, fmt.Sprintf("not %s: %s%s", method, err, looks(payload, method)))
	}
	return content, nil
}

// automatic believes first bytes that no text has; those of zlib may be a text's, so its checksum has to agree, too.
func automatic(payload []byte, limit int64) ([]byte, *reason.Reason) {
	method := methodOf(payload)
	if method != Zlib {
		if method == "" {
			return payload, nil
		}
		return Record(payload, method, limit)
	}
	content, failure := Record(payload, Zlib, limit)
	if failure != nil && failure.Code == codeBroken {
		return payload, nil
	}
	return content, failure
}

func methodOf(payload []byte) string {
	for _, known := range magics {
		if bytes.HasPrefix(payload, []byte(known.magic)) {
			return known.method
		}
	}
	if isZlib(payload) {
		return Zlib
	}
	return ""
}

// isZlib reports whether a text begins as RFC 1950 wants it: deflate, with a checksum of the two bytes.
func isZlib(payload []byte) bool {
	return len(payload) > 2 && payload[0] == 0x78 && (uint(payload[0])<<8|uint(payload[1]))%31 == 0 && payload[1]&0x20 == 0
}

// looks says what a record that is not of its method seems to be.
func looks(payload []byte, method string) string {
	found := methodOf(payload)
	for _, known := range foreign {
		if bytes.HasPrefix(payload, []byte(known.magic)) {
			found = known.method
		}
	}
	switch {
	case found != "" && found != method:
		return "; it begins like " + found
	case method == LZ4 && found == "":
		return "; blocks of LZ4 can be read in frames, or behind their length in four bytes"
	}
	return ""
}

func decompress(payload []byte, method string, limit int64) ([]byte, error) {
	in := bytes.NewReader(payload)
	switch method {
	case Gzip, Zlib:
		return inflate(in, isZlib(payload), limit)
	case Zstd:
		window := max(limit, commonWindow)
		if err := checkWindow(payload, window); err != nil {
			return nil, err
		}
		reader, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(uint64(window)+1))
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
		return unlz4(payload, limit)
	}
	return unsnap(payload, limit)
}

// inflate reads the two containers of deflate, whichever a record has.
func inflate(in io.Reader, bare bool, limit int64) ([]byte, error) {
	var reader io.Reader
	var err error
	if bare {
		reader, err = zlib.NewReader(in)
	} else {
		reader, err = gzip.NewReader(in)
	}
	if err != nil {
		return nil, err
	}
	return limited(reader, limit)
}

// checkWindow distinguishes a frame that wants too much memory for looking back from one that holds too much.
func checkWindow(payload []byte, most int64) error {
	var header zstd.Header
	if err := header.Decode(payload); err != nil || header.SingleSegment || header.WindowSize <= uint64(most) {
		return nil
	}
	return fmt.Errorf("%w: %d bytes, where %d are the most: set source.max_decompressed to them, or compress without long windows "+
		"(zstd --long)", errWindow, header.WindowSize, most)
}

func unlz4(payload []byte, limit int64) ([]byte, error) {
	if bytes.HasPrefix(payload, []byte(jpountzMagic)) {
		return unjpountz(payload, limit)
	}
	if !bytes.HasPrefix(payload, []byte(lz4Magic)) && len(payload) > 4 {
		// A block behind its length, as Python's lz4.block and others write it: the length proves that it is one.
		if size := int64(binary.LittleEndian.Uint32(payload)); size <= limit {
			if content, err := block(payload[4:], size); err == nil {
				return content, nil
			}
		}
	}
	return limited(lz4.NewReader(bytes.NewReader(payload)), limit)
}

func block(packed []byte, size int64) ([]byte, error) {
	// No byte of a block stands for more: what claims so gets no memory.
	const mostPerByte = 255
	if size > mostPerByte*int64(len(packed)) {
		return nil, errCut
	}
	content := make([]byte, size)
	n, err := lz4.UncompressBlock(packed, content)
	if err == nil && int64(n) != size {
		err = errCut
	}
	return content, err
}

// unjpountz reads the blocks of Java's LZ4BlockOutputStream: the magic, a token whose upper half is the method, the two
// lengths and a checksum, all little-endian; a block of nothing is the end.
func unjpountz(payload []byte, limit int64) (content []byte, err error) {
	const header = len(jpountzMagic) + 13
	for len(payload) > 0 {
		if len(payload) < header || !bytes.HasPrefix(payload, []byte(jpountzMagic)) {
			return nil, errCut
		}
		token := payload[len(jpountzMagic)]
		packed := int64(binary.LittleEndian.Uint32(payload[len(jpountzMagic)+1:]))
		size := int64(binary.LittleEndian.Uint32(payload[len(jpountzMagic)+5:]))
		payload = payload[header:]
		switch {
		case packed > int64(len(payload)):
			return nil, errCut
		case size+int64(len(content)) > limit:
			return nil, errTooMuch
		}
		part := payload[:packed]
		if token&0xf0 != 0x10 {
			if part, err = block(part, size); err != nil {
				return nil, err
			}
		} else if packed != size {
			return nil, errCut
		}
		content, payload = append(content, part...), payload[packed:]
	}
	return content, nil
}

func unsnap(payload []byte, limit int64) ([]byte, error) {
	switch {
	case bytes.HasPrefix(payload, []byte(snappyMagic)):
		return limited(snappy.NewReader(bytes.NewReader(payload)), limit)
	case bytes.HasPrefix(payload, []byte(xerialMagic)):
		return unxerial(payload, limit)
	}
	return snappyBlock(payload, limit)
}

// unxerial reads what Java's SnappyOutputStream writes: the magic, two versions, and blocks behind their lengths.
func unxerial(payload []byte, limit int64) (content []byte, err error) {
	const header = len(xerialMagic) + 8
	if len(payload) < header {
		return nil, errCut
	}
	for rest := payload[header:]; len(rest) > 0; {
		if len(rest) < 4 || int64(binary.BigEndian.Uint32(rest)) > int64(len(rest)-4) {
			return nil, errCut
		}
		size := binary.BigEndian.Uint32(rest)
		part, err := snappyBlock(rest[4:4+size], limit-int64(len(content)))
		if err != nil {
			return nil, err
		}
		content, rest = append(content, part...), rest[4+size:]
	}
	return content, nil
}

func snappyBlock(payload []byte, limit int64) ([]byte, error) {
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
