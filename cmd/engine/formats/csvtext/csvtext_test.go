package csvtext_test

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ddpm/engine/formats/csvtext"
	"ddpm/engine/reason"
)

func decode(t *testing.T, payload, delimiter string, columns ...string) (out []string) {
	t.Helper()
	decoder, err := csvtext.New(delimiter, columns)
	if err != nil {
		t.Fatal(err)
	}
	whole := decoder.Decode([]byte(payload), func(doc []byte, failure *reason.Reason) bool {
		if failure != nil {
			out = append(out, "!"+failure.Code+": "+failure.Message)
		} else {
			out = append(out, string(doc))
		}
		return true
	})
	if whole != nil {
		return []string{"!!" + whole.Code + ": " + whole.Message}
	}
	return out
}

func TestTheFirstRowNamesTheColumns(t *testing.T) {
	got := decode(t, "\uFEFFid,name\r\n1,Ada\r\n\r\n2,\"a \"\"b\"\", c\nd\"\r\n3,\n4,\"\"", ",")
	want := []string{
		`{"id":"1","name":"Ada"}`, `{"id":"2","name":"a \"b\", c\nd"}`, `{"id":"3","name":null}`, `{"id":"4","name":""}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestColumnsCanBeGiven(t *testing.T) {
	if got := decode(t, "1\t\"a\tb\"\n", "\t", "id", "na\"me"); !slices.Equal(got, []string{`{"id":"1","na\"me":"a\tb"}`}) {
		t.Errorf("got %q", got)
	}
}

func TestARowWithTooFewOrTooManyValuesFailsAlone(t *testing.T) {
	got := decode(t, "a,b\n1\n1,2\n1,2,3\n", ",")
	want := []string{
		"!wrong_column_count: line 2 has 1 values and not 2", `{"a":"1","b":"2"}`, "!wrong_column_count: line 4 has 3 values and not 2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestWhatHasNoCertainRowsFailsAsAWhole(t *testing.T) {
	for payload, want := range map[string]string{
		"":               "!!empty: ",
		" \n":            "!!empty: ",
		"a\n\"b":         "!!not_csv: line 2: a quote is never closed",
		"a\n\"b\nc\"d\n": "!!not_csv: line 3: text behind",
		"a\nb\"c\"\n":    "!!not_csv: line 2: a quote within",
		"a,a\n1,2":       "!!bad_header: the column \"a\" is named twice",
		"a,\n1,2":        "!!bad_header: column 2 has no name",
		"a\n\xff":        "!!invalid_utf8: invalid UTF-8 at byte 2: 0xff",
	} {
		if got := decode(t, payload, ","); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%q: got %q, want %q", payload, got, want)
		}
	}
}

func TestADelimiterMustBeOneCharacter(t *testing.T) {
	for _, delimiter := range []string{"", "::", "\"", "\n", "é"} {
		if _, err := csvtext.New(delimiter, nil); err == nil {
			t.Errorf("%q was accepted", delimiter)
		}
	}
}

// FuzzDecode compares rows with those of the standard library's reader, which is the judge of what is CSV.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\"a\"\"\n\",b\r\n", "a\rb,c", ",\n,,\n", "\"a\" ,b", "\r\n\n\"\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(payload, "\uFEFF")))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		for _, row := range want {
			if len(row) != 2 {
				return
			}
		}
		got := decode(t, payload, ",", "a", "b")
		if len(got) == 1 && strings.HasPrefix(got[0], "!!") {
			if err == nil && len(want) > 0 && !strings.HasPrefix(got[0], "!!invalid_utf8") {
				t.Fatalf("%q is CSV, but: %s", payload, got[0])
			}
			return
		}
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q became %q, not %q (%v)", payload, got, want, err)
		}
		for i, text := range got {
			var row struct{ A, B string }
			if err := json.Unmarshal([]byte(text), &row); err != nil || row.A != want[i][0] || row.B != want[i][1] {
				t.Fatalf("%q: row %d is %s, not %q", payload, i, text, want[i])
			}
		}
	})
}
