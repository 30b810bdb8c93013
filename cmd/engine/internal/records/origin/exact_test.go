package origin_test

import (
	"strings"
	"testing"

	"ddpm/engine/internal/enginetest"
)

// mapped runs a record through a mapping with the guards around it.
func mapped(t *testing.T, mapping string, r enginetest.Record) (doc, failure string) {
	t.Helper()
	msg := process(t, []string{"ddpm_before_mapping: {}", "try:\n  - mapping: |\n      " + strings.ReplaceAll(mapping, "\n", "\n      "),
		"ddpm_after_mapping: {}"}, r)[0]
	content, err := msg.AsBytes()
	must(t, err)
	if err := msg.GetError(); err != nil {
		return string(content), err.Error()
	}
	return string(content), ""
}

func TestNoMappingPutsAnotherTextInPlaceOfOneThatIsNone(t *testing.T) {
	binary := record(`{"a":1}`)
	for name, c := range map[string]struct {
		mapping string
		record  enginetest.Record
		code    string
	}{
		"high half":          {"root = this", record(`{"a":"\ud800"}`), "lone_surrogate"},
		"low half":           {"root.b = 1", record(`{"a":"x\uDFFFy"}`), "lone_surrogate"},
		"wrong order":        {"root = this", record(`{"a":"\udc00\ud800"}`), "lone_surrogate"},
		"in a key":           {"root = this", record(`{"\ud83d":1}`), "lone_surrogate"},
		"in a nested text":   {"root = this.a.parse_json()", record(`{"a":"{\"b\":\"\\ud800\"}"}`), "invalid_utf8"},
		"bytes of base64":    {`root.a = this.a.decode("base64").string()`, record(`{"a":"/w=="}`), "invalid_utf8"},
		"bytes of a key":     {"root.a = @kafka_key", binary, "invalid_utf8"},
		"bytes of a record":  {"root.a = content().string()", record("a\xff"), "invalid_utf8"},
		"JSON of wrong text": {"root = this", record("{\"a\":\"\xff\"}"), "invalid_utf8"},
	} {
		if doc, failure := mapped(t, c.mapping, c.record); !strings.Contains(failure, c.code) || !strings.Contains(failure, `"stage":"process"`) {
			t.Errorf("%s: %s %s", name, doc, failure)
		}
	}
}

func TestAMappingLeavesTextAndDigitsAsTheyWere(t *testing.T) {
	for name, c := range map[string]struct{ mapping, value, want string }{
		"a pair":                 {"root = this", `{"a":"\ud83d\ude00"}`, `{"a":"😀"}`},
		"the character itself":   {"root = this", "{\"a\":\"\uFFFD\"}", "{\"a\":\"\uFFFD\"}"},
		"its escape":             {"root = this", `{"a":"\uFFFD"}`, "{\"a\":\"\uFFFD\"}"},
		"its escape, untouched":  {"root = if false { deleted() }", `{"a":"\ufffd"}`, `{"a":"\ufffd"}`},
		"a backslash":            {"root.b = this.a", `{"a":"\\ufffd \\ud800"}`, `{"b":"\\ufffd \\ud800"}`},
		"a zero":                 {"root = this", `{"a":"\u0000"}`, `{"a":"\u0000"}`},
		"nested pair":            {"root = this.a.parse_json()", `{"a":"{\"b\":\"\\ud83d\\ude00\"}"}`, `{"b":"😀"}`},
		"the last of equal keys": {"root = this", `{"a":1,"a":2}`, `{"a":2}`},
		"digits that are moved": {"root.b = this.a\nroot.c = this.merge({\"d\": this.a})", `{"a":12345678901234567890.12345678901234567890}`,
			`{"b":12345678901234567890.12345678901234567890,"c":{"a":12345678901234567890.12345678901234567890,"d":12345678901234567890.12345678901234567890}}`},
		"more than a float":   {"root = this", `{"a":1e400,"b":-0,"c":1.10}`, `{"a":1e400,"b":-0,"c":1.10}`},
		"digits of a text":    {"root.b = this.a.parse_json(use_number: true)", `{"a":"9007199254740993"}`, `{"b":9007199254740993}`},
		"whole numbers added": {"root.b = this.a + 1", `{"a":9007199254740993}`, `{"b":9007199254740994}`},
	} {
		if doc, failure := mapped(t, c.mapping, record(c.value)); failure != "" || doc != c.want {
			t.Errorf("%s: %s %s", name, doc, failure)
		}
	}
}
