package deadletters

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"ddpm/engine/internal/contract"
)

func TestHeadersAreCutAndNeverKeyAndBytes(t *testing.T) {
	header := func(name, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: name, Value: []byte(value)}
	}
	long := strings.Repeat("x", 5000)
	l := &letter{key: []byte("key"), value: []byte("bytes"), headers: []kgo.RecordHeader{
		header(contract.HeaderTopic, "events"), header(contract.HeaderMessage, long), header(contract.HeaderHeaders, "[]"),
		header("long", long), header("short", "y"), header("bad\xff", long),
	}}
	want := []map[string]string{
		{"long": long, "short": "y", "bad\xff": long, contract.HeaderCut: `["ddpm.errors.headers"]`},
		{"long": long[:1000], "short": "y", "bad\xff": long[:1000], contract.HeaderCut: "[\"bad\uFFFD\",\"ddpm.errors.headers\",\"long\"]"},
		{contract.HeaderCut: "[\"bad\uFFFD\",\"ddpm.errors.headers\",\"long\",\"short\"]"},
	}
	for i, shorter := range l.shortened() {
		if string(shorter.key) != "key" || string(shorter.value) != "bytes" {
			t.Errorf("%d: key %q, bytes %q", i, shorter.key, shorter.value)
		}
		want[i][contract.HeaderTopic], want[i][contract.HeaderMessage] = "events", long
		got := map[string]string{}
		for _, h := range shorter.headers {
			got[h.Key] = string(h.Value)
		}
		for name, value := range want[i] {
			if got[name] != value {
				t.Errorf("%d: header %q: %.80q, want %.80q", i, name, got[name], value)
			}
		}
		if len(got) != len(want[i]) {
			t.Errorf("%d: %d headers, want %d", i, len(got), len(want[i]))
		}
	}
	if l.size() != 8+len(contract.HeaderTopic)+6+len(contract.HeaderMessage)+5000+len(contract.HeaderHeaders)+2+4+5000+5+1+4+5000 {
		t.Errorf("size %d", l.size())
	}
}
