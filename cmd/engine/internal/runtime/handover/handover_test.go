package handover

import (
	"maps"
	"strings"
	"testing"
)

func TestVariablesComeInOneLine(t *testing.T) {
	found, err := read(strings.NewReader("{\"A\":\"x\\ny\",\"B\":\"ü\"}\nwhat follows is of no account"))
	if err != nil || !maps.Equal(found, map[string]string{"A": "x\ny", "B": "ü"}) {
		t.Fatalf("%v, %v", found, err)
	}
}

func TestWhatIsNotHandedOverIsToldWithoutSecrets(t *testing.T) {
	for _, text := range []string{"", `{"DSN":"hunter2"}`, "{\"DSN\":\"hunter2\n", "{\"DSN\":{\"hunter2\":1}}\n", "hunter2\n"} {
		_, err := read(strings.NewReader(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOnlyAFileDescriptorIsReadFrom(t *testing.T) {
	for _, text := range []string{"stdin", "-1", "1x"} {
		if err := take(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
