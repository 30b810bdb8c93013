package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"ddpm/engine/internal/formats/jsonwrite"
)

// The library believes the sizes that a file gives for its lists, pages and values, and reserves memory for them
// before it reads. What follows here checks every such size first.
const (
	magic         = "PAR1"
	maxPage       = 64 << 20
	maxFile       = 256 << 20
	maxValues     = 16_000_000
	maxSchemaDeep = 100
)

var errTooLarge = errors.New("larger than the limits")

// inspection sums up what a file's pages claim to hold.
type inspection struct {
	payload []byte
	bytes   int64
	values  int64
	// stored are the values of data pages alone.
	stored int64
	// encodings are those of the data pages.
	encodings map[string]bool
	// owned reports whether payload is a copy that may be changed.
	owned  bool
	schema []format.SchemaElement
}

// inspect returns what the library may read, or an error that wraps errTooLarge for a file beyond the limits, and any
// other for a corrupt one.
func inspect(payload []byte) (*inspection, error) {
	i := &inspection{payload: payload, encodings: map[string]bool{}}
	return i, i.file()
}

func (i *inspection) file() error {
	payload := i.payload
	const tail = 4 + len(magic)
	if len(payload) < len(magic)+tail || !bytes.HasPrefix(payload, []byte(magic)) || !bytes.HasSuffix(payload, []byte(magic)) {
		return errors.New("a file begins and ends with PAR1: is it truncated?")
	}
	size := int64(binary.LittleEndian.Uint32(payload[len(payload)-tail:]))
	if size > int64(len(payload)-len(magic)-tail) {
		return fmt.Errorf("its footer of %d bytes is larger than the file", size)
	}
	var meta format.FileMetaData
	if _, err := decodeThrift(payload[len(payload)-tail-int(size):len(payload)-tail], &meta); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	if err := checkSchema(meta.Schema); err != nil {
		return err
	}
	i.schema = meta.Schema
	for _, group := range meta.RowGroups {
		if group.NumRows < 0 || group.NumRows > jsonwrite.MaxDocuments {
			return fmt.Errorf("a row group of %d rows: %w", group.NumRows, errTooLarge)
		}
		before := i.stored
		for _, column := range group.Columns {
			if err := i.column(&column.MetaData); err != nil {
				return fmt.Errorf("column %s: %w", strings.Join(column.MetaData.PathInSchema, "."), err)
			}
		}
		// Such a group is not read, so it must be empty.
		if group.NumRows == 0 && i.stored != before {
			return fmt.Errorf("a row group of no rows that has %d values", i.stored-before)
		}
	}
	return nil
}

// checkSchema wants the numbers of children to make one tree that is not too deep.
func checkSchema(elements []format.SchemaElement) error {
	var open []int32
	for i, element := range elements {
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
		if i > 0 && len(open) == 0 {
			return errors.New("its schema has more than one root")
		}
		if i > 0 {
			open[len(open)-1]--
		}
		if element.NumChildren.V < 0 || len(open) > maxSchemaDeep {
			return errors.New("its schema is nested too deep or malformed")
		}
		if element.TypeLength.V < 0 || element.TypeLength.V > maxPage {
			return errors.New("its schema has a type of impossible length")
		}
		open = append(open, element.NumChildren.V)
	}
	for _, missing := range open {
		if missing != 0 {
			return errors.New("its schema lacks elements")
		}
	}
	return nil
}

func (i *inspection) column(meta *format.ColumnMetaData) error {
	start := meta.DataPageOffset
	if meta.DictionaryPageOffset != 0 {
		start = meta.DictionaryPageOffset
	}
	size := int64(len(i.payload))
	if start < 0 || start > size || meta.TotalCompressedSize < 0 || meta.TotalCompressedSize > size-start {
		return errors.New("its pages lie outside the file")
	}
	for at, end := start, start+meta.TotalCompressedSize; at < end; {
		chunk := i.payload[at:end]
		var header format.PageHeader
		length, err := decodeThrift(chunk, &header)
		if err != nil {
			return fmt.Errorf("page header: %w", err)
		}
		if header.CompressedPageSize < 0 || int(header.CompressedPageSize) > len(chunk)-length {
			return errors.New("a page is larger than its column: is the file truncated?")
		}
		i.encoding(&header, meta.Type, at, length)
		at += int64(length)
		if err := i.page(&header, meta.Codec, i.payload[at:at+int64(header.CompressedPageSize)]); err != nil {
			return err
		}
		at += int64(header.CompressedPageSize)
	}
	return nil
}

// encoding notes how a data page is encoded, and marks what the library would not read.
func (i *inspection) encoding(header *format.PageHeader, kind format.Type, at int64, length int) {
	var used format.Encoding
	switch header.Type {
	case format.DataPage:
		used = header.DataPageHeader.V.Encoding
		i.stored += int64(header.DataPageHeader.V.NumValues)
	case format.DataPageV2:
		used = header.DataPageHeaderV2.V.Encoding
		i.stored += int64(header.DataPageHeaderV2.V.NumValues)
	default:
		return
	}
	i.encodings[fmt.Sprintf("%s of %s", used, kind)] = true
	if used != format.ByteStreamSplit || !readsSplit(kind) {
		return
	}
	if !i.owned {
		// The record's bytes are those of its dead letter.
		i.payload, i.owned = bytes.Clone(i.payload), true
	}
	markSplit(i.payload[at : at+int64(length)])
}

func (i *inspection) page(header *format.PageHeader, codec format.CompressionCodec, data []byte) error {
	values := []int32{header.DataPageHeader.V.NumValues, header.DataPageHeaderV2.V.NumValues, header.DictionaryPageHeader.V.NumValues}
	for _, n := range values {
		if n < 0 {
			return errors.New("a page with a negative number of values")
		}
		i.values += int64(n)
	}
	v2 := &header.DataPageHeaderV2.V
	levels := int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength)
	if v2.RepetitionLevelsByteLength < 0 || v2.DefinitionLevelsByteLength < 0 || levels > int64(len(data)) {
		return errors.New("a page with levels larger than itself")
	}
	want := int64(header.UncompressedPageSize)
	i.bytes += want
	if want < 0 || want > maxPage || i.bytes > maxFile || i.values > maxValues {
		return fmt.Errorf("pages of %d bytes and %d values: %w", i.bytes, i.values, errTooLarge)
	}
	if header.Type == format.DataPageV2 {
		if v2.IsCompressed.Valid && !v2.IsCompressed.V {
			return nil
		}
		data, want = data[levels:], want-levels
	}
	return checkCompressed(codec, data, want)
}

// checkCompressed unpacks gzip and zstd once for their true size: the library would unpack a bomb to its end.
func checkCompressed(codec format.CompressionCodec, data []byte, want int64) error {
	if len(data) == 0 {
		return nil
	}
	var reader io.Reader
	switch codec {
	case format.Uncompressed:
		return nil
	case format.Snappy:
		if size, err := snappy.DecodedLen(data); err != nil || int64(size) != want {
			return errors.New("a snappy page of another size than it says")
		}
		return nil
	case format.Gzip:
		unzip, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		reader = unzip
	case format.Zstd:
		unzstd, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxPage))
		if err != nil {
			return fmt.Errorf("zstd: %w", err)
		}
		defer unzstd.Close()
		reader = unzstd
	default:
		return fmt.Errorf("compression %s is none of UNCOMPRESSED, SNAPPY, GZIP, ZSTD", codec)
	}
	size, err := io.Copy(io.Discard, io.LimitReader(reader, want+1))
	if err != nil {
		return fmt.Errorf("%s: %w", codec, err)
	}
	if size != want {
		return fmt.Errorf("a %s page of another size than it says", codec)
	}
	return nil
}

// decodeThrift reads one structure from the front of data and returns its length.
func decodeThrift(data []byte, into any) (int, error) {
	scan := scanner{data: data}
	scan.structure(0)
	if scan.err != nil {
		return 0, scan.err
	}
	return scan.at, thrift.Unmarshal(&thrift.CompactProtocol{}, data[:scan.at], into)
}

// scanner walks Thrift's compact protocol without keeping anything:
// https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
type scanner struct {
	data []byte
	at   int
	err  error
}

func (s *scanner) skip(n uint64) {
	if s.err == nil && n > uint64(len(s.data)-s.at) {
		s.err = fmt.Errorf("malformed at byte %d of %d", s.at, len(s.data))
	}
	if s.err == nil {
		s.at += int(n)
	}
}

func (s *scanner) byte() byte {
	s.skip(1)
	if s.err != nil {
		return 0
	}
	return s.data[s.at-1]
}

func (s *scanner) varint() uint64 {
	if s.err != nil {
		return 0
	}
	n, size := binary.Uvarint(s.data[s.at:])
	if size <= 0 {
		s.err = fmt.Errorf("malformed number at byte %d", s.at)
		return 0
	}
	s.at += size
	return n
}

func (s *scanner) structure(depth int) {
	for s.err == nil {
		header := s.byte()
		if header&0x0f == 0 {
			return
		}
		if header>>4 == 0 {
			s.varint()
		}
		if kind := header & 0x0f; kind > 2 {
			s.value(kind, depth+1)
		}
	}
}

// find moves to the value of a field, given by its number and those of the structures around it.
func (s *scanner) find(path ...int64) bool {
	for id := int64(0); s.err == nil; {
		header := s.byte()
		kind := header & 0x0f
		if kind == 0 {
			return false
		}
		if delta := int64(header >> 4); delta != 0 {
			id += delta
		} else {
			n := s.varint()
			id = int64(n>>1) ^ -int64(n&1)
		}
		switch {
		case id == path[0] && len(path) == 1:
			return true
		case id == path[0] && kind == 12:
			return s.find(path[1:]...)
		case kind > 2:
			s.value(kind, 1)
		}
	}
	return false
}

func (s *scanner) value(kind byte, depth int) {
	if depth > maxSchemaDeep {
		s.err = errors.New("nested too deep")
	}
	if s.err != nil {
		return
	}
	switch kind {
	case 1, 2, 3:
		s.skip(1)
	case 4, 5, 6:
		s.varint()
	case 7:
		s.skip(8)
	case 8:
		s.skip(s.varint())
	case 9, 10:
		header := s.byte()
		size := uint64(header >> 4)
		if size == 15 {
			size = s.varint()
		}
		s.items(size, header&0x0f, depth)
	case 12:
		s.structure(depth)
	default:
		s.err = fmt.Errorf("unknown kind %d before byte %d", kind, s.at)
	}
}

func (s *scanner) items(size uint64, kind byte, depth int) {
	if s.err == nil && size > uint64(len(s.data)-s.at) {
		s.err = fmt.Errorf("a list of %d items before byte %d of %d", size, s.at, len(s.data))
	}
	for ; size > 0 && s.err == nil; size-- {
		s.value(kind, depth+1)
	}
}
