package jsontext_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ddpm/engine/internal/records/jsontext"
)

var documents = []string{
	`null`, `true`, `false`, `0`, `-0`, `12`, `-1.5e+10`, `1E-2`, `""`, `"a\"\\\/\b\f\n\r\tA"`, `{}`, `[]`,
	` { "a" : [ 1 , { "b" : null } , "x" ] , "c" : { } } `, `[[],[[]],{}]`, "{\"a\":\"\u00e4\U0001F600\"}",
	`{"a":1,"a":2}`, `"\ud83d\ude00"`, `"\ud800"`, "\t\r\n1\n",
	``, ` `, `{`, `}`, `[`, `]`, `{]`, `[}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1 "b":2}`,
	`{a:1}`, `{'a':1}`, `01`, `-`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, `tru`, `nulll`, `truee`,
	`"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\x01\"", "\"\n\"", `1 2`, `{} x`, `"a"b`, `/**/1`, "\uFEFF1", `{"a":1}]`,
}

func TestValidateAgreesWithTheStandardLibrary(t *testing.T) {
	var s jsontext.Scanner
	for _, doc := range documents {
		if got, want := s.Validate([]byte(doc)) == nil, json.Valid([]byte(doc)); got != want {
			t.Errorf("%q: valid is %v, want %v", doc, got, want)
		}
	}
}

func TestErrorsNameTheByte(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a":1,}`:   `expected a key in double quotes but found '}' at byte 7`,
		`{"a" 1}`:    `expected ':' but found '1' at byte 5`,
		`[1 2]`:      `expected ',' or ']' but found '2' at byte 3`,
		`{"a":`:      `the document ends early at byte 5`,
		`{"a":"b`:    `string without an end at byte 5`,
		`hello`:      `expected a value but found 'h' at byte 0`,
		`{"a":01}`:   `number with a leading zero at byte 5`,
		`{"a":1} {}`: `unexpected text after the document: '{' at byte 8`,
		"[\"\x02\"]": `control character 0x02 in a string at byte 2`,
		`["\q"]`:     `invalid escape in a string at byte 2`,
		"\xff":       `expected a value but found byte 0xff at byte 0`,
	} {
		var s jsontext.Scanner
		err := s.Validate([]byte(doc))
		var syntax *jsontext.SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%q: %v, want %s", doc, err, want)
		}
	}
}

func TestDepthIsNoDanger(t *testing.T) {
	const depth = 4 << 20
	finder := jsontext.NewFinder([][]string{{"a"}})
	values := make([]jsontext.Value, 1)
	for name, doc := range map[string]string{
		"closed": `{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`,
		"open":   `{"a":` + strings.Repeat(`{"b":`, depth),
	} {
		var s jsontext.Scanner
		if got := s.Validate([]byte(doc)) == nil; got != (name == "closed") {
			t.Errorf("%s: valid is %v", name, got)
		}
		if _, err := finder.Find(&s, []byte(doc), values); (err == nil) != (name == "closed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvalidUTF8(t *testing.T) {
	for doc, want := range map[string]int{
		"":                   -1,
		"plain":              -1,
		"\u00e4\U0001F600":   -1,
		"\uFFFD":             -1,
		"abc\xff":            3,
		"\u00e4\xc3":         2,
		"\xed\xa0\x80":       0,
		"0123456789\xf8 end": 10,
	} {
		if got := jsontext.InvalidUTF8([]byte(doc)); got != want {
			t.Errorf("%q: %d, want %d", doc, got, want)
		}
	}
}

func FuzzValidate(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var s jsontext.Scanner
		if got, want := s.Validate(doc) == nil, json.Valid(doc); got != want {
			t.Errorf("%q: valid is %v, want %v", doc, got, want)
		}
	})
}
