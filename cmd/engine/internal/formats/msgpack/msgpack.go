// Package msgpack turns one MessagePack value into a JSON document. It must not know where the bytes
// come from. The format: https://github.com/msgpack/msgpack/blob/master/spec.md
package msgpack

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

// Codes of the reasons for which a record is not a MessagePack document.
const (
	codeEmpty      = "empty"
	codeNotMsgpack = "not_msgpack"
	codeUTF8       = "invalid_utf8"
)

const timestampExtension = -1

// Decode returns the JSON document of a payload that holds exactly one value. Integers keep all digits, timestamps
// become ISO 8601 texts, bin becomes \x… text, an extension of another type {"ext": type, "data": "\x…"};
// map keys may be texts or integers.
func Decode(payload []byte) ([]byte, *reason.Reason) {
	if len(payload) == 0 {
		return nil, reason.New(reason.StageParse, codeEmpty, "empty message: there is no MessagePack value")
	}
	d := decoder{in: payload, out: make([]byte, 0, 2*len(payload)+16)}
	d.value(0)
	if d.failure == nil && d.at < len(d.in) {
		d.fail(codeNotMsgpack, fmt.Sprintf("%d bytes after the value, which ends at byte %d", len(d.in)-d.at, d.at))
	}
	if d.failure != nil {
		return nil, d.failure
	}
	return d.out, nil
}

// decoder walks the input once; after its first failure it reads nothing more.
type decoder struct {
	in      []byte
	at      int
	out     []byte
	failure *reason.Reason
}

func (d *decoder) fail(code, message string) {
	if d.failure == nil {
		d.failure = reason.New(reason.StageParse, code, "not MessagePack: "+message)
	}
}

func (d *decoder) take(n uint64) []byte {
	if d.failure != nil {
		return nil
	}
	if n > uint64(len(d.in)-d.at) {
		d.fail(codeNotMsgpack, fmt.Sprintf("truncated: %d bytes are missing after byte %d",
			n-uint64(len(d.in)-d.at), len(d.in)))
		return nil
	}
	taken := d.in[d.at : d.at+int(n)]
	d.at += int(n)
	return taken
}

// unsigned reads a big-endian number of 1, 2, 4 or 8 bytes.
func (d *decoder) unsigned(size int) uint64 {
	var n uint64
	for _, b := range d.take(uint64(size)) {
		n = n<<8 | uint64(b)
	}
	return n
}

func (d *decoder) value(depth int) {
	if depth > jsonwrite.MaxDepth {
		d.fail(codeNotMsgpack, fmt.Sprintf("nested deeper than %d levels at byte %d", jsonwrite.MaxDepth, d.at))
		return
	}
	start := d.at
	code := byte(d.unsigned(1))
	if d.failure != nil {
		return
	}
	switch {
	case code <= 0x7f:
		d.out = strconv.AppendUint(d.out, uint64(code), 10)
	case code <= 0x8f:
		d.object(uint64(code&0x0f), depth)
	case code <= 0x9f:
		d.list(uint64(code&0x0f), depth)
	case code <= 0xbf:
		d.text(uint64(code & 0x1f))
	case code == 0xc0:
		d.out = append(d.out, "null"...)
	case code == 0xc2:
		d.out = append(d.out, "false"...)
	case code == 0xc3:
		d.out = append(d.out, "true"...)
	case code >= 0xc4 && code <= 0xc6:
		d.out = jsonwrite.Bytes(d.out, d.take(d.unsigned(1<<(code-0xc4))))
	case code >= 0xc7 && code <= 0xc9:
		d.extension(d.unsigned(1 << (code - 0xc7)))
	case code == 0xca:
		d.out = jsonwrite.Float(d.out, float64(math.Float32frombits(uint32(d.unsigned(4)))))
	case code == 0xcb:
		d.out = jsonwrite.Float(d.out, math.Float64frombits(d.unsigned(8)))
	case code >= 0xcc && code <= 0xcf:
		d.out = strconv.AppendUint(d.out, d.unsigned(1<<(code-0xcc)), 10)
	case code >= 0xd0 && code <= 0xd3:
		d.out = strconv.AppendInt(d.out, d.signed(1<<(code-0xd0)), 10)
	case code >= 0xd4 && code <= 0xd8:
		d.extension(1 << (code - 0xd4))
	case code >= 0xd9 && code <= 0xdb:
		d.text(d.unsigned(1 << (code - 0xd9)))
	case code == 0xdc, code == 0xdd:
		d.list(d.unsigned(2<<(code-0xdc)), depth)
	case code == 0xde, code == 0xdf:
		d.object(d.unsigned(2<<(code-0xde)), depth)
	case code >= 0xe0:
		d.out = strconv.AppendInt(d.out, int64(int8(code)), 10)
	default:
		d.fail(codeNotMsgpack, fmt.Sprintf("0x%02x at byte %d begins no value", code, start))
	}
}

func (d *decoder) signed(size int) int64 {
	n, unused := d.unsigned(size), 64-8*size
	return int64(n<<unused) >> unused
}

func (d *decoder) text(size uint64) {
	start := d.at
	text := d.take(size)
	if !utf8.Valid(text) {
		d.fail(codeUTF8, fmt.Sprintf("invalid UTF-8 in the text of %d bytes at byte %d", len(text), start))
		return
	}
	d.out = jsonwrite.String(d.out, text)
}

func (d *decoder) list(items uint64, depth int) {
	d.out = append(d.out, '[')
	for i := uint64(0); i < items && d.failure == nil; i++ {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.value(depth + 1)
	}
	d.out = append(d.out, ']')
}

func (d *decoder) object(entries uint64, depth int) {
	d.out = append(d.out, '{')
	for i := uint64(0); i < entries && d.failure == nil; i++ {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.key(depth)
		d.out = append(d.out, ':')
		d.value(depth + 1)
	}
	d.out = append(d.out, '}')
}

func (d *decoder) key(depth int) {
	if d.at >= len(d.in) {
		d.take(1)
		return
	}
	switch code := d.in[d.at]; {
	case code >= 0xa0 && code <= 0xbf, code >= 0xd9 && code <= 0xdb:
		d.value(depth + 1)
	case code <= 0x7f, code >= 0xcc && code <= 0xd3, code >= 0xe0:
		d.out = append(d.out, '"')
		d.value(depth + 1)
		d.out = append(d.out, '"')
	default:
		d.fail(codeNotMsgpack, fmt.Sprintf("the map key at byte %d is neither text nor integer: 0x%02x", d.at, code))
	}
}

func (d *decoder) extension(size uint64) {
	start := d.at
	kind := int8(d.unsigned(1))
	data := d.take(size)
	if d.failure != nil {
		return
	}
	if kind != timestampExtension {
		d.out = append(d.out, `{"ext":`...)
		d.out = strconv.AppendInt(d.out, int64(kind), 10)
		d.out = append(d.out, `,"data":`...)
		d.out = append(jsonwrite.Bytes(d.out, data), '}')
		return
	}
	instant, ok := timestamp(data)
	if !ok {
		d.fail(codeNotMsgpack, fmt.Sprintf("the timestamp of %d bytes at byte %d is invalid", size, start))
		return
	}
	d.out = jsonwrite.Instant(d.out, instant)
}

func timestamp(data []byte) (time.Time, bool) {
	var seconds int64
	var nanos uint32
	switch len(data) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(data))
	case 8:
		packed := binary.BigEndian.Uint64(data)
		seconds, nanos = int64(packed&(1<<34-1)), uint32(packed>>34)
	case 12:
		seconds, nanos = int64(binary.BigEndian.Uint64(data[4:])), binary.BigEndian.Uint32(data)
	default:
		return time.Time{}, false
	}
	return time.Unix(seconds, int64(nanos)), nanos < 1e9 && jsonwrite.InYears(seconds)
}
