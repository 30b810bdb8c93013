package jsonwrite

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestValuesAreWrittenInOneForm(t *testing.T) {
	instant := time.Date(2026, 11, 23, 4, 5, 6, 789_123_999, time.FixedZone("", 3600))
	for name, c := range map[string]struct{ got, want string }{
		"escapes":              {string(String(nil, []byte("a\"\\\n\r\t\x01é"))), `"a\"\\\n\r\t\u0001é"`},
		"invalid UTF-8":        {string(String(nil, []byte("a\xffb"))), "\"a\uFFFDb\""},
		"float":                {string(Float(nil, 0.1)), "0.1"},
		"float of 32 bits":     {string(Float(nil, float64(float32(0.1)))), "0.10000000149011612"},
		"whole of 32 bits":     {string(Float(nil, float64(float32(1<<31)))), "2147483648"},
		"largest of 32 bits":   {string(Float(nil, math.MaxFloat32)), "340282346638528859811704183484516925440"},
		"whole of 64 bits":     {string(Float(nil, -(1 << 63))), "-9223372036854775808"},
		"more than JSON.parse": {string(Float(nil, 1<<53+2)), "9007199254740994"},
		"long fraction":        {string(Float(nil, 123456789.12345679)), "123456789.12345679"},
		"large float":          {string(Float(nil, 1e300)), "1e+300"},
		"small float":          {string(Float(nil, math.SmallestNonzeroFloat32)), "1.401298464324817e-45"},
		"negative zero":        {string(Float(nil, math.Copysign(0, -1))), "-0"},
		"not a number":         {string(Float(nil, math.NaN())), `"NaN"`},
		"infinity":             {string(Float(nil, math.Inf(-1))), `"-Infinity"`},
		"bytes":                {string(Bytes(nil, []byte{0, 255})), `"\\x00ff"`},
		"UUID":                 {string(UUID(nil, [16]byte{0x12, 15: 0xff})), `"12000000-0000-0000-0000-0000000000ff"`},
		"instant":              {string(Instant(nil, instant)), `"2026-11-23T03:05:06.789123Z"`},
		"local time":           {string(Local(nil, time.UnixMicro(1))), `"1970-01-01T00:00:00.000001"`},
		"date":                 {string(Date(nil, -1)), `"1969-12-31"`},
		"time of day":          {string(TimeOfDay(nil, 86399999999)), `"23:59:59.999999"`},
		"decimal":              {string(Decimal(nil, -12345, 2)), "-123.45"},
		"small decimal":        {string(Decimal(nil, -5, 3)), "-0.005"},
		"smallest unscaled":    {string(Decimal(nil, math.MinInt64, 0)), "-9223372036854775808"},
		"decimal bytes":        {string(BigDecimal(nil, []byte{0xff, 0x38}, 2)), "-2.00"},
		"no decimal bytes":     {string(BigDecimal(nil, nil, 2)), "0.00"},
		"long decimal bytes":   {string(BigDecimal(nil, []byte{1, 0, 0, 0, 0, 0, 0, 0, 0}, 4)), "1844674407370955.1616"},
		"long negative":        {string(BigDecimal(nil, []byte{255, 255, 255, 255, 255, 255, 255, 255, 254}, 1)), "-0.2"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", name, c.got, c.want)
		}
	}
}

func FuzzStringReadsBack(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\u2028\xff")
	f.Fuzz(func(t *testing.T, text string) {
		var back string
		if err := json.Unmarshal(String(nil, []byte(text)), &back); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(text) && back != text {
			t.Fatalf("%q came back as %q", text, back)
		}
		if !utf8.ValidString(text) && !strings.ContainsRune(back, utf8.RuneError) {
			t.Fatalf("%q came back as %q", text, back)
		}
	})
}
