package avro

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a record is not an Avro document.
const (
	codeEmpty   = "empty"
	codeNotAvro = "not_avro"
	codeUTF8    = "invalid_utf8"
	codeValue   = "invalid_value"
	codeLarge   = "too_large"
)

// Datum returns the JSON document of a payload that holds exactly one value without a container. A union becomes the
// value of its branch.
func (s *Schema) Datum(payload []byte) ([]byte, *reason.Reason) {
	d := decoder{in: payload}
	doc, failure := d.document(s.root)
	switch {
	case d.broken != nil:
		return nil, d.broken
	case d.at < len(d.in):
		return nil, failed(codeNotAvro, fmt.Sprintf("%d bytes after the value, which ends at byte %d: "+
			"was it written with another schema?", len(d.in)-d.at, d.at))
	}
	return doc, failure
}

func failed(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, "not Avro: "+message)
}

// decoder walks the input once. A value that is wrong leaves the walk intact (rejected); where the bytes
// themselves are wrong, nothing behind them can be read (broken).
type decoder struct {
	in       []byte
	at       int
	out      []byte
	broken   *reason.Reason
	rejected *reason.Reason
}

// document reads one value; its bytes belong to the caller.
func (d *decoder) document(n *node) ([]byte, *reason.Reason) {
	d.out, d.rejected = d.out[:0], nil
	d.value(n, 0)
	if d.broken != nil {
		return nil, d.broken
	}
	if d.rejected != nil {
		return nil, d.rejected
	}
	return append([]byte(nil), d.out...), nil
}

func (d *decoder) fail(format string, values ...any) {
	if d.broken == nil {
		d.broken = failed(codeNotAvro, fmt.Sprintf(format, values...))
	}
}

func (d *decoder) reject(code, format string, values ...any) {
	if d.rejected == nil {
		d.rejected = failed(code, fmt.Sprintf(format, values...))
	}
}

func (d *decoder) take(n int64) []byte {
	if d.broken != nil {
		return nil
	}
	if n < 0 || n > int64(len(d.in)-d.at) {
		d.fail("a length of %d bytes at byte %d, where %d are left", n, d.at, len(d.in)-d.at)
		return nil
	}
	taken := d.in[d.at : d.at+int(n)]
	d.at += int(n)
	return taken
}

func (d *decoder) long() int64 {
	if d.broken != nil {
		return 0
	}
	n, size := binary.Varint(d.in[d.at:])
	if size <= 0 {
		d.fail("the number at byte %d is truncated or too long", d.at)
		return 0
	}
	d.at += size
	return n
}

func (d *decoder) value(n *node, depth int) {
	if depth > jsonwrite.MaxDepth {
		d.fail("nested deeper than %d levels at byte %d", jsonwrite.MaxDepth, d.at)
	}
	if len(d.out) > jsonwrite.MaxDocument && d.broken == nil {
		d.broken = failed(codeLarge, fmt.Sprintf("a document larger than %d MiB", jsonwrite.MaxDocument>>20))
	}
	if d.broken != nil {
		return
	}
	switch n.kind {
	case kindNull:
		d.out = append(d.out, "null"...)
	case kindBoolean:
		for _, b := range d.take(1) {
			if b > 1 {
				d.fail("0x%02x at byte %d is not a boolean", b, d.at-1)
			}
			d.out = strconv.AppendBool(d.out, b == 1)
		}
	case kindInt, kindLong:
		d.integer(n)
	case kindFloat:
		if b := d.take(4); b != nil {
			d.out = jsonwrite.Float(d.out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		}
	case kindDouble:
		if b := d.take(8); b != nil {
			d.out = jsonwrite.Float(d.out, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	case kindBytes:
		d.binary(n, d.take(d.long()))
	case kindFixed:
		d.binary(n, d.take(int64(n.size)))
	case kindString:
		d.text()
	case kindEnum:
		if i := d.index(len(n.symbols), "symbols of the enum"); i >= 0 {
			d.out = append(d.out, n.symbols[i]...)
		}
	case kindUnion:
		if i := d.index(len(n.branches), "branches of the union"); i >= 0 {
			d.value(n.branches[i], depth+1)
		}
	case kindArray:
		d.out = append(d.out, '[')
		d.blocks(func() { d.value(n.item, depth+1) })
		d.out = append(d.out, ']')
	case kindMap:
		d.out = append(d.out, '{')
		d.blocks(func() {
			d.text()
			d.out = append(d.out, ':')
			d.value(n.item, depth+1)
		})
		d.out = append(d.out, '}')
	case kindRecord:
		d.record(n, depth)
	}
}

func (d *decoder) record(n *node, depth int) {
	d.out = append(d.out, '{')
	for i := range n.fields {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.out = append(d.out, n.fields[i].key...)
		d.value(n.fields[i].node, depth+1)
	}
	d.out = append(d.out, '}')
}

func (d *decoder) index(length int, what string) int {
	start := d.at
	i := d.long()
	if d.broken == nil && (i < 0 || i >= int64(length)) {
		d.fail("%d at byte %d is none of the %d %s", i, start, length, what)
	}
	if d.broken != nil {
		return -1
	}
	return int(i)
}

// blocks reads the items of an array or map. MaxDocument bounds items that take no bytes.
func (d *decoder) blocks(item func()) {
	for first := true; ; {
		count := d.long()
		if count < 0 {
			count = -count
			d.long()
		}
		if count == 0 || d.broken != nil {
			return
		}
		if count < 0 {
			d.fail("a block of %d items before byte %d", count, d.at)
		}
		for ; count > 0 && d.broken == nil; count-- {
			if !first {
				d.out = append(d.out, ',')
			}
			first = false
			item()
		}
	}
}

func (d *decoder) text() {
	text := d.take(d.long())
	if !utf8.Valid(text) {
		d.reject(codeUTF8, "invalid UTF-8 in the text of %d bytes before byte %d", len(text), d.at)
	}
	d.out = jsonwrite.String(d.out, text)
}

func (d *decoder) binary(n *node, data []byte) {
	if d.broken != nil {
		return
	}
	switch n.logical {
	case "decimal":
		if err := jsonwrite.CheckDecimal(n.scale, len(data)); err != nil {
			d.reject(codeValue, "%s before byte %d", err, d.at)
			return
		}
		d.out = jsonwrite.BigDecimal(d.out, data, n.scale)
	case "uuid":
		d.out = jsonwrite.UUID(d.out, [16]byte(data))
	case "duration":
		d.out = fmt.Appendf(d.out, `"P%dM%dDT%d.%03dS"`, binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:]),
			binary.LittleEndian.Uint32(data[8:])/1000, binary.LittleEndian.Uint32(data[8:])%1000)
	default:
		d.out = jsonwrite.Bytes(d.out, data)
	}
}

func (d *decoder) integer(n *node) {
	v := d.long()
	if d.broken != nil {
		return
	}
	if n.kind == kindInt && (v < math.MinInt32 || v > math.MaxInt32) {
		d.fail("%d before byte %d is not an int of 32 bits", v, d.at)
		return
	}
	switch n.logical {
	case "":
		d.out = strconv.AppendInt(d.out, v, 10)
	case "date":
		if !jsonwrite.InYears(v * 86400) {
			d.reject(codeValue, "the day %d before byte %d lies outside the years 1 to 9999", v, d.at)
		}
		d.out = jsonwrite.Date(d.out, v)
	case "time-millis":
		d.out = d.timeOfDay(v, 1000)
	case "time-micros":
		d.out = d.timeOfDay(v, 1)
	case "timestamp-millis", "timestamp-micros", "timestamp-nanos":
		d.out = jsonwrite.Instant(d.out, d.instant(n.logical[len("timestamp-"):], v))
	default:
		d.out = jsonwrite.Local(d.out, d.instant(n.logical[len("local-timestamp-"):], v))
	}
}

func (d *decoder) timeOfDay(v, micros int64) []byte {
	const day = 86_400_000_000
	if v < 0 || v >= day/micros {
		d.reject(codeValue, "%d before byte %d is not a time of day", v, d.at)
		return d.out
	}
	return jsonwrite.TimeOfDay(d.out, v*micros)
}

func (d *decoder) instant(unit string, v int64) time.Time {
	instant := time.Unix(0, v)
	switch unit {
	case "millis":
		instant = time.UnixMilli(v)
	case "micros":
		instant = time.UnixMicro(v)
	}
	if !jsonwrite.InYears(instant.Unix()) {
		d.reject(codeValue, "the timestamp %d before byte %d lies outside the years 1 to 9999", v, d.at)
	}
	return instant
}
