package parquet

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"ddpm/engine/internal/formats/jsonwrite"
)

// write appends a value that is not null.
type write func(w *writer, v parquet.Value)

// leaf chooses how a column's values are written, once for a file. Of the logical type that the file declares, the
// library keeps those that it knows.
func leaf(kind parquet.Type, declared *format.LogicalType) (write, error) {
	logical := kind.LogicalType()
	if logical == nil {
		logical = &format.LogicalType{}
	}
	if logical.Decimal != nil {
		return decimal(kind.Kind(), int(logical.Decimal.Scale))
	}
	switch kind.Kind() {
	case parquet.Boolean:
		return func(w *writer, v parquet.Value) { w.out = strconv.AppendBool(w.out, v.Boolean()) }, nil
	case parquet.Int32, parquet.Int64:
		return integer(kind.Kind() == parquet.Int32, logical), nil
	case parquet.Int96:
		return impalaTime, nil
	case parquet.Float:
		return func(w *writer, v parquet.Value) { w.out = jsonwrite.Float(w.out, float64(v.Float())) }, nil
	case parquet.Double:
		return func(w *writer, v parquet.Value) { w.out = jsonwrite.Float(w.out, v.Double()) }, nil
	}
	switch {
	case logical.UTF8 != nil, logical.Enum != nil:
		return text, nil
	case logical.Json != nil:
		return document, nil
	case logical.UUID != nil && kind.Length() == 16:
		return func(w *writer, v parquet.Value) { w.out = jsonwrite.UUID(w.out, [16]byte(v.ByteArray())) }, nil
	case declared.Float16 != nil && kind.Length() == 2:
		return func(w *writer, v parquet.Value) {
			w.out = jsonwrite.Float(w.out, half(binary.LittleEndian.Uint16(v.ByteArray())))
		}, nil
	}
	return func(w *writer, v parquet.Value) { w.out = jsonwrite.Bytes(w.out, v.ByteArray()) }, nil
}

func decimal(kind parquet.Kind, scale int) (write, error) {
	if err := jsonwrite.CheckDecimal(scale, 0); err != nil {
		return nil, err
	}
	switch kind {
	case parquet.Int32:
		return func(w *writer, v parquet.Value) { w.out = jsonwrite.Decimal(w.out, int64(v.Int32()), scale) }, nil
	case parquet.Int64:
		return func(w *writer, v parquet.Value) { w.out = jsonwrite.Decimal(w.out, v.Int64(), scale) }, nil
	}
	return func(w *writer, v parquet.Value) {
		if err := jsonwrite.CheckDecimal(scale, len(v.ByteArray())); err != nil {
			w.reject(codeValue, err.Error())
			return
		}
		w.out = jsonwrite.BigDecimal(w.out, v.ByteArray(), scale)
	}, nil
}

func integer(narrow bool, logical *format.LogicalType) write {
	signed := func(v parquet.Value) int64 {
		if narrow {
			return int64(v.Int32())
		}
		return v.Int64()
	}
	switch {
	case logical.Integer != nil && !logical.Integer.IsSigned && narrow:
		return func(w *writer, v parquet.Value) { w.out = strconv.AppendUint(w.out, uint64(v.Uint32()), 10) }
	case logical.Integer != nil && !logical.Integer.IsSigned:
		return func(w *writer, v parquet.Value) { w.out = strconv.AppendUint(w.out, v.Uint64(), 10) }
	case logical.Date != nil:
		return func(w *writer, v parquet.Value) {
			days := signed(v)
			w.years(days * 86400)
			w.out = jsonwrite.Date(w.out, days)
		}
	case logical.Time != nil:
		unit := nanosOf(logical.Time.Unit)
		return func(w *writer, v parquet.Value) {
			n := signed(v)
			if n < 0 || n >= int64(24*time.Hour)/unit {
				w.reject(codeValue, strconv.FormatInt(n, 10)+" is not a time of day")
				return
			}
			w.out = jsonwrite.TimeOfDay(w.out, n*unit/1000)
		}
	case logical.Timestamp != nil:
		unit, zoned := nanosOf(logical.Timestamp.Unit), logical.Timestamp.IsAdjustedToUTC
		return func(w *writer, v parquet.Value) { w.instant(at(signed(v), unit), zoned) }
	}
	return func(w *writer, v parquet.Value) { w.out = strconv.AppendInt(w.out, signed(v), 10) }
}

func nanosOf(unit format.TimeUnit) int64 {
	switch {
	case unit.Millis != nil:
		return int64(time.Millisecond)
	case unit.Micros != nil:
		return int64(time.Microsecond)
	}
	return 1
}

func at(n, unit int64) time.Time {
	switch unit {
	case int64(time.Millisecond):
		return time.UnixMilli(n)
	case int64(time.Microsecond):
		return time.UnixMicro(n)
	}
	return time.Unix(0, n)
}

// impalaTime reads the old form of timestamps: nanoseconds of the day, then the Julian day.
func impalaTime(w *writer, v parquet.Value) {
	const epoch = 2_440_588
	parts := v.Int96()
	nanos := int64(parts[1])<<32 | int64(parts[0])
	w.instant(time.Unix((int64(parts[2])-epoch)*86400+nanos/1e9, nanos%1e9), true)
}

func text(w *writer, v parquet.Value) {
	if !utf8.Valid(v.ByteArray()) {
		w.reject(codeUTF8, "invalid UTF-8 in a text")
	}
	w.out = jsonwrite.String(w.out, v.ByteArray())
}

func document(w *writer, v parquet.Value) {
	if !json.Valid(v.ByteArray()) || !utf8.Valid(v.ByteArray()) {
		w.reject(codeValue, "a column of JSON holds something else")
		return
	}
	w.out = append(w.out, v.ByteArray()...)
}

func half(bits uint16) float64 {
	sign, exponent, fraction := 1-2*float64(bits>>15), int(bits>>10&31), float64(bits&1023)
	switch {
	case exponent == 31 && fraction != 0:
		return math.NaN()
	case exponent == 31:
		return math.Inf(int(sign))
	case exponent == 0:
		return sign * math.Ldexp(fraction, -24)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}
