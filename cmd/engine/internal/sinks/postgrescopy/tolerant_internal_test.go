package postgrescopy

import "testing"

func FuzzUnescapedIsTheInverseOfEscaped(f *testing.F) {
	for _, text := range []string{"", "plain", "a\tb\nc\rd\\e", `\N`, `\\t`, "\\"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got := unescaped.Replace(string(appendEscaped(nil, text))); got != string(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
