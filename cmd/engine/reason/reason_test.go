package reason_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ddpm/engine/reason"
)

func TestAReasonSurvivesItsText(t *testing.T) {
	want := &reason.Reason{Stage: reason.StageSink, Code: "22P02", Message: "a \"quoted\" <text>\n", Column: "a", SQLState: "22P02"}
	got, ok := reason.Parse(want.Error())
	if !ok || *got != *want {
		t.Errorf("%+v became %+v", want, got)
	}
}

func TestOtherTextsAreNoReasons(t *testing.T) {
	for _, text := range []string{
		"", "failed assignment (line 1): x", "{}", "null", `{"stage":"sink"}`, `{"stage":"sink","code":"x","message":"","more":1}`,
		`failed: {"stage":"sink","code":"x","message":""}`, `{"stage":"sink","code":"x","message":""} {}`,
	} {
		if r, ok := reason.Parse(text); ok {
			t.Errorf("%q became %+v", text, r)
		}
	}
}

func TestLongTextsAreCutBetweenCharacters(t *testing.T) {
	cut := reason.Cut("x" + strings.Repeat("ä", 2000))
	if len(cut) > 1010 || !utf8.ValidString(cut) || !strings.HasSuffix(cut, "ä…") {
		t.Errorf("%d bytes: …%q", len(cut), cut[len(cut)-10:])
	}
	if got := reason.Cut("short\xff"); got != "short\uFFFD" {
		t.Errorf("%q", got)
	}
}
