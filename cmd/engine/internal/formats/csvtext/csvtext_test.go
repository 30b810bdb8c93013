package csvtext_test

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ddpm/engine/internal/formats/csvtext"
	"ddpm/engine/internal/records/reason"
)

func decode(t *testing.T, payload, delimiter string, columns ...string) []string {
	t.Helper()
	decoder, err := csvtext.New(delimiter, columns, nil)
	if err != nil {
		t.Fatal(err)
	}
	return run(decoder, payload)
}

// filling decodes for a table that is filled from id and name.
func filling(t *testing.T, payload, delimiter string) []string {
	t.Helper()
	decoder, err := csvtext.New(delimiter, nil, []string{"id", "name"})
	if err != nil {
		t.Fatal(err)
	}
	return run(decoder, payload)
}

func run(decoder *csvtext.Decoder, payload string) (out []string) {
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
		"a,a\n1,2":       "!!bad_header: the header \"a,a\": the column \"a\" is named twice",
		"a,\n1,2":        "!!bad_header: the header \"a,\": column 2 has no name",
		"a\n\xff":        "!!invalid_utf8: invalid UTF-8 at byte 2: 0xff",
	} {
		if got := decode(t, payload, ","); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%q: got %q, want %q", payload, got, want)
		}
	}
}

func TestLinesMayEndWithCRAlone(t *testing.T) {
	want := []string{`{"id":"1","name":"Ada"}`, `{"id":"2","name":"two\nlines"}`}
	for _, payload := range []string{"id,name\r1,Ada\r2,\"two\nlines\"\r", "id,name\r\r1,Ada\r2,\"two\nlines\""} {
		if got := decode(t, payload, ","); !slices.Equal(got, want) {
			t.Errorf("%q became %q", payload, got)
		}
	}
	if got := decode(t, "1,Ada\r2,\"two\nlines\"\r", ",", "id", "name"); !slices.Equal(got, want) {
		t.Errorf("with columns given: %q", got)
	}
	if got := decode(t, "id,name\n1,a\rb\n", ","); !slices.Equal(got, []string{`{"id":"1","name":"a\rb"}`}) {
		t.Errorf("CR within a value of lines that end with LF: %q", got)
	}
	if got := decode(t, "a,b\r1,2\r1", ","); len(got) != 2 || !strings.HasPrefix(got[1], "!wrong_column_count: line 3 has 1 values") {
		t.Errorf("got %q", got)
	}
}

func TestARecordOfOneLineIsNoTableWithoutRows(t *testing.T) {
	for _, payload := range []string{"1,Ada", "1,Ada\n", "\uFEFF1,Ada\r"} {
		if got := decode(t, payload, ","); len(got) != 1 ||
			!strings.HasPrefix(got[0], `!!header_only: the record has the one line "1,Ada"`) || !strings.Contains(got[0], "source.options.columns") {
			t.Errorf("%q: %q", payload, got)
		}
		if got := filling(t, payload, ","); len(got) != 1 ||
			!strings.HasPrefix(got[0], `!!bad_header: the header "1,Ada" names none`) || !strings.Contains(got[0], "source.options.columns") {
			t.Errorf("%q with a known table: %q", payload, got)
		}
	}
	if got := filling(t, "id,name\n", ","); len(got) != 0 {
		t.Errorf("a table without rows, whose header fits: %q", got)
	}
	if got := decode(t, "sep=,\n", ","); len(got) != 1 || !strings.HasPrefix(got[0], "!!empty") {
		t.Errorf("got %q", got)
	}
}

func TestAHeaderThatFitsNoColumnIsRefusedWithTheWayOut(t *testing.T) {
	delimiter := func(text string) string { return "source.options.delimiter to " + text }
	for _, c := range []struct{ payload, delimiter, want string }{
		{"id;name\n1;Ada", ",", delimiter(`";"`)},
		{"\"id\";\"name\"\n1;Ada", ",", delimiter(`";"`)},
		{"id\tname\n1\tAda", ",", delimiter(`"\t"`)},
		{"id,name\n1,Ada", "\t", delimiter(`","`)},
		{"id|name\r1|Ada", ",", delimiter(`"|"`)},
		{"ID;NAME\n1;Ada", ",", delimiter(`";"`)},
		{"sep=;\nid;name\n1;Ada", ",", delimiter(`";"`)},
		{"1,Ada\n2,Bob", ",", "source.options.columns if records have no line with names"},
		{"nr,title\n1,Ada", ",", "(id, name)"},
		{"Id,NAME\n1,Ada", ",", `"Id" where "id" is wanted, "NAME" where "name" is wanted`},
		{"id, name\n1, Ada", ",", `" name" where "name" is wanted`},
	} {
		got := filling(t, c.payload, c.delimiter)
		if len(got) != 1 || !strings.HasPrefix(got[0], "!!") || !strings.Contains(got[0], c.want) {
			t.Errorf("%q: got %q, want %s", c.payload, got, c.want)
		}
	}
	if got := filling(t, "more,id\nx,1", ","); !slices.Equal(got, []string{`{"more":"x","id":"1"}`}) {
		t.Errorf("a header that has one of the columns: %q", got)
	}
}

func TestWhereNobodyKnowsTheTableAHiddenDelimiterIsFoundAllTheSame(t *testing.T) {
	for _, payload := range []string{"id;name\n1;Ada", "sep=;\nid;name\n1;Ada"} {
		if got := decode(t, payload, ","); len(got) != 1 || !strings.HasPrefix(got[0], "!!bad_header") || !strings.Contains(got[0], `delimiter to ";"`) {
			t.Errorf("%q: %q", payload, got)
		}
	}
	if got := decode(t, "sep=;\nid;name\n1;Ada", ";"); !slices.Equal(got, []string{`{"id":"1","name":"Ada"}`}) {
		t.Errorf("a sep= line that agrees: %q", got)
	}
	if got := decode(t, "1;Ada", ",", "id", "name"); len(got) != 1 || !strings.Contains(got[0], `delimiter to ";"`) {
		t.Errorf("columns given: %q", got)
	}
}

func TestAHeaderIsNoRowWhereColumnsAreGiven(t *testing.T) {
	got := decode(t, "id,name\nid,name\n", ",", "id", "name")
	if len(got) != 2 || !strings.HasPrefix(got[0], "!bad_header: line 1 repeats the names") || got[1] != `{"id":"id","name":"name"}` {
		t.Errorf("got %q", got)
	}
}

func TestADelimiterMustBeOneCharacter(t *testing.T) {
	for _, delimiter := range []string{"", "::", "\"", "\n", "é"} {
		if _, err := csvtext.New(delimiter, nil, nil); err == nil {
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
		if strings.Contains(strings.ReplaceAll(payload, "\r\n", ""), "\r") || strings.HasPrefix(strings.ToLower(payload), "sep=") {
			return
		}
		reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(payload, "\uFEFF")))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		for _, row := range want {
			if len(row) != 2 || row[0] == "a" && row[1] == "b" {
				return
			}
		}
		got := decode(t, payload, ",", "a", "b")
		if old := decode(t, strings.ReplaceAll(strings.ReplaceAll(payload, "\r", ""), "\n", "\r"), ",", "a", "b"); len(old) != len(got) {
			t.Fatalf("%q became %q, and with CR at the ends of its lines %q", payload, got, old)
		}
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
