package origin_test

import (
	"maps"
	"testing"

	"ddpm/engine/internal/enginetest"
)

func forwarded(t *testing.T, mapping string, r enginetest.Record) enginetest.Sent {
	t.Helper()
	s := enginetest.Start(t, []string{"ddpm_origin: {}", mapping}, `
capture:
  key: ${! metadata("ddpm_key") }
  metadata: {exclude_prefixes: [ddpm_key]}
processors:
  - ddpm_forward: {}
`)
	s.MustProduce(r)
	return s.Dead.Sent()[0]
}

func TestForwardedRecordsKeepKeyAndHeaders(t *testing.T) {
	r := record(`{"a":1}`)
	r.Headers = map[string][]string{"bytes": {"\xfe"}, "twice": {"1", "2"}}
	got := forwarded(t, `mapping: "meta mine = \"x\"\nroot.b = this.a"`, r)
	if got.Key != "k\xff" || string(got.Value) != `{"b":1}` {
		t.Errorf("key %q, value %q", got.Key, got.Value)
	}
	if want := map[string]string{"bytes": "\xfe", "twice": "2", "mine": "x"}; !maps.Equal(got.Headers, want) {
		t.Errorf("headers %q, want %q", got.Headers, want)
	}
}

func TestForwardedRecordsKeepTheKeyThatAMappingWiped(t *testing.T) {
	r := record("{}")
	r.Headers = map[string][]string{"h": {"1"}}
	if got := forwarded(t, `mapping: "meta = deleted()"`, r); got.Key != "k\xff" || len(got.Headers) != 0 {
		t.Errorf("key %q, headers %q", got.Key, got.Headers)
	}
	r.Key = ""
	if got := forwarded(t, `mapping: "root = this"`, r); got.Key != "" {
		t.Errorf("no key became %q", got.Key)
	}
}
