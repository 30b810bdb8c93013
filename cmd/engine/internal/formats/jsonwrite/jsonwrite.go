// Package jsonwrite appends values of binary formats to JSON documents, in the one form that every
// parser of ddpm gives them: numbers with all their digits, instants as ISO 8601 in UTC with
// microseconds, bytes as the hexadecimal text that Postgres reads as bytea. It knows no format.
package jsonwrite

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"
)

// Limits on what one message may become, however small it is: run-length encodings and values
// without bytes can stand for any number of documents.
const (
	MaxDocument  = 64 << 20
	MaxMessage   = 256 << 20
	MaxDocuments = 1_000_000
	MaxDepth     = 500
)

// Postgres has no numeric with more digits after the point than maxScale.
const (
	maxScale        = 16383
	maxDecimalBytes = 4096
)

const lowerHex = "0123456789abcdef"

// String appends a JSON string. Invalid UTF-8 becomes U+FFFD: check with utf8.Valid where that is a failure.
func String(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, text[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, text[start:i]...)
		dst = appendEscaped(dst, c)
		i++
		start = i
	}
	return append(append(dst, text[start:]...), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
}

// longest is where whole numbers end to be written with all their digits: behind the largest float of 32 bits.
const longest = 1e39

// Float appends a number's exact value where it is whole, else the shortest digits that read back as the same number of 64
// bits. One of 32 or 16 bits is the same number in 64. What JSON cannot say becomes the text that Postgres reads:
// "NaN", "Infinity", "-Infinity".
func Float(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	case abs < longest && math.Trunc(f) == f:
		return strconv.AppendFloat(dst, f, 'f', 0, 64)
	case abs < 1e-6 || abs >= longest:
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// Bytes appends the text \x0a0b…, as a JSON string.
func Bytes(dst, data []byte) []byte {
	dst = append(dst, `"\\x`...)
	return append(hex.AppendEncode(dst, data), '"')
}

// UUID appends 16 bytes as 8-4-4-4-12 hexadecimal digits.
func UUID(dst []byte, id [16]byte) []byte {
	dst = append(dst, '"')
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		start := [...]int{0, 4, 6, 8, 10}[i]
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, id[start:end])
	}
	return append(dst, '"')
}

// InYears reports whether so many seconds after 1970 lie in the years 1 to 9999, which ISO 8601 and Go's clock can both say.
func InYears(seconds int64) bool {
	return seconds >= -62_135_596_800 && seconds <= 253_402_300_799
}

// Instant appends a point in time; digits below the microsecond are cut off.
func Instant(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000000Z"`)
}

// Local appends a date and time of day of no known zone, given as if it were UTC.
func Local(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000000"`)
}

// Date appends the day that lies so many days after 1970-01-01.
func Date(dst []byte, days int64) []byte {
	return time.Unix(days*86400, 0).UTC().AppendFormat(dst, `"2006-01-02"`)
}

// TimeOfDay appends a time of day given in microseconds since midnight.
func TimeOfDay(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, `"15:04:05.000000"`)
}

// Decimal appends unscaled·10^-scale with all its digits.
func Decimal(dst []byte, unscaled int64, scale int) []byte {
	return appendPointed(dst, strconv.FormatInt(unscaled, 10), scale)
}

// BigDecimal is Decimal for an unscaled value in big-endian two's complement, as Avro and Parquet store it.
func BigDecimal(dst, unscaled []byte, scale int) []byte {
	if len(unscaled) <= 8 {
		return Decimal(dst, signed(unscaled), scale)
	}
	n := new(big.Int).SetBytes(unscaled)
	if unscaled[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
	}
	return appendPointed(dst, n.String(), scale)
}

// CheckDecimal says why a decimal of this scale and size is not to be written, or nil.
func CheckDecimal(scale, size int) error {
	if scale < 0 || scale > maxScale {
		return fmt.Errorf("decimal scale %d is not between 0 and %d", scale, maxScale)
	}
	if size > maxDecimalBytes {
		return fmt.Errorf("decimal of %d bytes: the limit is %d", size, maxDecimalBytes)
	}
	return nil
}

func signed(unscaled []byte) int64 {
	var n int64
	if len(unscaled) > 0 && unscaled[0]&0x80 != 0 {
		n = -1
	}
	for _, b := range unscaled {
		n = n<<8 | int64(b)
	}
	return n
}

func appendPointed(dst []byte, digits string, scale int) []byte {
	if scale <= 0 {
		return append(dst, digits...)
	}
	if digits[0] == '-' {
		dst = append(dst, '-')
		digits = digits[1:]
	}
	if len(digits) <= scale {
		dst = append(dst, '0', '.')
		for range scale - len(digits) {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	point := len(digits) - scale
	dst = append(append(dst, digits[:point]...), '.')
	return append(dst, digits[point:]...)
}
