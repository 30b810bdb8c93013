package origin_test

import (
	"slices"
	"strings"
	"testing"

	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/records/origin"
)

// reading runs a record, a tombstone and another record, and says what comes out of each.
func reading(t *testing.T, processors ...string) (out []string) {
	t.Helper()
	tombstone := record("")
	tombstone.Value = nil
	for _, msg := range process(t, processors, record(`{"id":1}`), tombstone, record(`{"id":2}`)) {
		content, _ := msg.AsBytes()
		text := string(content)
		if err := msg.GetError(); err != nil {
			text = "!" + err.Error()
		}
		if o, ok := origin.From(msg); !ok || o.Null != strings.Contains(text, "null") {
			t.Errorf("%s is not known as what it was", text)
		}
		out = append(out, text)
	}
	return out
}

func TestTombstonesAreDeadSkippedOrPassed(t *testing.T) {
	mapping := `mapping: 'root = if this == null { {"gone": @kafka_key.encode("hex"), "of": null} } else { this }'`
	for name, c := range map[string]struct {
		processors []string
		want       []string
	}{
		"dead": {
			[]string{"ddpm_tombstones: {action: dead_letter}", "mapping: 'root = content().string()'"},
			[]string{`{"id":1}`, `!{"stage":"parse","code":"null_value","message":"tombstone: the record has a null value"}`, `{"id":2}`},
		},
		"skipped": {[]string{"ddpm_tombstones: {action: skip}", "ddpm_json: {}"}, []string{`{"id":1}`, `{"id":2}`}},
		"passed": {
			[]string{"ddpm_tombstones: {action: pass}", "ddpm_json: {}", "ddpm_tombstones_passed: {many: false}", mapping},
			[]string{`{"id":1}`, `{"gone":"6bff","of":null}`, `{"id":2}`},
		},
		"passed around a mapping that parses": {
			[]string{
				"ddpm_tombstones: {action: pass}", "ddpm_before_mapping: {}", `try: [{mapping: 'root.text = content().string()'}]`,
				"ddpm_after_mapping: {}", "ddpm_tombstones_passed: {many: false}",
			},
			[]string{`{"text":"{\"id\":1}"}`, "null", `{"text":"{\"id\":2}"}`},
		},
	} {
		if got := reading(t, c.processors...); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestABatchOfSkippedTombstonesIsAcknowledged(t *testing.T) {
	tombstone := record("")
	tombstone.Value = nil
	if got := process(t, []string{"ddpm_tombstones: {action: skip}"}, []enginetest.Record{tombstone, tombstone}...); len(got) != 0 {
		t.Errorf("%d messages", len(got))
	}
}

func TestAPassedTombstoneHasAPlaceWhereOthersHaveOne(t *testing.T) {
	tombstone := record("")
	tombstone.Value = nil
	msg := process(t, []string{"ddpm_tombstones: {action: pass}", "ddpm_tombstones_passed: {many: true}"}, tombstone)[0]
	if o, ok := origin.From(msg); !ok || !o.HasIndex || o.Index != 0 || !o.Null {
		t.Errorf("origin %+v", o)
	}
}
