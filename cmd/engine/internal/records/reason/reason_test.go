package reason_test

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"ddpm/engine/internal/records/reason"
)

func TestMain(m *testing.M) {
	// It is read once, as the environment of an engine does not change.
	if err := os.Setenv(reason.EnvHidden, `["hmac-key","two\nlines"]`); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

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

func TestNoReasonShowsWhatIsHidden(t *testing.T) {
	got := reason.New(reason.StageProcess, "processor_failed", "expected number, got \"hmac-key\" and \"two\\nlines\"\ntwo\nlines").Message
	if want := "expected number, got \"***\" and \"***\"\n***"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
