package spade_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ddpm/engine/internal/formats/spade"
	"ddpm/engine/internal/records/reason"
)

const (
	uuid = "0191F3C0-1c9a-7c3e-8f1d-2b3c4d5e6f70"
	head = `{"ip":"192.0.2.1","time":"2026-11-23T04:05:06.789000Z","uuid":"0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70",`
	one  = `{"event":"pl?y>~","properties":{"n":9007199254740993.10,"t":"ü~?>"},"more":1}`
)

func decode(payload string) (out []string) {
	whole := spade.Decode([]byte(payload), func(doc []byte, failure *reason.Reason) bool {
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

func record(data string) string {
	return "192.0.2.1 [1795406706.789] data=" + data + " " + uuid
}

func TestAnEventInEveryFormOfBase64(t *testing.T) {
	want := []string{head + `"event":"pl?y>~","properties":{"n":9007199254740993.10,"t":"ü~?>"}}`}
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if got := decode(record(encoding.EncodeToString([]byte(one))) + "\r\n"); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	}
}

func TestByteOrderMarksAreLeftOut(t *testing.T) {
	got := decode("\uFEFF" + record(base64.StdEncoding.EncodeToString([]byte("\uFEFF"+one))))
	if want := []string{head + `"event":"pl?y>~","properties":{"n":9007199254740993.10,"t":"ü~?>"}}`}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAListOfEventsInWhichBadOnesFailAlone(t *testing.T) {
	list := `[{"event":"a","properties":{}}, 3, {"event":"","properties":{}}, {"event":"b"}, null, {"event":"c","properties":{"x":1}}]`
	got := decode(record(base64.StdEncoding.EncodeToString([]byte(list))))
	want := []string{
		head + `"event":"a","properties":{}}`,
		"!not_an_event: an event must be an object with event and properties",
		"!not_an_event: an event must have a name: event",
		"!not_an_event: an event must have an object: properties",
		"!not_an_event: an event must be an object with event and properties",
		head + `"event":"c","properties":{"x":1}}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := decode(record(base64.StdEncoding.EncodeToString([]byte("[]")))); len(got) != 0 {
		t.Errorf("no events became %q", got)
	}
}

func TestWhatIsNoLineHasItsReason(t *testing.T) {
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for payload, want := range map[string]string{
		" \n":                               "!!empty: ",
		"hello":                             "!!not_spade: not a line of the form IP [seconds.millis]",
		record("e30") + " more":             "!!not_spade: not a line",
		"host" + record("e30")[9:]:          `!!not_spade: "host" is not an IP address`,
		record("e30=x="):                    "!!not_base64: ",
		record("e3-/"):                      "!!not_base64: ",
		record("e31"):                       "!!not_base64: ",
		record("*"):                         "!!not_base64: ",
		record(encoded("{\"a\":\"\xff\"}")): "!!invalid_utf8: ",
		record(encoded(`{"a":`)):            "!!not_json: ",
		record(""):                          "!!not_json: ",
		strings.Replace(record("e30"), "1795406706", "999999999999", 1): "!!not_spade: the time 999999999999.789",
	} {
		if got := decode(payload); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%q: got %q, want %q", payload, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(record(base64.StdEncoding.EncodeToString([]byte(one))))
	f.Add(record("W10"))
	f.Fuzz(func(t *testing.T, payload string) {
		for _, text := range decode(payload) {
			if !strings.HasPrefix(text, "!") && !json.Valid([]byte(text)) {
				t.Fatalf("%q became %s", payload, text)
			}
		}
	})
}
