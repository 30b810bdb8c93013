package lines_test

import (
	"slices"
	"testing"

	"ddpm/engine/internal/formats/lines"
	"ddpm/engine/internal/records/reason"
)

func decode(payload string) (out []string) {
	lines.Decode([]byte(payload), func(doc []byte, failure *reason.Reason) bool {
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
	want := []string{`{"line":"one \"quoted\""}`, `{"line":""}`, `{"line":"\ttwo"}`}
	for _, payload := range []string{"one \"quoted\"\n\n\ttwo", "\uFEFFone \"quoted\"\r\n\r\n\ttwo\r\n"} {
		if got := decode(payload); !slices.Equal(got, want) {
			t.Errorf("%q became %q", payload, got)
		}
	}
	if got := decode(""); len(got) != 0 {
		t.Errorf("nothing became %q", got)
	}
}

func TestALineThatIsNotUTF8FailsAlone(t *testing.T) {
	want := []string{`{"line":"a"}`, "!invalid_utf8: line 2: invalid UTF-8 at byte 1: 0xff", `{"line":"c"}`}
	if got := decode("a\nb\xff\nc"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
