package ndjson_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ddpm/engine/internal/formats/ndjson"
	"ddpm/engine/internal/records/reason"
)

func decode(payload string) (out []string) {
	ndjson.New().Decode([]byte(payload), func(doc []byte, failure *reason.Reason) bool {
		if failure != nil {
			out = append(out, "!"+failure.Code+": "+failure.Message)
		} else {
			out = append(out, string(doc))
		}
		return true
	})
	return out
}

func TestEachLineIsADocument(t *testing.T) {
	got := decode("{\"a\":9007199254740993}\r\n\n  [1.10]\t\n\"last\"")
	if want := []string{`{"a":9007199254740993}`, `[1.10]`, `"last"`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := decode("\uFEFF{}\n[]"); !slices.Equal(got, []string{"{}", "[]"}) {
		t.Errorf("behind a byte order mark: %q", got)
	}
	if got := decode("{}\r[]\r\r3"); !slices.Equal(got, []string{"{}", "[]", "3"}) {
		t.Errorf("CR at the ends of lines: %q", got)
	}
	if got := decode("{\r\"a\":1\r}"); !slices.Equal(got, []string{"{\r\"a\":1\r}"}) {
		t.Errorf("CR within one document: %q", got)
	}
	if got := decode(" \n\r\n"); len(got) != 0 {
		t.Errorf("blank lines became %q", got)
	}
}

func TestABadLineFailsAloneAndIsNamed(t *testing.T) {
	got := decode("{}\n{\"a\":\n\"\xff\"\n[]")
	if len(got) != 4 || got[0] != "{}" || got[3] != "[]" || !strings.HasPrefix(got[1], "!not_json: line 2: not JSON") ||
		got[2] != "!invalid_utf8: line 3: invalid UTF-8 at byte 1: 0xff" {
		t.Errorf("got %q", got)
	}
}

func FuzzWhatIsYieldedIsJSON(f *testing.F) {
	f.Add("{}\n[1,2]\r\nx\n")
	f.Fuzz(func(t *testing.T, payload string) {
		for _, doc := range decode(payload) {
			if !strings.HasPrefix(doc, "!") && !json.Valid([]byte(doc)) {
				t.Errorf("%q is no JSON", doc)
			}
		}
	})
}
