package jsontext_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ddpm/engine/internal/records/jsontext"
)

func find(t *testing.T, doc string, paths ...[]string) []string {
	t.Helper()
	var s jsontext.Scanner
	values := make([]jsontext.Value, len(paths))
	if _, err := jsontext.NewFinder(paths).Find(&s, []byte(doc), values); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = doc[v.Start:v.End]
		if (v.Kind == jsontext.Missing) != (texts[i] == "") {
			t.Errorf("%s: kind %d for %q", doc, v.Kind, texts[i])
		}
	}
	return texts
}

func numbers(count int) string {
	texts := make([]string, count)
	for i := range texts {
		texts[i] = strconv.Itoa(i)
	}
	return strings.Join(texts, ",")
}

func TestFindReturnsTheTextOfValues(t *testing.T) {
	doc := ` {"a": 1, "b": {"c": "x", "d": [10, {"e": 12345678901234567890.5}, []]}, "f": null, "g": {"h": true}, "long": [` + numbers(200) + `]} `
	for _, c := range []struct {
		path []string
		want string
	}{
		{[]string{"a"}, `1`},
		{[]string{"b", "c"}, `"x"`},
		{[]string{"b", "d"}, `[10, {"e": 12345678901234567890.5}, []]`},
		{[]string{"b", "d", "0"}, `10`},
		{[]string{"b", "d", "1", "e"}, `12345678901234567890.5`},
		{[]string{"b", "d", "3"}, ``},
		{[]string{"long", "150"}, `150`},
		{[]string{"long", "0150"}, ``},
		{[]string{"f"}, `null`},
		{[]string{"f", "x"}, ``},
		{[]string{"a", "x"}, ``},
		{[]string{"g"}, `{"h": true}`},
		{[]string{"g", "h"}, `true`},
		{[]string{"z"}, ``},
	} {
		if got := find(t, doc, c.path)[0]; got != c.want {
			t.Errorf("%v: %q, want %q", c.path, got, c.want)
		}
	}
}

func TestFindManyPathsAtOnce(t *testing.T) {
	got := find(t, `{"z":{"y":2,"x":1},"a":"A"}`, []string{"a"}, []string{"z", "x"}, []string{"z"}, []string{"z", "y"}, []string{"a"})
	want := []string{`"A"`, `1`, `{"y":2,"x":1}`, `2`, `"A"`}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("path %d: %q, want %q", i, got[i], want[i])
		}
	}
}

func TestTheLastOfRepeatedKeysCounts(t *testing.T) {
	got := find(t, `{"a":{"b":1,"c":2},"a":{"c":3}}`, []string{"a", "b"}, []string{"a", "c"}, []string{"a"})
	if got[0] != "" || got[1] != "3" || got[2] != `{"c":3}` {
		t.Errorf("found %q", got)
	}
	if got := find(t, `{"a":{"b":1},"a":5}`, []string{"a", "b"}); got[0] != "" {
		t.Errorf("found %q below a key that was replaced", got)
	}
}

func TestKeysMatchUnescaped(t *testing.T) {
	if got := find(t, `{"\u0061\n":1}`, []string{"a\n"}); got[0] != "1" {
		t.Errorf("found %q", got)
	}
}

func TestNextWalksAnArray(t *testing.T) {
	doc := []byte(` [ 1 ,"a\",]", [2,[]], {"b":[3]}, null ] `)
	var s jsontext.Scanner
	var got []string
	for at := 2; ; {
		element, next, ok := s.Next(doc, at)
		if !ok {
			break
		}
		got, at = append(got, string(doc[element.Start:element.End])), next
	}
	if want := []string{`1`, `"a\",]"`, `[2,[]]`, `{"b":[3]}`, `null`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, _, ok := s.Next([]byte(`[]`), 1); ok {
		t.Error("an empty array has an element")
	}
}

func FuzzFindAgreesWithTheStandardLibrary(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Add([]byte(`{"a":{"b":"x\u0000\ud83d\ude00y"},"c":[1,2]}`))
	paths := [][]string{{"a"}, {"a", "b"}, {"c", "1"}}
	finder := jsontext.NewFinder(paths)
	f.Fuzz(func(t *testing.T, doc []byte) {
		var s jsontext.Scanner
		values := make([]jsontext.Value, len(paths))
		_, err := finder.Find(&s, doc, values)
		if (err == nil) != json.Valid(doc) {
			t.Fatalf("%q: %v", doc, err)
		}
		if err != nil || jsontext.InvalidUTF8(doc) >= 0 {
			return
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(doc, &object) != nil {
			return
		}
		v := values[0]
		if got, want := string(doc[v.Start:v.End]), string(object["a"]); got != want {
			t.Errorf("%q: %q, want %q", doc, got, want)
		}
		var text string
		if v.Kind == jsontext.String && json.Unmarshal(object["a"], &text) == nil {
			got := string(jsontext.AppendUnescaped(nil, doc[v.Start+1:v.End-1]))
			if jsontext.InvalidUTF8([]byte(got)) < 0 && got != text {
				t.Errorf("%q: %q, want %q", doc, got, text)
			}
		}
	})
}
