package avro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/reason"
)

const (
	magic      = "Obj\x01"
	syncLength = 16
)

// maxBlock bounds one block of a container after its decompression.
const maxBlock = 64 << 20

var errBlockTooLarge = fmt.Errorf("a block larger than %d MiB", maxBlock>>20)

// ReadContainer yields the JSON documents of an object container file, or the reason for which a record is
// none, until yield returns false. What it returns is why the file itself cannot be read to its end;
// documents may have been yielded before that was known.
func ReadContainer(payload []byte, yield func(doc []byte, failure *reason.Reason) bool) *reason.Reason {
	if len(payload) == 0 {
		return reason.New(reason.StageParse, codeEmpty, "empty message: there is no Avro file")
	}
	if !bytes.HasPrefix(payload, []byte(magic)) {
		return failed(codeNotAvro, fmt.Sprintf("an object container file begins with %q, this message with %q",
			magic, payload[:min(4, len(payload))]))
	}
	file := decoder{in: payload, at: len(magic)}
	schema, codec := file.header()
	if file.broken != nil {
		return file.broken
	}
	sync := file.take(syncLength)
	documents, total := 0, 0
	for file.broken == nil && file.at < len(file.in) {
		count := file.long()
		data := file.take(file.long())
		if marker := file.take(syncLength); file.broken == nil && !bytes.Equal(marker, sync) {
			file.fail("the sync marker before byte %d is not the file's", file.at)
		}
		if file.broken != nil {
			break
		}
		raw, err := decompress(codec, data)
		if err != nil {
			return blockFailure(err, codec, file.at)
		}
		block := decoder{in: raw}
		for ; count > 0; count-- {
			doc, failure := block.document(schema.root)
			if block.broken != nil {
				return block.broken
			}
			documents, total = documents+1, total+len(doc)
			if documents > jsonwrite.MaxDocuments || total > jsonwrite.MaxMessage {
				return failed(codeLarge, fmt.Sprintf("the file holds more than %d records or %d MiB of documents",
					jsonwrite.MaxDocuments, jsonwrite.MaxMessage>>20))
			}
			if !yield(doc, failure) {
				return nil
			}
		}
		if count < 0 || block.at < len(raw) {
			file.fail("the block that ends at byte %d holds more than its records", file.at)
		}
	}
	return file.broken
}

func blockFailure(err error, codec string, end int) *reason.Reason {
	code := codeNotAvro
	if errors.Is(err, errBlockTooLarge) {
		code = codeLarge
	}
	return failed(code, fmt.Sprintf("codec %s, block before byte %d: %s", codec, end, err))
}

// header reads a file's metadata, which is a map of bytes.
func (d *decoder) header() (*Schema, string) {
	metadata := map[string][]byte{"avro.codec": []byte("null")}
	d.blocks(func() {
		key := d.take(d.long())
		metadata[string(key)] = d.take(d.long())
		d.out = d.out[:0]
	})
	if d.broken != nil {
		return nil, ""
	}
	text, ok := metadata["avro.schema"]
	if !ok {
		d.fail("the file's header has no schema")
		return nil, ""
	}
	schema, err := Compile(text)
	if err != nil {
		d.fail("%s", err)
		return nil, ""
	}
	return schema, string(metadata["avro.codec"])
}

func decompress(codec string, data []byte) ([]byte, error) {
	switch codec {
	case "null":
		return data, nil
	case "deflate":
		return readLimited(flate.NewReader(bytes.NewReader(data)))
	case "snappy":
		return unsnap(data)
	case "zstandard":
		reader, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		return readLimited(reader)
	}
	return nil, fmt.Errorf("the codec is none of null, deflate, snappy, zstandard")
}

func readLimited(reader io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(reader, maxBlock+1))
	if err == nil && len(raw) > maxBlock {
		return nil, errBlockTooLarge
	}
	return raw, err
}

// unsnap reads Avro's form of snappy: the CRC of the decompressed bytes follows them.
func unsnap(data []byte) ([]byte, error) {
	if len(data) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	packed, sum := data[:len(data)-4], binary.BigEndian.Uint32(data[len(data)-4:])
	if size, err := snappy.DecodedLen(packed); err != nil || size > maxBlock {
		return nil, errors.Join(err, errBlockTooLarge)
	}
	raw, err := snappy.Decode(nil, packed)
	if err == nil && crc32.ChecksumIEEE(raw) != sum {
		return nil, errors.New("the checksum is wrong")
	}
	return raw, err
}
