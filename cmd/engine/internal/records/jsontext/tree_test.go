package jsontext_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"ddpm/engine/internal/records/jsontext"
)

var treeDocuments = []string{
	`null`, `true`, ` false `, `"x"`, `-0`, `1e-7`, `123456789012345678901234567890.0123`, `[]`, `{}`, ` [ 1 , [ ] , { } ] `,
	`{"a":1,"b":[true,false,null,"x",{"c":{}}],"a":{"later":"wins"}}`, "{\n\t\"k\" :\r 1 , \"l\":2}",
	`"\u0000\u001f\b\f\n\r\t\"\\\/\u00e9\ud83d\ude00\u2028\u2029 é 😀 <>&"`, `"\ud800"`, `"\udc00x\ud800\ud800"`, `{"\u0061":1}`,
}

func reference(t testing.TB, doc []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func written(t testing.TB, value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

func same(t testing.TB, doc []byte) {
	want := reference(t, doc)
	got, err := jsontext.Tree(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %#v, want %#v", doc, got, want)
	}
	text, err := jsontext.AppendTree(nil, got)
	if err != nil || string(text) != written(t, want) {
		t.Fatalf("%q: %s %v, want %s", doc, text, err, written(t, want))
	}
}

func TestATreeIsWhatTheLibraryMakesOfADocument(t *testing.T) {
	for _, doc := range treeDocuments {
		same(t, []byte(doc))
	}
}

func TestADocumentMayBeAsDeepAsForTheLibrary(t *testing.T) {
	for levels, fits := range map[int]bool{10_000: true, 10_001: false} {
		doc := []byte(strings.Repeat("[", levels) + strings.Repeat("]", levels))
		var value any
		if library := json.Unmarshal(doc, &value); (library == nil) != fits {
			t.Fatalf("%d levels: the library says %v", levels, library)
		}
		if _, err := jsontext.Tree(doc); (err == nil) != fits {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}

func TestValuesAreWrittenAsTheLibraryWritesThem(t *testing.T) {
	for _, value := range []any{
		1.0, 1e21, 1e-7, 0.1, int64(-5), uint64(1 << 63), 7, float32(0.1), []byte("\x00\xff"), []byte(nil), []any(nil), map[string]any(nil),
		time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC), "\xff\xfe<&>", json.Number("1.50"), []string{"a", "<"},
		map[string]any{"b": 1.5, "a": []any{"\xc3(", nil}, "\xff": "x"},
	} {
		text, err := jsontext.AppendTree([]byte("x"), value)
		if err != nil || string(text) != "x"+written(t, value) {
			t.Errorf("%#v: %s %v, want %s", value, text, err, written(t, value))
		}
	}
	if _, err := jsontext.AppendTree(nil, map[string]any{"f": func() {}}); err == nil {
		t.Error("a function was written")
	}
}

func FuzzTree(f *testing.F) {
	for _, doc := range treeDocuments {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if new(jsontext.Scanner).Validate(doc) != nil || jsontext.InvalidUTF8(doc) >= 0 || len(doc) > 4096 {
			return
		}
		same(t, doc)
	})
}
